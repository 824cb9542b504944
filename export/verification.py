"""Does a written file answer what the Keras model answers?

A file is compared with a `Reference` in the order names, shapes, dtypes, values, on real samples
and on made ones of every length. Every sample is invoked three times in the same interpreter,
because state that a file keeps shows from the second call on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import VerificationError, listed, nearest
from keras_rnn_zoo.export import gate
from keras_rnn_zoo.export.reference import (
    Reference,
    Spec,
    real_steps,
    reference_of,
    sequence_mask,
    true_lengths,
)
from keras_rnn_zoo.export.running import Arrays, TensorInfo, tensor_info
from keras_rnn_zoo.export.running import TFLiteModel as TFLiteModel
from keras_rnn_zoo.files import PathLike

INVOKES = 3
# The same kernels on the same numbers give the same bits; the room is for threads that sum in
# another order.
REPEAT_TOLERANCE = 1e-6


class NamesError(VerificationError):
    """The file's inputs or outputs have other names than the model's."""


class ShapesError(VerificationError):
    """An input or output of the file has another shape than the model's."""


class DtypesError(VerificationError):
    """An input or output of the file has another dtype than the model's."""


class ValuesError(VerificationError):
    """The file computes other values than the model; `parity` has the differences."""

    def __init__(self, message: str, parity: Parity | None = None):
        super().__init__(message)
        self.parity = parity


@dataclass(frozen=True)
class Tolerance:
    """The largest differences from the Keras model that a file may show.

    Attributes:
        output: Of probabilities: outputs of a sigmoid or softmax. None: what the logits' may
            cause, which is half of it, as no sigmoid or softmax is steeper. (Between two labels
            that are about as likely, a small change of the logits is a large one of the
            probabilities; it says nothing about the file.)
        logit: Of what goes into the sigmoid or softmax, and of outputs without one; times the
            largest absolute value there where that is above 1.
        reason: Why so much, for the report.
        average: Of probabilities, on average over all samples and labels; None is no limit.
    """

    output: float | None
    logit: float
    reason: str = ""
    average: float | None = None


@dataclass(frozen=True)
class Parity:
    """How a file's answers compare with the Keras model's.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        samples: Samples compared, made ones included.
        invokes: How often each was run in the same interpreter.
        lengths: The different true lengths among them, ascending; empty where no input is a
            sequence.
        max_abs_output: Largest absolute difference of an output, over all invokes.
        mean_abs_output: Mean absolute difference.
        max_abs_logit: Largest absolute difference of a logit; None where the file holds no tensor
            that can be compared.
        allowed_output: The difference allowed where `max_abs_output` is.
        allowed_logit: The difference allowed where `max_abs_logit` is.
        max_abs_repeat: Largest absolute difference between invokes of the same sample.
        changed_answers: Given samples that get another label; None without sigmoid or softmax.
        tolerance: That of the quantization mode, and why.
        passed: All differences are within it.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    samples: int
    invokes: int
    lengths: tuple[int, ...]
    max_abs_output: float
    mean_abs_output: float
    max_abs_logit: float | None
    allowed_output: float
    allowed_logit: float | None
    max_abs_repeat: float
    changed_answers: int | None
    tolerance: Tolerance
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)


def verify_tflite(path: PathLike, model: Any, samples: Any, tolerance: Tolerance) -> Parity:
    """Compares a .tflite file with the Keras model that it was made of.

    Args:
        path: The file.
        model: The built functional or sequential model.
        samples: Encoded real inputs, in any form that `as_samples` takes.
        tolerance: The differences to accept.

    Returns:
        The differences found.

    Raises:
        NamesError, ShapesError, DtypesError, ValuesError: In this order of checks; all are
            `VerificationError`s.
        ExportError: The samples do not fit the model.
        RunError: The file is missing or damaged.
    """
    return compare_tflite(path, reference_of(model, samples), tolerance)


def compare_tflite(path: PathLike, reference: Reference, tolerance: Tolerance) -> Parity:
    """Compares a .tflite file with what the Keras model answered; needs no TensorFlow.

    See `verify_tflite`.
    """
    file = TFLiteModel(path)
    _compare_specs(file.path.name, reference.inputs, file.inputs, "input")
    _compare_specs(file.path.name, reference.outputs, file.outputs, "output")

    invokes: list[dict[str, list[np.ndarray]]] = [
        {name: [] for name in file.outputs} for _ in range(INVOKES)
    ]
    for used, batch in file.batches(reference.x):
        file.set_inputs(batch)
        for invoke in invokes:
            for name, values in file.invoke().items():
                invoke[name].append(values[:used])
    return compare_values(
        file.path.name,
        reference,
        tolerance,
        [{name: np.concatenate(parts) for name, parts in invoke.items()} for invoke in invokes],
        _file_logits(file.path, reference),
    )


def compare_values(
    name: str,
    reference: Reference,
    tolerance: Tolerance,
    invokes: list[Arrays],
    logits: Arrays | None = None,
    repeat_tolerance: float = REPEAT_TOLERANCE,
) -> Parity:
    """Compares the answers of repeated invokes with the Keras model's.

    Args:
        name: What answered, for messages.
        reference: What the Keras model answered.
        tolerance: The differences to accept.
        invokes: For each invoke, output name -> answers to all samples.
        logits: Output name -> logits, for those that the file shows.
        repeat_tolerance: The difference between invokes to accept.

    Raises:
        ValuesError: The answers differ by more than the tolerance, change from invoke to invoke,
            or are not finite.
    """
    differences: list[np.ndarray] = []
    repeat = 0.0
    # (difference, what is allowed, of what)
    outputs: list[tuple[float, float, str]] = []
    inner: list[tuple[float, float, str]] = []
    averages: list[tuple[float, float, str]] = []
    for spec in reference.outputs:
        expected = reference.answers[spec.name]
        worst = 0.0
        for values in (invoke[spec.name] for invoke in invokes):
            if not np.isfinite(values).all():
                raise ValuesError(f"{name} answers NaN or infinity as '{spec.name}'.")
            differences.append(np.abs(values.astype(np.float64) - expected).ravel())
            worst = max(worst, float(differences[-1].max(initial=0)))
            repeat = max(repeat, _largest(values, invokes[0][spec.name]))
        if spec.activation is None:  # the outputs are the logits
            outputs.append((worst, tolerance.logit * _scale(expected), f"'{spec.name}'"))
            inner.append(outputs[-1])
            continue
        wanted = reference.logits[spec.name]
        allowed = tolerance.logit * _scale(wanted)
        limit = min(1.0, allowed / 2) if tolerance.output is None else tolerance.output
        outputs.append((worst, limit, f"'{spec.name}'"))
        if tolerance.average is not None:
            mean = float(np.mean(differences[-len(invokes) :]))
            averages.append((mean, tolerance.average, f"'{spec.name}' on average"))
        if logits and spec.name in logits:
            found = _largest(logits[spec.name], wanted)
            inner.append((found, allowed, f"the logits of '{spec.name}'"))
    broken = [
        f"{what} by {found:.2g} (allowed {allowed:.2g})"
        for found, allowed, what in dict.fromkeys(outputs + averages + inner)
        if not found <= allowed
    ]
    largest, largest_inner = max(outputs), max(inner, default=None)
    everything = np.concatenate(differences)
    parity = Parity(
        inputs=tuple(spec.name for spec in reference.inputs),
        outputs=tuple(spec.name for spec in reference.outputs),
        samples=len(next(iter(reference.x.values()))),
        invokes=len(invokes),
        lengths=true_lengths(reference.x),
        max_abs_output=largest[0],
        mean_abs_output=float(everything.mean()) if everything.size else 0.0,
        max_abs_logit=largest_inner[0] if largest_inner else None,
        allowed_output=largest[1],
        allowed_logit=largest_inner[1] if largest_inner else None,
        max_abs_repeat=repeat,
        changed_answers=_changed(reference, invokes[0]),
        tolerance=tolerance,
        passed=not broken and repeat <= repeat_tolerance,
    )
    if repeat > repeat_tolerance:
        raise ValuesError(
            f"{name} keeps state between calls: the same sample is answered differently by up to "
            f"{repeat:.2g} from one invoke to the next. Choose another lowering.",
            parity,
        )
    if broken:
        raise ValuesError(
            f"{name} does not answer what the Keras model answers: it differs in "
            f"{' and '.join(broken)}, on {parity.samples} samples. Choose another quantization "
            "or lowering, or give more representative data.",
            parity,
        )
    return parity


def compare_names(name: str, kind: str, expected: list[str], found: list[str]) -> None:
    """Compares the names of a file's inputs or outputs with the model's.

    Raises:
        NamesError: They differ.
    """
    if set(expected) != set(found):
        wrong = sorted(set(found) - set(expected))
        raise NamesError(
            f"{name} has the {kind}s {listed(found)}; the Keras model has {listed(expected)}."
            f"{nearest(wrong[0], expected) if wrong else ''} Export it again."
        )


def _compare_specs(
    name: str, expected: tuple[Spec, ...], found: Mapping[str, TensorInfo], kind: str
) -> None:
    compare_names(name, kind, [spec.name for spec in expected], list(found))
    for spec in expected:
        shape = found[spec.name].shape
        # The batch size, and sizes that the model leaves open, are the file's to choose.
        if len(shape) != len(spec.shape) or any(
            size not in (None, actual)
            for size, actual in zip(spec.shape[1:], shape[1:], strict=True)
        ):
            raise ShapesError(
                f"{name} has the {kind} '{spec.name}' of shape {list(shape)}; the Keras model's "
                f"is {list(spec.shape)}. Export it again."
            )
    for spec in expected:
        info = found[spec.name]
        if info.dtype != spec.dtype and not info.scale:
            raise DtypesError(
                f"{name} has the {kind} '{spec.name}' of dtype {info.dtype}; the Keras model's is "
                f"{spec.dtype}. Export it again."
            )


def _file_logits(path: Path, reference: Reference) -> Arrays:
    """Reads the tensors that go into the file's last LOGISTIC or SOFTMAX, for every sample."""
    wanted = [spec.name for spec in reference.outputs if spec.activation is not None]
    if not wanted:
        return {}
    # Kernels that fuse ops hide the tensors between them, so this is a second interpreter.
    file = TFLiteModel(path, keep_tensors=True)
    sources = {name: gate.logit_source(path, file.outputs[name].index) for name in wanted}
    details = {d["index"]: d for d in file.interpreter.get_tensor_details()}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted if sources[name]}
    if not parts:
        return {}
    for used, batch in file.batches(reference.x):
        file.set_inputs(batch)
        file.interpreter.invoke()
        for name, values in parts.items():
            source = sources[name]
            assert source is not None
            index, layout = source
            logits = tensor_info(name, details[index]).dequantize(
                file.interpreter.get_tensor(index)
            )
            for change in layout:
                logits = change(logits)
            values.append(np.reshape(logits, file.outputs[name].shape)[:used])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _scale(values: np.ndarray) -> float:
    return max(1.0, float(np.abs(values).max(initial=0)))


def _largest(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values.astype(np.float64) - expected).max(initial=0))


# -------------------------------------------------------------------------------------- answers


def changed_rows(before: np.ndarray, after: np.ndarray, real: np.ndarray | None = None) -> int:
    """Counts the rows that get another label.

    Args:
        before: Probabilities `[samples, outputs]` or `[samples, timesteps, outputs]`.
        after: The same, from something else.
        real: bool `[samples, timesteps]`: the time steps to look at; None for all.
    """
    different = _decide(before) != _decide(after)
    if real is not None and different.shape == real.shape:
        different &= real
    return int(different.reshape(len(different), -1).any(axis=1).sum())


def _decide(outputs: np.ndarray) -> np.ndarray:
    """Returns the label of each probability vector; a single one is a probability of label 1."""
    if outputs.shape[-1] == 1:
        return (outputs[..., 0] > 0.5).astype(np.int64)
    return np.asarray(outputs.argmax(axis=-1))


def _changed(reference: Reference, answers: Arrays) -> int | None:
    counts = []
    for spec in reference.outputs:
        if spec.activation == "softmax" or (spec.activation == "sigmoid" and spec.shape[-1] == 1):
            given = slice(reference.given)
            counts.append(
                changed_rows(
                    reference.answers[spec.name][given],
                    answers[spec.name][given],
                    sequence_mask(*(values[given] for values in reference.x.values())),
                )
            )
    return max(counts) if counts else None


def score(outputs: np.ndarray, x: np.ndarray, y: np.ndarray, task: str) -> float:
    """Returns the accuracy of outputs, or their mean absolute error for regression.

    Args:
        outputs: What a model or file answered, `[samples, ...]`.
        x: The encoded inputs; time steps of zeros do not count in sequence labelling.
        y: The encoded labels, or the targets.
        task: `"binary"`, `"multiclass"`, `"sequence_labelling"` or `"regression"`.
    """
    if task == "regression":
        return float(np.abs(outputs.astype(np.float64) - np.reshape(y, outputs.shape)).mean())
    right = _decide(outputs) == np.reshape(y, outputs.shape[:-1])
    if task == "sequence_labelling":
        right = right[real_steps(x)]
    return float(right.mean())


def evaluate_tflite(path: PathLike, x: np.ndarray, y: np.ndarray, task: str) -> float:
    """Returns the accuracy of a .tflite file, or its mean absolute error for regression.

    Args:
        path: A file with one input and one output.
        x: Encoded inputs `[samples, ...]`.
        y: Encoded labels `[samples]`, `[samples, timesteps]`, or targets `[samples, outputs]`.
        task: `"binary"`, `"multiclass"`, `"sequence_labelling"` or `"regression"`.

    Raises:
        RunError: The file is missing or damaged, or does not take such inputs.
    """
    return score(TFLiteModel(path).predict(x), x, y, task)
