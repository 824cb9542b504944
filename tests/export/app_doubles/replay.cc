// Stands in for the interpreter: keeps the input that it is given in a file beside the model, and
// answers what another file holds. MODEL.sizes has the bytes, scale and zero point of both tensors.
//
// Of a file whose call takes some time steps, MODEL.states has the names of both, then the name, the
// bytes and the first byte of each state, which starts as so many of these. Each call adds 1 to all
// bytes, and so it knows, from the states alone, which of its sequence it is: that part of the input
// is kept, and that part of the answer given. Where MODEL.inside exists, the file has the state itself.
#include <algorithm>
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
struct State {
  std::string name;
  unsigned char first;
  TfLiteTensor before, after;
};
struct TfLiteInterpreter {
  std::string path;
  TfLiteTensor input, output;
  bool allocated = false, inside = false;
  std::string input_name, output_name;
  std::vector<State> states;
  int calls = 0;
};
struct TfLiteSignatureRunner {
  TfLiteInterpreter* of;
  std::string key;
  bool allocated = false, invoked = false;
};

extern "C" {

TfLiteModel* TfLiteModelCreateFromFile(const char* path) {
  return std::ifstream(path) ? new TfLiteModel{path} : nullptr;
}
void TfLiteModelDelete(TfLiteModel* model) { delete model; }
TfLiteInterpreter* TfLiteInterpreterCreate(const TfLiteModel* model, const TfLiteInterpreterOptions*) {
  TfLiteInterpreter* made = new TfLiteInterpreter{};
  made->path = model->path;
  std::ifstream sizes(model->path + ".sizes");
  for (TfLiteTensor* tensor : {&made->input, &made->output}) {
    size_t bytes;
    sizes >> bytes >> tensor->real.scale >> tensor->real.zero_point;
    tensor->data.resize(bytes);
  }
  made->inside = static_cast<bool>(std::ifstream(model->path + ".inside"));
  std::ifstream states(model->path + ".states");
  states >> made->input_name >> made->output_name;
  State state;
  for (int bytes, first; states >> state.name >> bytes >> first;) {
    state.first = first;
    state.before.data.resize(bytes);
    state.after.data.resize(bytes);
    made->states.push_back(state);
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

TfLiteSignatureRunner* TfLiteInterpreterGetSignatureRunner(const TfLiteInterpreter* interpreter, const char* key) {
  const std::string second = interpreter->inside ? "reset" : "initial_state";
  if (key != second && key != std::string("step")) return nullptr;
  return new TfLiteSignatureRunner{const_cast<TfLiteInterpreter*>(interpreter), key};
}
void TfLiteSignatureRunnerDelete(TfLiteSignatureRunner* runner) { delete runner; }
TfLiteStatus TfLiteSignatureRunnerAllocateTensors(TfLiteSignatureRunner* runner) {
  runner->allocated = true;
  return kTfLiteOk;
}
TfLiteTensor* TfLiteSignatureRunnerGetInputTensor(TfLiteSignatureRunner* runner, const char* name) {
  if (runner->key != "step") return nullptr;
  for (State& state : runner->of->states) {
    if (state.name == name) return &state.before;
  }
  return runner->of->input_name == name ? &runner->of->input : nullptr;
}
const TfLiteTensor* TfLiteSignatureRunnerGetOutputTensor(const TfLiteSignatureRunner* runner, const char* name) {
  for (State& state : runner->of->states) {
    if (runner->invoked && state.name == name) return &state.after;
  }
  return runner->invoked && runner->key == "step" && runner->of->output_name == name ? &runner->of->output : nullptr;
}
TfLiteStatus TfLiteSignatureRunnerInvoke(TfLiteSignatureRunner* runner) {
  TfLiteInterpreter* of = runner->of;
  if (!runner->allocated || !of->allocated) return kTfLiteError;
  runner->invoked = true;
  if (runner->key == "reset") of->calls = 0;
  if (runner->key == "initial_state") {
    for (State& state : of->states) std::fill(state.after.data.begin(), state.after.data.end(), state.first);
  }
  if (runner->key != "step") return kTfLiteOk;
  if (!of->inside) of->calls = static_cast<unsigned char>(of->states[0].before.data[0] - of->states[0].first);
  for (State& state : of->states) {
    for (size_t i = 0; i < state.before.data.size(); ++i) {
      const unsigned char expected = state.first + of->calls;
      if (static_cast<unsigned char>(state.before.data[i]) != expected) return kTfLiteError;
      state.after.data[i] = expected + 1;
    }
  }
  const std::streamoff at = of->calls++;
  const std::ios::openmode both = std::ios::binary | std::ios::in | std::ios::out;
  if (at == 0) std::ofstream(of->path + ".in", std::ios::binary);
  std::fstream given(of->path + ".in", both);
  given.seekp(at * of->input.data.size());
  given.write(of->input.data.data(), of->input.data.size());
  std::ifstream answers(of->path + ".out", std::ios::binary);
  answers.seekg(at * of->output.data.size());
  answers.read(of->output.data.data(), of->output.data.size());
  return answers ? kTfLiteOk : kTfLiteError;
}

}
