// Stands in for the interpreter: keeps the input that it is given in a file beside the model, and
// answers what another file holds. MODEL.sizes has the bytes, scale and zero point of both tensors.
#include <fstream>
#include <string>
#include <vector>

#include "tensorflow/lite/c/c_api.h"

struct TfLiteTensor {
  std::vector<char> data;
  TfLiteQuantizationParams real;
};
struct TfLiteModel {
  std::string path;
};
struct TfLiteInterpreter {
  std::string path;
  TfLiteTensor input, output;
  bool allocated = false;
};

extern "C" {

TfLiteModel* TfLiteModelCreateFromFile(const char* path) {
  return std::ifstream(path) ? new TfLiteModel{path} : nullptr;
}
void TfLiteModelDelete(TfLiteModel* model) { delete model; }
TfLiteInterpreter* TfLiteInterpreterCreate(const TfLiteModel* model, const TfLiteInterpreterOptions*) {
  TfLiteInterpreter* made = new TfLiteInterpreter{model->path, {}, {}};
  std::ifstream sizes(model->path + ".sizes");
  for (TfLiteTensor* tensor : {&made->input, &made->output}) {
    size_t bytes;
    sizes >> bytes >> tensor->real.scale >> tensor->real.zero_point;
    tensor->data.resize(bytes);
  }
  return made;
}
void TfLiteInterpreterDelete(TfLiteInterpreter* interpreter) { delete interpreter; }
TfLiteStatus TfLiteInterpreterResizeInputTensor(TfLiteInterpreter*, int32_t, const int*, int32_t) { return kTfLiteOk; }
TfLiteStatus TfLiteInterpreterAllocateTensors(TfLiteInterpreter* interpreter) {
  interpreter->allocated = true;
  return kTfLiteOk;
}
TfLiteStatus TfLiteInterpreterInvoke(TfLiteInterpreter* interpreter) {
  if (!interpreter->allocated) return kTfLiteError;
  std::ofstream(interpreter->path + ".in", std::ios::binary).write(interpreter->input.data.data(), interpreter->input.data.size());
  std::ifstream(interpreter->path + ".out", std::ios::binary).read(interpreter->output.data.data(), interpreter->output.data.size());
  return kTfLiteOk;
}
TfLiteTensor* TfLiteInterpreterGetInputTensor(const TfLiteInterpreter* interpreter, int32_t) {
  return const_cast<TfLiteTensor*>(&interpreter->input);
}
const TfLiteTensor* TfLiteInterpreterGetOutputTensor(const TfLiteInterpreter* interpreter, int32_t) { return &interpreter->output; }
size_t TfLiteTensorByteSize(const TfLiteTensor* tensor) { return tensor->data.size(); }
void* TfLiteTensorData(const TfLiteTensor* tensor) { return const_cast<char*>(tensor->data.data()); }
TfLiteQuantizationParams TfLiteTensorQuantizationParams(const TfLiteTensor* tensor) { return tensor->real; }
TfLiteStatus TfLiteTensorCopyFromBuffer(TfLiteTensor* tensor, const void* data, size_t bytes) {
  if (bytes != tensor->data.size()) return kTfLiteError;
  const char* from = static_cast<const char*>(data);
  tensor->data.assign(from, from + bytes);
  return kTfLiteOk;
}

}
