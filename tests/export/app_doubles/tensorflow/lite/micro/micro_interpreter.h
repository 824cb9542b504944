// Stands in for TensorFlow Lite Micro: keeps the input of each call in a file, answers what another
// file holds, and refuses a call without a reset, ops that are missing, and ops that nobody needs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

enum TfLiteType { kTfLiteFloat32, kTfLiteInt32, kTfLiteInt8, kTfLiteInt16 };
struct TfLiteTensor {
  union {
    float* f;
    int32_t* i32;
    int8_t* int8;
    int16_t* i16;
    char* raw;
  } data;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  TfLiteType type;
  size_t bytes;
  std::vector<char> memory;
};

namespace tflite {

// The file that REPLAY names has the type, bytes, scale and zero point of both tensors, then the ops.
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const OpResolver& resolver, uint8_t* arena, size_t size) : size_(size) {
    if (reinterpret_cast<uintptr_t>(arena) % 16) std::abort();
    path_ = std::getenv("REPLAY");
    std::FILE* file = std::fopen(path_.c_str(), "r");
    char name[99];
    for (int i = 0; i < 2; ++i) {
      TfLiteTensor& tensor = tensors_[i];
      if (std::fscanf(file, "%98s %zu %f %d", name, &tensor.bytes, &tensor.params.scale, &tensor.params.zero_point) != 4) std::abort();
      tensor.type = name == std::string("int8") ? kTfLiteInt8 : name == std::string("int16") ? kTfLiteInt16 : kTfLiteFloat32;
      tensor.memory.resize(tensor.bytes);
      tensor.data.raw = tensor.memory.data();
    }
    char op[99];
    while (std::fscanf(file, "%98s", op) == 1) {
      if (std::string(op) != "-" && !resolver.Has(op)) std::abort();
      ops_ += std::string(op) != "-";
    }
    std::fclose(file);
    if (ops_ != resolver.count()) std::abort();
  }
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteStatus Reset() {
    reset_ = true;
    return kTfLiteOk;
  }
  TfLiteTensor* input(size_t) { return &tensors_[0]; }
  TfLiteTensor* output(size_t) { return &tensors_[1]; }
  TfLiteStatus Invoke() {
    if (!reset_) return kTfLiteError;
    reset_ = false;
    const std::string name = path_ + "." + std::to_string(call_++ % 2);
    std::FILE* in = std::fopen((name + ".in").c_str(), "wb");
    std::fwrite(tensors_[0].data.raw, 1, tensors_[0].bytes, in);
    std::fclose(in);
    std::FILE* out = std::fopen((name + ".out").c_str(), "rb");
    const size_t read = std::fread(tensors_[1].data.raw, 1, tensors_[1].bytes, out);
    std::fclose(out);
    return read == tensors_[1].bytes ? kTfLiteOk : kTfLiteError;
  }
  size_t arena_used_bytes() const { return size_; }

 private:
  std::string path_;
  TfLiteTensor tensors_[2];
  size_t size_;
  unsigned ops_ = 0;
  int call_ = 0;
  bool reset_ = false;
};

}  // namespace tflite
