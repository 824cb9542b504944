#pragma once
#include <cstdint>
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model {
  int version() const { return 3; }
};
inline const Model* GetModel(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % 16 ? nullptr : static_cast<const Model*>(data);
}
}  // namespace tflite
