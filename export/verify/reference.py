"""What a Keras model answers to samples: all that its files are compared with.

Beside the answers stand those of the same model with disturbed weights: how much it makes of the
rounding that each quantization mode does. Without that nobody can tell a wrong file from a model
that amplifies rounding.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_rnn_zoo.errors import ExportError, RunError
from keras_rnn_zoo.export.keras_model.heads import head_of, last_weights
from keras_rnn_zoo.export.keras_model.model import KerasModel
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.keras_model.recurrent import is_recurrent
from keras_rnn_zoo.export.keras_model.samples import Samples, as_samples
from keras_rnn_zoo.export.keras_model.sequences import make_lengths
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.export.verify.integer_products import IntegerProducts
from keras_rnn_zoo.files import PathLike

# Samples that Keras answers at once.
BATCH = 256
# Steps of a recurrent layer, one after the other in eager mode, that take as long as tracing it.
STEPS_WORTH_A_TRACE = 60
# Disturbances by chance: one alone may happen to change little.
TIMES = 2


class Rounding(Protocol):
    """What a quantization mode does to numbers; see `Quantization`."""

    @property
    def by_chance(self) -> bool:
        """Whether it does something else each time."""

    @property
    def integer_products(self) -> bool:
        """Whether it rounds the inputs and results of products, too."""

    def disturbed(self, weight: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns a weight as far from what it was as the mode's rounding takes it."""

    def disturbed_input(self, values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns float inputs as far from what they were as the mode's rounding takes them."""


@dataclass(frozen=True)
class Spec:
    """An input or output of the Keras model, as `TensorInfo` is one of the file.

    Attributes:
        name: Its name in the signature.
        shape: Its shape, batch included; None where the model leaves a size open.
        dtype: NumPy name of its type.
        activation: `"sigmoid"`, `"softmax"` or None: what an output ends in.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    activation: str | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """What a Keras model answers: all that its files are compared with.

    Attributes:
        inputs: The model's inputs.
        outputs: The model's outputs.
        x: Input name -> encoded samples `[samples, ...]`; made ones come last.
        answers: Output name -> what the model answered, `[samples, ...]`.
        logits: Output name -> what went into its sigmoid or softmax.
        given: How many of the samples are real; the others are made of them.
        disturbed: Quantization mode -> for each disturbance of the model's weights, output name ->
            what it then answered (logits, where there are any).
        left_out: Made samples that the model itself answers with NaN or infinity; they are not
            among the samples.
        batch_size: Samples to answer at once, for a file that can be resized; None for one.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    x: Arrays
    answers: Arrays
    logits: Arrays
    given: int
    disturbed: dict[str, tuple[Arrays, ...]] = field(default_factory=dict)
    left_out: int = 0
    batch_size: int | None = None

    def judged(self, name: str) -> np.ndarray:
        """Returns the answers of an output that differences are measured on: logits, if any."""
        return self.logits.get(name, self.answers[name])

    def renamed(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Reference:
        """Returns the same, for a file that has other names.

        Args:
            inputs: Name -> another name; those not in it stay.
            outputs: The same of outputs.
        """

        def keyed(arrays: Arrays, names: Mapping[str, str]) -> Arrays:
            return {names.get(name, name): values for name, values in arrays.items()}

        def called(specs: tuple[Spec, ...], names: Mapping[str, str]) -> tuple[Spec, ...]:
            return tuple(replace(spec, name=names.get(spec.name, spec.name)) for spec in specs)

        return replace(
            self,
            inputs=called(self.inputs, inputs),
            outputs=called(self.outputs, outputs),
            x=keyed(self.x, inputs),
            answers=keyed(self.answers, outputs),
            logits=keyed(self.logits, outputs),
            disturbed={
                mode: tuple(keyed(answers, outputs) for answers in every)
                for mode, every in self.disturbed.items()
            },
        )

    def only(self, rows: np.ndarray) -> Reference:
        """Returns the same with some of the samples.

        Args:
            rows: bool `[samples]`.
        """

        def chosen(arrays: Arrays) -> Arrays:
            return {name: values[rows] for name, values in arrays.items()}

        return replace(
            self,
            x=chosen(self.x),
            answers=chosen(self.answers),
            logits=chosen(self.logits),
            given=int(rows[: self.given].sum()),
            disturbed={
                mode: tuple(chosen(answers) for answers in every)
                for mode, every in self.disturbed.items()
            },
        )

    def save(self, path: PathLike) -> None:
        """Writes the reference as an .npz file without pickles."""
        spec = {
            "inputs": [asdict(item) for item in self.inputs],
            "outputs": [asdict(item) for item in self.outputs],
            "given": self.given,
            "left_out": self.left_out,
            "batch_size": self.batch_size,
            "disturbed": {mode: len(answers) for mode, answers in self.disturbed.items()},
        }
        arrays = {"spec": np.array(json.dumps(spec))}
        for mode, every in self.disturbed.items():
            for which, answers in enumerate(every):
                for number, item in enumerate(self.outputs):
                    arrays[f"disturbed_{mode}_{which}_{number}"] = answers[item.name]
        for group in ("x", "answers", "logits"):
            names = self.inputs if group == "x" else self.outputs
            for number, item in enumerate(names):
                if item.name in getattr(self, group):
                    arrays[f"{group}_{number}"] = getattr(self, group)[item.name]
        with Path(path).open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: PathLike) -> Reference:
        """Reads what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                spec = json.loads(str(stored["spec"]))
                inputs, outputs = (
                    tuple(Spec(**{**item, "shape": tuple(item["shape"])}) for item in spec[key])
                    for key in ("inputs", "outputs")
                )
                x, answers, logits = (
                    {
                        item.name: stored[f"{group}_{number}"]
                        for number, item in enumerate(names)
                        if f"{group}_{number}" in stored
                    }
                    for group, names in (("x", inputs), ("answers", outputs), ("logits", outputs))
                )
                disturbed = {
                    mode: tuple(
                        {
                            item.name: stored[f"disturbed_{mode}_{which}_{number}"]
                            for number, item in enumerate(outputs)
                        }
                        for which in range(count)
                    )
                    for mode, count in spec.get("disturbed", {}).items()
                }
                given = int(spec["given"])
                counts = {len(v) for group in (x, answers, logits) for v in group.values()}
                if (
                    [len(x), len(answers)] != [len(inputs), len(outputs)]
                    or len(counts) != 1
                    or not 0 < given <= min(counts)
                ):
                    raise ValueError("not one answer to each sample")
                for spec_of in outputs:
                    shape = answers[spec_of.name].shape
                    groups = [logits] if spec_of.activation is not None else []
                    groups += [other for every in disturbed.values() for other in every]
                    if any(group[spec_of.name].shape != shape for group in groups):
                        raise ValueError("not one logit to each answer")
                return cls(
                    inputs,
                    outputs,
                    x,
                    answers,
                    logits,
                    given=given,
                    disturbed=disturbed,
                    left_out=int(spec.get("left_out", 0)),
                    batch_size=size if isinstance(size := spec.get("batch_size"), int) else None,
                )
        except Exception as error:  # a damaged zip fails in whatever way its bytes say
            raise RunError(
                f"Cannot read {path}: it is missing or damaged. Take a complete copy, or export "
                "again."
            ) from error


def reference_of(
    model: KerasModel | Any,
    samples: Any,
    *,
    made: bool = True,
    roundings: Mapping[str, Rounding] | None = None,
    keep_states: bool = False,
) -> Reference:
    """Runs a Keras model on samples, for its files to be compared with.

    Args:
        model: A built `keras.Model`, or what `prepare` made of one; it is not changed.
        samples: Encoded inputs, in any form that `as_samples` takes.
        made: Add samples of other lengths, made of the given ones: see `make_lengths`.
        roundings: Quantization mode -> what its rounding does. The model answers with weights and
            inputs so rounded, too; but not one that keeps states, which those calls would change.
        keep_states: Stateful layers go on from call to call, instead of from zeros in each.

    Raises:
        ExportError: The samples do not fit the model, or the model answers NaN.
    """
    ready = prepare(model, samples, keep_states=keep_states, compare=False)
    return _reference_of(ready, samples, made, roundings or {} if not ready.stateful else {})


# Batch sizes at which a file is compared that can be resized, beside one.
OTHER_BATCHES = (3, 2)
# Lengths, as multiples of that of the samples; the last where the model does not take the first.
OTHER_LENGTHS = (0.5, 2.0, 3.0)


def resized(model: KerasModel | Any, samples: Samples) -> list[Samples]:
    """Returns samples of two other sizes, for a file that can be resized.

    The first half of the time steps, and all of them twice over (or three times, where Keras takes
    no fewer), along the axes that the model leaves open; the same samples where it leaves none, or
    Keras takes no others: their batches are of other sizes still.
    """
    model = KerasModel.of(model)
    axes = {
        spec.name: [axis for axis, size in enumerate(spec.shape) if axis and size is None]
        for spec in model.inputs
    }
    found: list[Samples] = []
    for factor in OTHER_LENGTHS if any(axes.values()) else ():
        if len(found) == len(OTHER_BATCHES):
            break
        x = {name: _repeated(values, axes[name], factor) for name, values in samples.items()}
        if model.takes(x):
            found.append(x)
    return found + [samples] * (len(OTHER_BATCHES) - len(found))


def _repeated(values: np.ndarray, axes: list[int], factor: float) -> np.ndarray:
    for axis in axes:
        size = values.shape[axis]
        values = values.take(np.arange(max(1, int(size * factor))) % size, axis)
    return values


def resized_references(
    model: KerasModel | Any, samples: Samples, roundings: Mapping[str, Rounding]
) -> list[Reference]:
    """Runs a Keras model on samples of other sizes; see `resized` and `reference_of`."""
    return [
        replace(reference_of(model, x, roundings=roundings), batch_size=batch)
        for x, batch in zip(resized(model, samples), OTHER_BATCHES, strict=True)
    ]


def sizes_proven(samples: Samples, others: list[Reference]) -> str:
    """Says at which sizes a file was compared that can be resized, in one sentence."""

    def size(x: Arrays, batch: int) -> str:
        return " and ".join("x".join(map(str, (batch, *a.shape[1:]))) for a in x.values())

    sizes = [size(samples, 1), *(size(other.x, other.batch_size or 1) for other in others)]
    return f"The inputs can be resized; compared with the Keras model at {', '.join(sizes)}."


def _reference_of(
    model: KerasModel, samples: Any, made: bool, roundings: Mapping[str, Rounding]
) -> Reference:
    import tensorflow as tf

    x = as_samples(model, samples)
    given = len(next(iter(x.values())))
    if made:
        extra = make_lengths(x, model.paddings)
        x = {name: np.concatenate([x[name], extra[name]]) for name in x}
    floats = [TIMES if r.by_chance else 1 for r in roundings.values() if not r.integer_products]
    probe = _Probe(model, passes=1 + sum(floats))
    try:
        answers, logits = probe.answers(x)
    except tf.errors.UnimplementedError as error:
        reason = str(error).partition("}} ")[2].partition(" [Op:")[0] or str(error)
        raise ExportError(
            f"Keras does not run model '{model.name}' on this processor, so there is nothing to "
            f"compare a file with: {' '.join(reason.split())[:300].rstrip('.')}. Export it on a "
            "machine where Keras runs it, or write the file unproven: export_tflite(..., "
            "verify=False)."
        ) from error
    finite = np.ones(len(next(iter(x.values()))), bool)
    for name, values in answers.items():
        good = np.asarray(np.isfinite(values).reshape(len(values), -1).all(axis=1))
        if not good[:given].all():
            raise ExportError(
                f"Model '{model.name}' answers NaN or infinity (output '{name}', sample "
                f"{int(good.argmin())}): there is nothing to compare a file with. Look at that "
                "sample; if all are like that, train again with a lower learning rate."
            )
        finite &= good
    left_out = int((~finite).sum())
    x, answers, logits = (
        {name: values[finite] for name, values in group.items()} for group in (x, answers, logits)
    )
    disturbed = {}
    for mode, rounding in roundings.items():
        every = []
        for seed in range(TIMES if rounding.by_chance else 1):
            changed, inner = probe.answers(x, rounding, np.random.default_rng(seed))
            every.append(
                {
                    name: np.nan_to_num(inner.get(name, values).astype(np.float32))
                    for name, values in changed.items()
                }
            )
        disturbed[mode] = tuple(every)
    return Reference(
        inputs=tuple(Spec(s.name, s.shape, s.dtype) for s in model.inputs),
        outputs=tuple(
            Spec(
                name,
                _shape(tensor, answers[name]),
                answers[name].dtype.name,
                probe.activations[name],
            )
            for name, tensor in zip(model.outputs, model.symbolic_outputs, strict=True)
        ),
        x=x,
        answers=answers,
        logits=logits,
        given=given,
        disturbed=disturbed,
        left_out=left_out,
    )


def _shape(tensor: Any, answer: np.ndarray) -> tuple[int | None, ...]:
    """The shape of an output; what Keras believes of a custom cell's may be wrong."""
    if len(tensor.shape) != answer.ndim:
        return (None, *answer.shape[1:])
    sizes = zip(tensor.shape, answer.shape, strict=True)
    return tuple(None if known is None else size for known, size in sizes)


def keras_answers(model: KerasModel | Any, x: Arrays) -> Arrays:
    """Returns output name -> what the model answers, in inference mode.

    Args:
        model: The model.
        x: Input name -> encoded samples.
    """
    return _Probe(KerasModel.of(model), logits=False).answers(x)[0]


class _Probe:
    """A model that shows what goes into its heads, with its own weights or with others.

    Args:
        model: The model.
        logits: Look into its heads.
        passes: How often it is going to answer.

    Attributes:
        activations: Output name -> what it ends in; see `Spec`.
    """

    def __init__(self, model: KerasModel, *, logits: bool = True, passes: int = 1):
        import keras

        self._model = model
        self._passes = passes
        self._floats = [v for v in model.keras.variables if "float" in str(v.dtype)]
        self._names = model.outputs
        outputs = model.symbolic_outputs
        self._heads = [head_of(tensor) if logits else None for tensor in outputs]
        self._exact = {id(variable) for tensor in outputs for variable in last_weights(tensor)}
        self.activations = {
            name: head.activation if head else None
            for name, head in zip(self._names, self._heads, strict=True)
        }
        # One pass through the layers gives the outputs and what goes into their heads.
        features = [tensor for head in self._heads if head is not None for tensor in head.inputs]
        self._run: Callable[[list[Any]], list[Any]]
        if features:
            probe = keras.Model(list(model.keras.inputs), [*outputs, *features])
            self._run = lambda inputs: list(probe(inputs, training=False))
        else:
            self._run = model

    def answers(
        self,
        x: Arrays,
        rounding: Rounding | None = None,
        generator: np.random.Generator | None = None,
    ) -> tuple[Arrays, Arrays]:
        """Returns output name -> answers, and output name -> logits.

        Args:
            x: Input name -> encoded samples.
            rounding: What is done to the weights that it answers with, and to its float inputs.
            generator: For `rounding`.
        """
        import tensorflow as tf

        values = None
        integers = None
        if rounding is not None:
            assert generator is not None
            x = {name: _rounded(given, rounding, generator) for name, given in x.items()}
            values = [
                tf.constant(rounding.disturbed(_numpy(variable), generator))
                for variable in self._floats
            ]
            if rounding.integer_products:
                integers = IntegerProducts(
                    [value.numpy() for value in values],
                    [
                        value.numpy()
                        for variable, value in zip(self._floats, values, strict=True)
                        if id(variable) in self._exact
                    ],
                )
        found: dict[str, list[np.ndarray]] = {name: [] for name in self._names}
        raw: dict[str, list[np.ndarray]] = {
            name: [] for name, head in zip(self._names, self._heads, strict=True) if head
        }
        run = self._traced if integers is None and self._pays(x) else self._answer
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._model.computing())
            batches = list(self._batches(x))
            if integers is not None:
                for _, inputs in batches:
                    with integers.seen():
                        run(inputs, values)
                stack.enter_context(integers.rounded())
            for used, inputs in batches:
                results = run(inputs, values)
                rest = iter(results[len(self._names) :])
                for name, head, answer in zip(self._names, self._heads, results, strict=False):
                    found[name].append(np.asarray(answer)[:used])
                    if head is not None:
                        answer = head.apply([next(rest) for _ in head.inputs])
                        raw[name].append(np.asarray(answer)[:used])
        return (
            {name: np.concatenate(parts) for name, parts in found.items()},
            {name: np.concatenate(parts) for name, parts in raw.items()},
        )

    def _batches(self, x: Arrays) -> Iterator[tuple[int, list[Any]]]:
        """Yields how many rows of a batch count, and its flat inputs."""
        import tensorflow as tf

        fixed = self._model.inputs[0].shape[0]
        order = [spec.name for spec in self._model.inputs]
        count = len(x[order[0]])
        for start in range(0, count, fixed or BATCH):
            rows = np.arange(start, min(count, start + BATCH) if not fixed else start + fixed)
            inputs = [tf.constant(x[name][rows.clip(max=count - 1)]) for name in order]
            yield int((rows < count).sum()), inputs

    def _answer(self, inputs: list[Any], values: list[Any] | None) -> list[Any]:
        import keras

        if values is None:
            return self._run(inputs)
        with keras.StatelessScope(state_mapping=list(zip(self._floats, values, strict=True))):
            return self._run(inputs)

    def _pays(self, x: Arrays) -> bool:
        """Whether answering takes longer step by step than tracing all steps does."""
        if self._model.stateful or not any(map(is_recurrent, self._model.layers)):
            return False
        count = len(next(iter(x.values())))
        steps = max((array.shape[1] for array in x.values() if array.ndim > 1), default=1)
        return self._passes * -(-count // BATCH) * steps > STEPS_WORTH_A_TRACE

    def _traced(self, inputs: list[Any], values: list[Any] | None) -> list[Any]:
        """The same in a graph, traced once for all weights."""
        import tensorflow as tf

        if values is None:
            values = [tf.convert_to_tensor(variable.value) for variable in self._floats]
        return list(self._graph(inputs, values))

    @cached_property
    def _graph(self) -> Callable[[list[Any], list[Any]], list[Any]]:
        import tensorflow as tf

        return tf.function(self._answer, autograph=False, reduce_retracing=True)  # type: ignore[no-any-return]


def _numpy(variable: Any) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(variable.value))


def _rounded(values: np.ndarray, rounding: Rounding, generator: np.random.Generator) -> np.ndarray:
    """Rounds inputs; whole numbers may be ids, padding or a mask value, and stay."""
    if values.dtype.kind != "f":
        return values
    return np.where(
        values == np.rint(values), values, rounding.disturbed_input(values, generator)
    ).astype(values.dtype)
