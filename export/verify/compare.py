"""Does a written file answer what the Keras model answers?

A file is compared with a `Reference` in the order names, shapes, dtypes, values, on real samples
and on made ones of every length. Every sample is invoked three times in the same interpreter,
because state that a file keeps shows from the second call on; and once in another process whose
memory holds no zeros, because what a file reads and nobody wrote shows there.

How far a file may be from the model is measured against what the answers do (their standard
deviation over the samples), and against what the mode's rounding does to the Keras
model itself: a file that is much farther off than that is wrong, whatever its mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import listed, nearest
from keras_rnn_zoo.export.keras_model.sequences import (
    true_lengths,
)
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo, fits, tensor_info
from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel as TFLiteModel
from keras_rnn_zoo.export.tflite.isolated import answer_perturbed
from keras_rnn_zoo.export.tflite.micro import MicroModel
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.verify.problems import DtypesError, NamesError, ShapesError, ValuesError
from keras_rnn_zoo.export.verify.reference import Reference, Rounding, Spec, reference_of
from keras_rnn_zoo.export.verify.scores import _changed
from keras_rnn_zoo.export.verify.tolerance import Tolerance
from keras_rnn_zoo.files import PathLike

INVOKES = 3
# The same kernels on the same numbers give the same bits; the room is for threads that sum in
# another order.
REPEAT_TOLERANCE = 1e-6
# Of made samples, which are few and extreme, and of the 99 % quantile, the estimates are rough.
ROUGH = 2.0
# Differences of more standard deviations count as so many: a column that hardly varies would
# outweigh all others.
MOST_DEVIATIONS = 10.0
# Share of the real answers that the spread is taken of; the others may be outliers.
COMMON = 0.9
# Of a float32, as a share of it: answers that differ by no more are one answer.
STEP = 2.0**-23
# Most of the difference that steps of integer answers excuse, in standard deviations.
MOST_OF_A_STEP = 0.1
# A logit that moves by so much moves no probability by more than a quarter of a hundredth: logits
# that vary by less are measured in it. Where they vary by a tenth of that, the model answers the
# same to everything.
LEAST_LOGIT, SAME_LOGIT = 0.01, 0.001
# Columns of an output that is a vector, such as a state.
MANY_COLUMNS = 8


@dataclass(frozen=True)
class OutputParity:
    """How a file's answers as one output compare with the Keras model's.

    Attributes:
        name: Of the output.
        compared: `"logits"`, `"values"` or `"decisions"` (labels as whole numbers).
        spread: Standard deviation of what is compared, averaged over the columns; 0 where the
            samples do not make the model answer differently.
        largest: Largest absolute difference of the output, real and made samples.
        mean: Mean absolute difference of the output, real and made samples.
        largest_logit: Largest absolute difference of the logits; None without.
        average: Average difference on real samples, as a share of the spread.
        answered: The same of the answers, where logits are compared.
        allowed_average: What it may be.
        high: 99 % quantile of these.
        allowed_high: What it may be.
        made: Average difference on made samples, as a share of the spread.
        allowed_made: What it may be.
        rounding: What the mode's rounding does to the average on real samples when the Keras model
            itself computes with it.
        changed: Decisions on real samples that are others than the Keras model's, ties aside; None
            without.
        decisions: How many there are: one a sample, or a real time step.
        allowed_changed: How many may be.
        distinct: Different numbers among the answers to real samples.
        distinct_keras: The same of the Keras model.
    """

    name: str
    compared: str
    spread: float
    largest: float
    mean: float
    largest_logit: float | None
    average: float
    answered: float
    allowed_average: float
    high: float
    allowed_high: float
    made: float | None
    allowed_made: float | None
    rounding: float
    changed: int | None
    decisions: int | None
    allowed_changed: int | None
    distinct: int
    distinct_keras: int


@dataclass(frozen=True)
class Parity:
    """How a file's answers compare with the Keras model's.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        samples: Samples compared, made ones included.
        made: How many were made.
        left_out: Made samples that were not compared, as the Keras model answers NaN to them.
        invokes: How often each was run.
        lengths: The different true lengths among them, ascending; empty where no input is a
            sequence.
        each: Each output by itself.
        max_abs_output: Largest absolute difference of an output, over all invokes.
        mean_abs_output: Mean absolute difference of the output that has the largest.
        max_abs_logit: Largest absolute difference of a logit; None where the file holds no tensor
            that can be compared.
        allowed_output: The 99 % quantile allowed where `max_abs_output` is, in its own unit.
        max_abs_repeat: Largest absolute difference between invokes of the same sample.
        changed_answers: Real samples or time steps that get another label; None without labels.
        amplifies: The Keras model makes so much of a rounding of its weights by one unit in the
            last place that no two computations of it agree well.
        tolerance: That of the quantization mode, and why.
        passed: All differences are within it.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    samples: int
    made: int
    left_out: int
    invokes: int
    lengths: tuple[int, ...]
    each: tuple[OutputParity, ...]
    max_abs_output: float
    mean_abs_output: float
    max_abs_logit: float | None
    allowed_output: float
    max_abs_repeat: float
    changed_answers: int | None
    amplifies: bool
    tolerance: Tolerance
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the content as a JSON object."""
        return asdict(self)


def verify_tflite(
    path: PathLike,
    model: Any,
    samples: Any,
    tolerance: Tolerance,
    *,
    mode: str = "none",
    roundings: Mapping[str, Rounding] | None = None,
) -> Parity:
    """Compares a .tflite file with the Keras model that it was made of.

    Args:
        path: The file.
        model: The built functional or sequential model.
        samples: Encoded real inputs, in any form that `as_samples` takes.
        tolerance: The differences to accept.
        mode: Name of the quantization mode of the file.
        roundings: See `reference_of`; `mode` is looked up there.

    Returns:
        The differences found.

    Raises:
        NamesError, ShapesError, DtypesError, ValuesError: In this order of checks; all are
            `VerificationError`s.
        ExportError: The samples do not fit the model.
        RunError: The file is missing or damaged.
    """
    reference = reference_of(model, samples, roundings=roundings)
    return compare_tflite(path, reference, tolerance, mode=mode)


def compare_tflite(
    path: PathLike, reference: Reference, tolerance: Tolerance, *, mode: str = "none"
) -> Parity:
    """Compares a .tflite file with what the Keras model answered; needs no TensorFlow.

    See `verify_tflite`.
    """
    file = open_model(path)
    _compare_specs(file.path.name, reference.inputs, file.inputs, "input")
    _compare_specs(file.path.name, reference.outputs, file.outputs, "output")

    invokes = file.answer(reference.x, INVOKES, reference.batch_size)
    _check_repeats(file.path.name, invokes, REPEAT_TOLERANCE)
    elsewhere = answer_perturbed(path, reference.x, reference.batch_size)
    for name, values in elsewhere.items():
        moved = _largest(np.nan_to_num(values), invokes[0][name])
        if not np.isfinite(values).all() or moved > REPEAT_TOLERANCE * _size(invokes[0][name]):
            raise ValuesError(
                f"{file.path.name} reads memory that nobody wrote: in a process of its own, as "
                f"'{name}', it answers "
                + (f"otherwise by {moved:.2g}" if np.isfinite(values).all() else "NaN")
                + ". Choose another quantization or lowering, and report this."
            )
    return compare_values(
        file.path.name,
        reference,
        tolerance,
        invokes,
        # tflite-micro shows no tensors inside, and steps those of the last one.
        {} if isinstance(file, MicroModel | StepModel) else _file_logits(file.path, reference),
        mode=mode,
        steps={name: info.scale for name, info in file.outputs.items() if info.scale},
    )


def compare_values(
    name: str,
    reference: Reference,
    tolerance: Tolerance,
    invokes: list[Arrays],
    logits: Arrays | None = None,
    repeat_tolerance: float = REPEAT_TOLERANCE,
    *,
    mode: str = "none",
    steps: Mapping[str, float] | None = None,
) -> Parity:
    """Compares the answers of repeated invokes with the Keras model's.

    Args:
        name: What answered, for messages.
        reference: What the Keras model answered.
        tolerance: The differences to accept.
        invokes: For each invoke, output name -> answers to all samples.
        logits: Output name -> logits, for those that the file shows.
        repeat_tolerance: The difference between invokes to accept, as a part of the largest answer.
        mode: Name of the quantization mode.
        steps: Output name -> real value of one step, of those that are stored as int8.

    Raises:
        ValuesError: The answers differ by more than the tolerance, change from invoke to invoke,
            or are not finite.
    """
    for spec in reference.outputs:
        wanted, shape = reference.answers[spec.name].shape, invokes[0][spec.name].shape
        if shape != wanted:
            raise ShapesError(
                f"{name} answers an array of shape {list(shape)} as '{spec.name}'; the Keras "
                f"model's is {list(wanted)}. Export it again."
            )
    repeat = _check_repeats(name, invokes, repeat_tolerance)
    each: list[OutputParity] = []
    for spec in reference.outputs:
        for values in (invoke[spec.name] for invoke in invokes):
            if not np.isfinite(values).all():
                raise ValuesError(f"{name} answers NaN or infinity as '{spec.name}'.")
        inner = (logits or {}).get(spec.name) if spec.activation is not None else None
        answers = [invoke[spec.name] for invoke in invokes]
        each.append(
            _compare_output(
                spec, reference, tolerance, mode, answers, inner, (steps or {}).get(spec.name, 0.0)
            )
        )
    worst = max(each, key=lambda output: output.largest)
    problems = {
        output.name: problem
        for output in each
        if (problem := _problem(output, tolerance)) is not None
    }
    # Of a file that is too far off, those outputs say why.
    looked_at = [spec for spec in reference.outputs if not problems or spec.name in problems]
    changed = [output.changed for output in each if output.changed is not None]
    inner_largest = [output.largest_logit for output in each if output.largest_logit is not None]
    limit = worst.allowed_high * (worst.spread or worst.largest)
    parity = Parity(
        inputs=tuple(spec.name for spec in reference.inputs),
        outputs=tuple(spec.name for spec in reference.outputs),
        samples=len(next(iter(reference.x.values()))),
        made=len(next(iter(reference.x.values()))) - reference.given,
        left_out=reference.left_out,
        invokes=len(invokes),
        lengths=true_lengths(reference.x),
        each=tuple(each),
        max_abs_output=worst.largest,
        mean_abs_output=worst.mean,
        max_abs_logit=max(inner_largest, default=None),
        # No sigmoid or softmax is steeper than one half.
        allowed_output=min(1.0, limit / 2) if worst.compared == "logits" else limit,
        max_abs_repeat=repeat,
        changed_answers=max(changed, default=None),
        amplifies=any(_amplifies(spec, reference) for spec in looked_at),
        tolerance=tolerance,
        passed=not problems,
    )
    if problems:
        wrong = [text for text, is_wrong in problems.values() if is_wrong]
        what = "; ".join(wrong or [text for text, _ in problems.values()])
        # Half a step of int8 answers is their rounding, too.
        coarse = all(
            output.average * output.spread <= (steps or {}).get(output.name, 0.0) / 2
            for output in each
            if output.name in problems
        )
        if wrong and not coarse:
            otherwise = mode == "none" or any(output.average > tolerance.average for output in each)
            text = (
                f"{name} does not answer what the Keras model answers: {what}"
                if otherwise
                else f"{name} is farther from the Keras model than rounding explains: {what}"
            )
        else:
            text = f"{name} answers too roughly: {what}"
        raise ValuesError(
            f"{text}, on {parity.samples} samples. {_advice(mode, parity, bool(steps))}", parity
        )
    return parity


def integer_answers(parity: Parity) -> list[str]:
    """Says how fine the int8 answers of a file are and what that costs, a sentence an output."""
    return [
        f"As int8, '{output.name}' takes {output.distinct:,} different values where the Keras "
        f"model takes {output.distinct_keras:,}, and is {output.mean:.2g} off on average: "
        f"{output.answered:.1%} of the standard deviation of the answers."
        for output in parity.each
        if output.compared != "decisions"
    ]


def _check_repeats(name: str, invokes: list[Arrays], allowed: float) -> float:
    """Returns the largest difference between invokes of the same sample.

    Args:
        name: What answered, for the message.
        invokes: Their answers.
        allowed: How much it may be, as a part of the largest answer, or of 1.

    Raises:
        ValuesError: It is more than what is allowed.
    """
    repeat = 0.0
    for output, first in invokes[0].items():
        first = np.nan_to_num(first)
        moved = max(_largest(np.nan_to_num(invoke[output]), first) for invoke in invokes)
        if moved > allowed * _size(first):
            raise ValuesError(
                f"{name} keeps state between calls: the same sample is answered differently by up "
                f"to {moved:.2g} from one invoke to the next. Choose another lowering."
            )
        repeat = max(repeat, moved)
    return repeat


def _compare_output(
    spec: Spec,
    reference: Reference,
    tolerance: Tolerance,
    mode: str,
    answers: list[np.ndarray],
    logits: np.ndarray | None,
    integer_step: float,
) -> OutputParity:
    given = slice(reference.given)
    expected = reference.answers[spec.name]
    differences = [np.abs(values.astype(np.float64) - expected) for values in answers]
    largest = max(float(values.max(initial=0)) for values in differences)
    mean = float(np.mean([values.mean() for values in differences])) if expected.size else 0.0
    changed, decisions = _changed(spec, reference, answers)
    by_rounding = [
        _changed(spec, reference, [_decided(spec, other[spec.name])])[0] or 0
        for other in reference.disturbed.get(mode, ())
    ]
    allowed_changed = None
    if changed is not None and decisions is not None:
        expected_share = tolerance.changed * decisions
        # Of few decisions, one is a large share.
        allowed_changed = int(
            expected_share + 2 * np.sqrt(expected_share) + ROUGH * max(by_rounding, default=0)
        )
    distinct = [len(np.unique(values[given])) for values in (answers[0], expected)]
    if expected.dtype.kind not in "f":
        share = changed / decisions if changed is not None and decisions else 0.0
        return OutputParity(
            spec.name,
            "decisions",
            0.0,
            largest,
            mean,
            None,
            share,
            share,
            share,
            0.0,
            0.0,
            None,
            None,
            0.0,
            changed,
            decisions,
            allowed_changed,
            *distinct,
        )

    # Without a view of the file's own logits, the outputs have to do.
    through_logits = spec.activation is not None and logits is not None
    wanted = reference.logits[spec.name] if through_logits else expected
    found = [logits] if through_logits and logits is not None else answers
    wanted, found = (
        _centred(spec, wanted, through_logits),
        [_centred(spec, values, through_logits) for values in found],
    )
    usual, unit, spread = _units(spec, wanted, reference.given, through_logits)
    common, shares = _shares(found, wanted, usual), _shares(found, wanted, unit)
    outside = common
    if through_logits:
        own = expected.astype(np.float64)
        outside = _shares(answers, own, _units(spec, own, reference.given, logits=False)[0])
    rounding, rounding_high, rounding_made = 0.0, 0.0, 0.0
    for other in reference.disturbed.get(mode, ()):
        values = other[spec.name]
        if spec.activation is not None and not through_logits:
            values = _activated(spec, values)
        values = _centred(spec, values, through_logits)
        rounding = max(rounding, _mean(_shares([values], wanted, usual)[given]))
        moved = _shares([values], wanted, unit)
        rounding_high = max(rounding_high, _high(moved[given]))
        rounding_made = max(rounding_made, _mean(moved[reference.given :]))
    # float32 itself: what an answer is stored in has steps, too.
    step = float(np.mean(np.spacing(np.abs(wanted).astype(np.float32)) / usual))
    least = tolerance.least + 2 * step
    if not through_logits:
        # So have integers; a step that hides what the model answers is no excuse.
        least += min(MOST_OF_A_STEP, integer_step / 4 / float(np.mean(usual)))
    has_made = len(expected) > reference.given
    return OutputParity(
        name=spec.name,
        compared="logits" if through_logits else "values",
        spread=spread,
        largest=largest,
        mean=mean,
        largest_logit=_largest(logits, reference.logits[spec.name])
        if through_logits and logits is not None
        else largest
        if spec.activation is None
        else None,
        average=_mean(common[given]),
        answered=_mean(outside[given]),
        allowed_average=min(tolerance.average, max(least, tolerance.times * rounding)),
        high=_high(shares[given]),
        allowed_high=min(tolerance.high, max(5 * least, ROUGH * tolerance.times * rounding_high)),
        made=_mean(shares[reference.given :]) if has_made else None,
        allowed_made=max(ROUGH * least, ROUGH * tolerance.times * max(rounding_made, rounding / 4))
        if has_made
        else None,
        rounding=rounding,
        changed=changed,
        decisions=decisions,
        allowed_changed=allowed_changed,
        distinct=distinct[0],
        distinct_keras=distinct[1],
    )


def _shares(found: list[np.ndarray], wanted: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Returns how far numbers are from those wanted, in their units, averaged over the invokes."""
    each = [np.minimum(np.abs(values - wanted) / unit, MOST_DEVIATIONS) for values in found]
    return np.asarray(np.mean(each, axis=0))


def _problem(output: OutputParity, tolerance: Tolerance) -> tuple[str, bool] | None:
    """Says what is too different, and whether it is more than rounding explains."""
    found: list[tuple[str, bool]] = []
    # The limit of the mode, or that of what the rounding does.
    for text, value, allowed, cap in (
        ("on average", output.average, output.allowed_average, tolerance.average),
        ("in 1 % of the answers", output.high, output.allowed_high, tolerance.high),
        ("on made samples", output.made, output.allowed_made, None),
    ):
        if output.compared == "decisions" or value is None or allowed is None:
            continue
        if not value <= allowed:
            wrong = cap is None or allowed < cap
            found.append((f"{text} by {value:.2g} (allowed {allowed:.2g})", wrong))
    wrong = any(is_wrong for _, is_wrong in found)
    parts = []
    if found:
        text = f"'{output.name}' differs "
        if output.compared == "logits":
            text = f"the logits of '{output.name}' differ "
        text += " and ".join(part for part, is_wrong in found if is_wrong or not wrong)
        if output.spread:
            text += f", in standard deviations of the answers ({output.spread:.2g})"
        else:
            text += ", as a share of the one answer that the model gives to all samples"
        parts.append(text)
    if wrong:
        parts.append(f"its rounding alone makes {output.rounding:.2g}")
    if (output.changed or 0) > (output.allowed_changed or 0):
        parts.append(
            f"{output.changed} of {output.decisions} decisions of '{output.name}' are others "
            f"(allowed {output.allowed_changed})"
        )
        wrong = wrong or output.compared == "decisions"
    return ("; ".join(parts), wrong) if parts else None


def _advice(mode: str, parity: Parity, integers: bool) -> str:
    if parity.amplifies:
        return (
            "The model amplifies rounding: moving its weights by one unit in the last place "
            "changes its own answers, so no two computations of it agree well. Train it with "
            "smaller recurrent weights or fewer timesteps."
        )
    if integers:
        return (
            "Its inputs and outputs are int8, each one number of 256: export it again with "
            "inference_type 'float32'."
        )
    if mode == "none":
        return "Export this model again; if that answers the same, with another lowering."
    if mode == "float16":
        return "Export this model again with quantization 'none', which does not round."
    return (
        "Export this model again with a quantization that rounds less: 'float16' or 'none', for "
        "microcontrollers 'int16x8' or 'none'."
    )


def _amplifies(spec: Spec, reference: Reference) -> bool:
    """Whether a unit in the last place of the weights moves answers by 1 % of their spread.

    The steps of float32 at the size of the answers move them, too: that is none of the model.
    """
    wanted = reference.judged(spec.name)
    if wanted.dtype.kind != "f":
        return False
    inner = spec.name in reference.logits
    wanted = _centred(spec, wanted, inner)
    unit, _, spread = _units(spec, wanted, reference.given, inner)
    if not spread:
        return False
    steps = np.spacing(np.abs(wanted).astype(np.float32)) / unit
    for other in reference.disturbed.get("none", ()):
        moved = np.abs(_centred(spec, other[spec.name], inner) - wanted) / unit
        if _mean((moved - 2 * steps)[: reference.given]) > 0.01:
            return True
    return False


def _centred(spec: Spec, values: np.ndarray, logits: bool) -> np.ndarray:
    """A softmax does not see what is added to all of its logits."""
    values = values.astype(np.float64)
    if logits and spec.activation == "softmax":
        values = values - values.mean(axis=-1, keepdims=True)
    return values


def _units(
    spec: Spec, wanted: np.ndarray, given: int, logits: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns what numbers are measured in, and the average spread of the columns.

    That is the standard deviation of a column over the real samples (of a softmax, of all columns).
    The first unit is never more than nine in ten of the answers lie apart: beside one of a million,
    all others would be the same. What itself lies far from the others, in a real or a made sample,
    is measured against that distance.
    """
    if wanted.ndim == 1:  # one number for each sample
        usual, unit, spread = _units(spec, wanted[:, np.newaxis], given, logits)
        return usual[:, 0], unit[:, 0], spread
    axes = tuple(range(wanted.ndim - 1))
    seen = wanted[:given]
    deviations = seen.std(axis=axes)
    if not deviations.any():
        seen = wanted
        deviations = seen.std(axis=axes)
    middle = np.median(seen, axis=axes)
    apart = np.quantile(np.abs(seen - middle), COMMON, axis=axes)
    usual = np.where(apart > 0, np.minimum(deviations, apart), deviations)
    if logits and spec.activation == "softmax":
        usual, deviations = (np.full_like(d, np.sqrt(np.mean(d**2))) for d in (usual, deviations))
    size = np.quantile(np.abs(seen), COMMON, axis=axes)
    if (deviations <= np.maximum(STEP * size, SAME_LOGIT if logits else 0)).all():
        # One answer to everything: all there is to compare with. Logits have a unit of their own.
        unit = np.full_like(wanted, 1.0 if logits else np.abs(wanted).max(initial=0) or 1.0)
        return unit, unit, 0.0
    floor = np.maximum(1e-6 * size, LEAST_LOGIT if logits else 0)
    far = np.abs(wanted - middle) / MOST_DEVIATIONS

    def unit_of(deviations: np.ndarray) -> np.ndarray:
        # A column that never changes is compared with the steps of float32. Few columns are
        # quantities in units of their own; many are a vector, whose idle parts matter as little as
        # they are small.
        least = np.maximum(floor, 1e-30)
        if len(deviations) >= MANY_COLUMNS:
            least = np.maximum(least, 1e-4 * deviations.max())
        return np.asarray(np.maximum(np.maximum(deviations, least), far))

    return unit_of(usual), unit_of(deviations), float(np.mean(usual))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def _high(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.99)) if values.size else 0.0


def _activated(spec: Spec, logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    if spec.activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logits.clip(-500, 500))))
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _decided(spec: Spec, judged: np.ndarray) -> np.ndarray:
    """Outputs that make the same decisions as what is judged (logits, where there are any)."""
    return _activated(spec, judged) if spec.activation is not None else judged


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
        if not fits(spec.shape, shape):
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
    file = open_model(path, keep_tensors=True)
    sources = {name: contents.logit_source(path, file.outputs[name].index) for name in wanted}
    details = {d["index"]: d for d in file.interpreter.get_tensor_details()}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted if sources[name]}
    if not parts:
        return {}
    for used, batch in file.batches(reference.x, reference.batch_size):
        file.set_inputs(batch)
        answers = file.invoke()
        for name, values in parts.items():
            source = sources[name]
            assert source is not None
            index, layout = source
            logits = tensor_info(name, details[index]).dequantize(
                file.interpreter.get_tensor(index)
            )
            for change in layout:
                logits = change(logits)
            values.append(np.reshape(logits, answers[name].shape)[:used])
    return {name: np.concatenate(values) for name, values in parts.items()}


def _size(values: np.ndarray) -> float:
    return max(1.0, float(np.abs(values).max(initial=0)))


def _largest(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values.astype(np.float64) - expected).max(initial=0))
