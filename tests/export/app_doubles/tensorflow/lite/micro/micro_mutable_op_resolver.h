// As much of the resolver as the tests' files have ops.
#pragma once
#include <set>
#include <string>

enum TfLiteStatus { kTfLiteOk, kTfLiteError };

namespace tflite {

class OpResolver {
 public:
  bool Has(const std::string& op) const { return names_.count(op) > 0; }
  unsigned count() const { return names_.size(); }

 protected:
  std::set<std::string> names_;
};

template <unsigned int most>
class MicroMutableOpResolver : public OpResolver {
 public:
#define ADDS(method, op)                           \
  TfLiteStatus method() {                          \
    names_.insert(op);                             \
    return names_.size() <= most ? kTfLiteOk : kTfLiteError; \
  }
  ADDS(AddAdd, "ADD")
  ADDS(AddConcatenation, "CONCATENATION")
  ADDS(AddDequantize, "DEQUANTIZE")
  ADDS(AddFullyConnected, "FULLY_CONNECTED")
  ADDS(AddGather, "GATHER")
  ADDS(AddLogistic, "LOGISTIC")
  ADDS(AddMul, "MUL")
  ADDS(AddQuantize, "QUANTIZE")
  ADDS(AddReshape, "RESHAPE")
  ADDS(AddSoftmax, "SOFTMAX")
  ADDS(AddSplit, "SPLIT")
  ADDS(AddStridedSlice, "STRIDED_SLICE")
  ADDS(AddSub, "SUB")
  ADDS(AddTanh, "TANH")
  ADDS(AddTranspose, "TRANSPOSE")
  ADDS(AddUnpack, "UNPACK")
  ADDS(AddUnidirectionalSequenceLSTM, "UNIDIRECTIONAL_SEQUENCE_LSTM")
#undef ADDS
};

}  // namespace tflite
