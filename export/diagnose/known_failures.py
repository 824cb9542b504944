"""Why a model does not convert, in plain words, and what helps: the known causes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.errors import ConversionError, OpGateError, listed

Failure = ConversionError | OpGateError


@dataclass(frozen=True)
class Remedy:
    """A known cause: what its failures look like, why it fails, what helps.

    Attributes:
        pattern: Is looked for in the error, the operands of the ops it names, and the log. `{}` in
            the texts below stands for those ops, or for what its first group matched.
        reason: Why it fails: "Layer 'x' cannot be converted: ...".
        advice: What to do.
    """

    pattern: str
    reason: str
    advice: str


REMEDIES = (
    Remedy(
        r"converter crashed \((\w+)\)",
        "the TFLite converter crashes on it ({})",
        "Try another lowering, or replace the layer.",
    ),
    Remedy(
        r"converter was stopped after (\d+ s)",
        "the TFLite converter does not come to an end with it (stopped after {})",
        "Try fewer timesteps, or lowering='loop', which converts fastest.",
    ),
    Remedy(
        r"!tf_type\.string|tf\.(?:As)?String|tf\.SparseCross|lookup table|HashTable"
        r"|untracked. resource",
        "it works on text or looks words up, which a .tflite file of builtin ops cannot",
        "Encode text before the model, and export the part that takes numbers.",
    ),
    Remedy(
        r"tf\.(?:Eager)?PyFunc",
        "it calls Python code, which runs on no device",
        "Write it with keras.ops.",
    ),
    Remedy(
        r"'tf\.(?:Stateless|Parameterized|Truncated)?(?:Random|Multinomial)\w*'",
        "it draws random numbers with {}, and a .tflite file has none",
        "Draw them outside the model, and make them one of its inputs.",
    ),
    Remedy(
        r"(?m)^\(.*complex<",
        "it computes with complex numbers in {}",
        "Compute real and imaginary parts apart in float32 (a Fourier transform is a product with "
        "matrices of cosines and sines), or ahead of the model.",
    ),
    Remedy(
        r"'tf\.\w*(?:Svd|Qr|Lu|Cholesky|SelfAdjointEig|Determinant|MatrixInverse|Solve)\w*' op",
        "it decomposes or inverts a matrix with {}, for which TensorFlow Lite has no op",
        "Do that ahead of the model, and make the result one of its weights or inputs.",
    ),
    Remedy(
        r"'tf\.\w*Case' op",
        "it chooses among more than two branches, and TensorFlow Lite knows if and else alone",
        "Use keras.ops.where or keras.ops.cond, one within the other, instead of keras.ops.switch.",
    ),
    Remedy(
        r"(?m)^\(.*\bf64\b|xf64>",
        "it computes in float64 with {}, which TensorFlow Lite does not",
        "Compute in float32, keras.ops.cast(x, 'float32'), and leave out what makes float64 of it, "
        "such as keras.ops.nextafter.",
    ),
    Remedy(
        r"tf\.TensorList|tf\.\w*(?:Bincount|CTC)\w*' op|(?m:^\(.*tensor<[^>]*[?*]x)|tensor list",
        "it makes tensors whose size is not known ahead",
        "Keep all entries: keras.ops.where(condition, x, 0) instead of a boolean mask or "
        "keras.ops.nonzero, keras.ops.sum(keras.ops.one_hot(x, n), axis=-2) instead of "
        "keras.ops.bincount, keras.ops.argmax(x, axis=-1) and the rest after the model instead of "
        "keras.ops.ctc_decode.",
    ),
    Remedy(
        r"(?m)^\((?!.*f32).*i64>",
        "it computes with 64-bit integers in {}, which TensorFlow Lite does not",
        "Compute in int32 or float32: keras.ops.cast(x, 'int32').",
    ),
    Remedy(
        r"neither a custom op nor a flex op|needs (?:TensorFlow|custom) ops",
        "it uses {}, which TensorFlow Lite does not have",
        "Replace the layer, or write it with other keras.ops, such as matmul, add and tanh.",
    ),
    Remedy(
        r"has outputs that no op computes: (.+?)\.",
        "it answers what it was given, or a constant, as {}",
        "Leave that output out: the app has it already.",
    ),
    Remedy(
        r"holds no ops at all",
        "it computes nothing",
        "Export a model whose answer depends on what it is given.",
    ),
    Remedy(
        r"(?ms)cannot be traced.*^keras\.src\.ops\.\w+\.(\w+)$",
        "Keras itself runs {} in no graph, in model.predict neither",
        "Write it otherwise: keras.ops.any(keras.ops.equal(x[..., None], values), axis=-1) instead "
        "of keras.ops.isin, keras.ops.quantile of keras.ops.nan_to_num(x) instead of nanquantile, "
        "a layer Conv2DTranspose instead of keras.ops.conv_transpose.",
    ),
    Remedy(
        r"OperatorNotAllowedInGraphError",
        "its call() branches or loops in Python on what a tensor holds",
        "Use keras.ops.where, keras.ops.cond or keras.ops.while_loop there.",
    ),
    Remedy(
        r"cannot be traced: (.+)",
        "TensorFlow cannot trace it: {}",
        "Call the layer on a batch in a tf.function to see where, and write it with keras.ops.",
    ),
    Remedy(r"(?s)(.+)", "{}", "Replace the layer, or try another lowering."),
)


def remedy(error: Failure, operation: Any = None) -> tuple[str, str]:
    """Returns why a conversion failed, in plain words, and what helps.

    Args:
        error: How it failed.
        operation: The layer or `keras.ops` call to blame, where it is one.
    """
    log = error.log if isinstance(error, ConversionError) else ""
    operands = re.findall(r"see current operation: .*?:( \(tensor.*)", log)
    kind = type(operation)
    name = f"{kind.__module__}.{kind.__qualname__}"
    text = "\n".join([str(error), *(line.strip() for line in operands), log, name])
    for known in REMEDIES:
        found = re.search(known.pattern, text)
        if found:
            words = found[1] if found.re.groups else listed(named_ops(error)) or "an op"
            if known is REMEDIES[-1]:
                words = str(error)
            return known.reason.format(words).rstrip("."), known.advice
    raise AssertionError("the last remedy is for everything")


def named_ops(error: Failure) -> tuple[str, ...]:
    """Returns the ops that a failure names."""
    if isinstance(error, OpGateError):
        return error.ops
    return tuple(dict.fromkeys(re.findall(r"'(tf\.\w+)' op", error.log)))
