"""Arithmetic in 8 and 16 bits, which TFLite does in quantized numbers only, or not at all."""

from __future__ import annotations

from keras_rnn_zoo.export.lowering.device_ops._base import in_wider, replaces

COMPARISONS = ("Greater", "GreaterEqual", "Less", "LessEqual")
ARITHMETIC = (
    *("Add", "AddV2", "Sub", "RealDiv", "FloorMod", "Maximum", "Minimum", "Pow"),
    *("SquaredDifference", "DivNoNan", "BitwiseXor", "RightShift"),
)
FUNCTIONS = (
    *("Neg", "Square", "Sign", "Exp", "Log", "Log1p", "Expm1", "Sqrt", "Rsqrt", "Tanh", "Sigmoid"),
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Softmax"),
    *("LogSoftmax", "Sin", "Cos", "Floor", "Ceil", "Rint", "Round", "Reciprocal", "L2Loss"),
)
REDUCTIONS = ("Sum", "Max", "Min", "Mean", "Prod", "Cumsum", "ArgMax", "ArgMin", "TopKV2")
PRODUCTS = ("MatMul", "BatchMatMulV2")

replaces(*COMPARISONS, *ARITHMETIC, *FUNCTIONS, *REDUCTIONS, *PRODUCTS)(in_wider)
