"""Good files, damaged in every way that a lowering, a converter or a quantization could get wrong.

The verification has to refuse them. Whether a damage changed anything is decided here without it:
on rows that it does not see, against the undamaged file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import VerificationError
from keras_rnn_zoo.export import QUANTIZATIONS, export_tflite
from keras_rnn_zoo.export.convert.converter import in_this_process
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel
from keras_rnn_zoo.export.verify.compare import compare_tflite, compare_values
from keras_rnn_zoo.export.verify.reference import Reference, reference_of

MODES = ("none", "float16", "dynamic", "int8")
# What the verification sees, what int8 is calibrated on, and what decides whether answers changed.
GIVEN, CALIBRATION, FRESH = 32, 200, 400
# A damage counts where answers move by this share of their standard deviation on average, or where
# so many decisions are others.
MOVED, DECIDED = 0.05, 0.01
STEPS = 16


@dataclass
class Subject:
    """A trained model with data.

    Attributes:
        name: Its task.
        build: Makes the model for so many time steps (None for any number), masked or not.
        model: The trained one.
        x: Input name -> rows: `GIVEN`, then `CALIBRATION`, then `FRESH` ones.
        masked: It has a mask to ignore.
    """

    name: str
    build: Callable[..., Any]
    model: Any
    x: Arrays
    masked: bool

    def rows(self, start: int, count: int) -> Arrays:
        return {name: values[start : start + count] for name, values in self.x.items()}


# ---------------------------------------------------------------------------------------- models


def _tokens(generator: np.random.Generator, count: int) -> np.ndarray:
    x = generator.integers(1, 40, (count, STEPS)).astype("int32")
    x[np.arange(STEPS) >= generator.integers(4, STEPS + 1, (count, 1))] = 0
    return x


def _waves(generator: np.random.Generator, count: int, mask: float = 0.0) -> np.ndarray:
    phase, speed = generator.uniform(0, 6.28, (count, 1)), generator.uniform(0.2, 1.2, (count, 1))
    wave = np.sin(phase + speed * np.arange(STEPS))
    x = np.stack([wave, np.roll(wave, 2, 1) * speed, generator.normal(size=wave.shape)], -1)
    x[np.arange(STEPS) >= generator.integers(6, STEPS + 1, (count, 1))] = mask
    return x.astype("float32")


def _review(steps: int | None = STEPS, mask: bool = True) -> Any:
    import keras
    from keras import layers

    tokens = keras.Input((steps,), dtype="int32", name="tokens")
    x = layers.Embedding(40, 16, mask_zero=mask)(tokens)
    x = layers.Bidirectional(layers.LSTM(16, name="memory"), name="both")(x)
    return keras.Model(tokens, layers.Dense(1, activation="sigmoid", name="good")(x))


def _motion(steps: int | None = STEPS, mask: bool = True) -> Any:
    import keras
    from keras import layers

    sensor = keras.Input((steps, 3), name="sensor")
    x = layers.Masking(-9.0)(sensor) if mask else sensor
    x = layers.GRU(20, name="memory")(layers.GRU(20, return_sequences=True, name="below")(x))
    return keras.Model(sensor, layers.Dense(4, activation="softmax", name="motion")(x))


def _tags(steps: int | None = STEPS, mask: bool = True) -> Any:
    import keras
    from keras import layers

    tokens = keras.Input((steps,), dtype="int32", name="words")
    x = layers.Embedding(40, 16, mask_zero=mask)(tokens)
    x = layers.LSTM(24, return_sequences=True, name="memory")(x)
    return keras.Model(tokens, layers.Dense(5, activation="softmax", name="tag")(x))


def _forecast(steps: int | None = STEPS, mask: bool = False) -> Any:
    import keras
    from keras import layers

    past = keras.Input((steps, 3), name="past")
    x = layers.LSTM(24, name="memory")(past)
    # Kelvin, and dollars.
    head = layers.Dense(2, name="next")
    model = keras.Model(past, layers.Rescaling([9.0, 4e4], [285.0, 2e5], name="units")(head(x)))
    return model


def _elman(steps: int | None = STEPS, mask: bool = True) -> Any:
    import keras
    from keras import layers

    tokens = keras.Input((steps,), dtype="int32", name="tokens")
    x = layers.Embedding(40, 16, mask_zero=mask)(tokens)
    x = layers.Bidirectional(layers.SimpleRNN(16, name="memory"), name="both")(x)
    head = layers.Dense(3, activation="sigmoid", name="labels")(x)
    return keras.Model(tokens, [head, layers.Dense(1, name="stars")(x)])


def _targets(name: str, x: np.ndarray) -> Any:
    """What the models learn: things that depend on order, length and every step."""
    if name in ("review", "elman"):
        low = (x > 0) & (x < 14)
        weight = np.cos(np.arange(STEPS) / 4) + 0.3
        value = (np.where(low, 1.0, -0.4) * (x > 0) * weight).sum(axis=1)
        if name == "review":
            return (value > np.median(value)).astype("float32")[:, None]
        labels = np.stack([value > 0, low.sum(axis=1) > 3, x[:, 2] > 20], -1).astype("float32")
        return {"labels": labels, "stars": value[:, None].astype("float32")}
    if name == "motion":
        real = (x != -9.0).any(axis=2)
        last = real.sum(axis=1) - 1
        energy = np.abs(np.diff(np.where(real, x[..., 0], 0), axis=1)).mean(axis=1)
        up = x[np.arange(len(x)), last, 0] > 0
        return (2 * (energy > np.median(energy)) + up).astype("int32")
    if name == "tags":
        running = np.cumsum(np.where(x > 20, 1, -1) * (x > 0), axis=1)
        return np.clip(running // 2 + 2, 0, 4).astype("int32")
    after = x[:, -1, 0] * 0.7 + 0.3 * x[:, -3, 0]
    return np.stack([after, x[..., 1].mean(axis=1) * 3], -1).astype("float32")


BUILDERS = {
    "review": (_review, _tokens, "binary_crossentropy", True),
    "motion": (_motion, lambda g, n: _waves(g, n, -9.0), "sparse_categorical_crossentropy", True),
    "tags": (_tags, _tokens, "sparse_categorical_crossentropy", True),
    "forecast": (_forecast, lambda g, n: _unpadded(g, n), "mse", False),
    "elman": (_elman, _tokens, {"labels": "binary_crossentropy", "stars": "mse"}, True),
}


def _unpadded(generator: np.random.Generator, count: int) -> np.ndarray:
    phase, speed = generator.uniform(0, 6.28, (count, 1)), generator.uniform(0.2, 1.2, (count, 1))
    wave = np.sin(phase + speed * np.arange(STEPS))
    return np.stack([wave, np.roll(wave, 2, 1), np.cos(wave)], -1).astype("float32")


@cache
def subject(name: str) -> Subject:
    """Trains a model, the same each time."""
    import keras

    build, draw, loss, masked = BUILDERS[name]
    generator = np.random.default_rng(3)
    keras.utils.set_random_seed(4)
    model = build()
    train = draw(generator, 2000)
    learner = model
    if name == "forecast":  # learns in standard units
        learner = keras.Model(model.inputs, model.get_layer("next").output)
    learner.compile(keras.optimizers.Adam(0.01), loss)
    learner.fit(train, _targets(name, train), epochs=8, batch_size=64, verbose=0)
    x = draw(generator, GIVEN + CALIBRATION + FRESH)
    return Subject(name, build, model, {model.inputs[0].name: x}, masked)


# --------------------------------------------------------------------------------------- damages


@dataclass(frozen=True)
class Damaged:
    """A damaged file: what it answers, and what the verification says of it.

    Attributes:
        damage: What was done.
        changed: Its answers really are others.
        refused: The verification refuses it.
        moved: By how much answers moved, as a share of their standard deviation.
    """

    subject: str
    mode: str
    damage: str
    changed: bool
    refused: bool
    moved: float


def _recurrent(model: Any) -> list[Any]:
    """The innermost recurrent layers, both directions of a Bidirectional included."""
    from keras import layers

    kinds = (layers.SimpleRNN, layers.LSTM, layers.GRU)
    return [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]


def _swap_gates(model: Any, generator: np.random.Generator) -> bool:
    cell = _recurrent(model)[0].cell
    gates = cell.kernel.shape[-1] // cell.units
    if gates < 2:
        return False
    for weight in (cell.kernel, cell.recurrent_kernel, cell.bias):
        values = np.array(weight)
        first, second, *rest = np.split(values, gates, axis=-1)
        weight.assign(np.concatenate([second, first, *rest], axis=-1))
    return True


def _drop_direction(model: Any, generator: np.random.Generator) -> bool:
    cells = [layer.cell for layer in _recurrent(model)]
    if len(cells) < 2:
        return False
    for weight in (cells[-1].kernel, cells[-1].recurrent_kernel, cells[-1].bias):
        weight.assign(np.zeros(weight.shape))
    return True


def _drop_bias(model: Any, generator: np.random.Generator) -> bool:
    for layer in _recurrent(model):
        layer.cell.bias.assign(np.zeros(layer.cell.bias.shape))
    return True


def _drop_head_bias(model: Any, generator: np.random.Generator) -> bool:
    from keras import layers

    head = next(layer for layer in model.layers if isinstance(layer, layers.Dense))
    head.bias.assign(np.zeros(head.bias.shape))
    return True


def _zero_state(model: Any, generator: np.random.Generator) -> bool:
    kernel = _recurrent(model)[0].cell.recurrent_kernel
    kernel.assign(np.zeros(kernel.shape))
    return True


def _flip_signs(model: Any, generator: np.random.Generator) -> bool:
    for layer in _recurrent(model):
        for weight in (layer.cell.kernel, layer.cell.recurrent_kernel):
            values = np.array(weight)
            weight.assign(np.where(generator.random(values.shape) < 0.05, -values, values))
    return True


def _transpose(model: Any, generator: np.random.Generator) -> bool:
    kernel = _recurrent(model)[0].cell.recurrent_kernel
    units = kernel.shape[0]
    parts = np.split(np.array(kernel), kernel.shape[1] // units, axis=1)
    kernel.assign(np.concatenate([part.T for part in parts], axis=1))
    return True


def _shuffle_embedding(model: Any, generator: np.random.Generator) -> bool:
    from keras import layers

    tables = [layer for layer in model.layers if isinstance(layer, layers.Embedding)]
    if not tables:
        return False
    values = np.array(tables[0].embeddings)
    values[1:6] = values[1:6][::-1]
    tables[0].embeddings.assign(values)
    return True


# Change the weights of a copy, which is then exported in the mode.
IN_WEIGHTS: dict[str, Callable[[Any, np.random.Generator], bool]] = {
    "two gates swapped": _swap_gates,
    "a direction (or layer) dropped": _drop_direction,
    "bias of the recurrence dropped": _drop_bias,
    "bias of the head dropped": _drop_head_bias,
    "state zeroed at each step": _zero_state,
    "signs of 5 % of the weights flipped": _flip_signs,
    "recurrent kernel transposed": _transpose,
    "rows of the embedding mixed up": _shuffle_embedding,
}


def _halved(content: bytes, generator: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Halves a scale, or where there is none all weights, of one kernel in the file."""
    model = fb.unpack(content)
    places: dict[int, tuple[int, int]] = {}
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            if fb.op_name(model, operator) in ("FULLY_CONNECTED", "BATCH_MATMUL"):
                index = int(operator.inputs[1])
                tensor = graph.tensors[index]
                if fb.constant(model, tensor) is not None:
                    places.setdefault(tensor.buffer, (number, index))
    for buffer in sorted(places)[:3]:
        model = fb.unpack(content)
        for graph in model.subgraphs:
            for tensor in graph.tensors:
                if tensor.buffer != buffer:
                    continue
                if tensor.type == fb.INT8:
                    tensor.quantization.scale = tensor.quantization.scale / 2
                    continue
                values = fb.constant(model, tensor)
                data = (values / 2).astype(values.dtype).tobytes()
                model.buffers[buffer].data = np.frombuffer(data, np.uint8)
                break
        yield "a scale halved", fb.pack(model)


def _in_file(content: bytes, generator: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    yield from _halved(content, generator)
    model = fb.unpack(content)
    for graph in model.subgraphs:
        for operator in graph.operators:
            if fb.op_name(model, operator) == "TANH":
                fb.set_op(model, operator, "LOGISTIC", 1)
    yield "tanh computed as sigmoid", fb.pack(model)


def _clipped(content: bytes) -> bytes | None:
    """Limits the cell of each LSTM op."""
    model = fb.unpack(content)
    found = False
    for graph in model.subgraphs:
        for operator in graph.operators:
            if fb.op_name(model, operator) == "UNIDIRECTIONAL_SEQUENCE_LSTM":
                operator.builtinOptions.cellClip = 0.3
                found = True
    return fb.pack(model) if found else None


def _in_answers(made: Subject, answers: Arrays, generator: np.random.Generator) -> Any:
    """Damages that show in the answers alone: name -> the answers to the same rows."""
    order = generator.permutation(len(next(iter(answers.values()))))
    yield "rows shuffled", {name: values[order] for name, values in answers.items()}
    yield (
        "the answer of the row before",
        {name: np.roll(values, 1, axis=0) for name, values in answers.items()},
    )
    yield (
        "the mean of all answers",
        {
            name: np.broadcast_to(values.mean(axis=0, keepdims=True), values.shape).copy()
            for name, values in answers.items()
        },
    )
    yield (
        "one answer to all",
        {
            name: np.broadcast_to(values[:1], values.shape).copy()
            for name, values in answers.items()
        },
    )


def damaged(name: str, mode: str, damages: Callable[[str], bool] = lambda name: True) -> Any:
    """Yields what becomes of each damage to a model's file in a mode.

    Args:
        name: A key of `BUILDERS`.
        mode: Name of a quantization mode.
        damages: Which to try, by name.

    Yields:
        `None` for the undamaged file first, which passed, or raises; then a `Damaged` each.
    """
    made = subject(name)
    generator = np.random.default_rng(8)
    quantization = QUANTIZATIONS.get(mode)
    reference = reference_of(made.model, made.rows(0, GIVEN), roundings=roundings([quantization]))
    fresh = made.rows(GIVEN + CALIBRATION, FRESH)
    with tempfile.TemporaryDirectory() as scratch, in_this_process():
        path = Path(scratch) / "model.tflite"

        def write(model: Any, **settings: Any) -> bytes:
            export_tflite(
                model,
                path,
                quantization=mode,
                representative_data=made.rows(GIVEN, CALIBRATION),
                verify=False,
                diagnose=False,
                progress=False,
                **settings,
            )
            return path.read_bytes()

        def judged(damage: str, content: bytes) -> Damaged | None:
            path.write_bytes(content)
            try:
                after = _answers(path, fresh)
            except Exception:  # the interpreter does not run it
                return None
            return _outcome(made, mode, damage, before, after, lambda: _verify(path, reference))

        good = write(made.model)
        before = _answers(path, fresh)
        _verify(path, reference)
        yield None
        answers = _answers(path, reference.x)
        for damage, change in IN_WEIGHTS.items():
            if damages(damage):
                copy = made.build()
                copy.set_weights(made.model.get_weights())
                if change(copy, generator):
                    outcome = judged(damage, write(copy))
                    if outcome is not None:
                        yield outcome
        if made.masked and damages("mask ignored"):
            copy = made.build(mask=False)
            copy.set_weights(made.model.get_weights())
            outcome = judged("mask ignored", write(copy))
            if outcome is not None:
                yield outcome
        for damage, content in _in_file(good, generator):
            if damages(damage):
                outcome = judged(damage, content)
                if outcome is not None:
                    yield outcome
        if mode != "int8" and damages("cell clipped"):
            fused = write(made.model, lowering="fused")
            clipped = _clipped(fused)
            if clipped is not None:
                outcome = judged("cell clipped", clipped)
                if outcome is not None:
                    yield outcome
        path.write_bytes(good)
        shifted = {key: np.roll(values, 1, axis=1) for key, values in reference.x.items()}
        late = {key: np.roll(values, 1, axis=1) for key, values in fresh.items()}
        if damages("a step late"):
            yield _outcome(
                made,
                mode,
                "a step late",
                before,
                _answers(path, late),
                lambda: _compare(reference, mode, [_answers(path, shifted)] * 3),
            )
        if damages("state kept between calls"):
            yield _outcome(
                made,
                mode,
                "state kept between calls",
                before,
                _kept(made, fresh),
                lambda: _compare(reference, mode, [answers, _kept(made, reference.x), answers]),
            )
        for (damage, after), (_, wrong) in zip(
            _in_answers(made, before, np.random.default_rng(1)),
            _in_answers(made, answers, np.random.default_rng(1)),
            strict=True,
        ):
            if damages(damage):
                yield _outcome(
                    made,
                    mode,
                    damage,
                    before,
                    after,
                    lambda wrong=wrong: _compare(reference, mode, [wrong] * 3),
                )


def _kept(made: Subject, x: Arrays) -> Arrays:
    """What a file that keeps its states answers to each row the second time."""
    model = made.build(steps=None)
    model.set_weights(made.model.get_weights())
    (values,) = x.values()
    outputs = model(np.concatenate([values, values], axis=1), training=False)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    names = _names(made.model)
    found = {}
    for name, output in zip(names, outputs, strict=True):
        output = np.array(output)
        found[name] = output[:, values.shape[1] :] if output.ndim == 3 else output
    return found


def _names(model: Any) -> list[str]:
    from keras_rnn_zoo.export.keras_model.model import KerasModel

    return KerasModel(model).outputs


def _answers(path: Path, x: Arrays) -> Arrays:
    file = TFLiteModel(path)
    answers = file.predict(x)
    return answers if isinstance(answers, dict) else {next(iter(file.outputs)): answers}


def _verify(path: Path, reference: Reference) -> None:
    # The reference knows no rounding, and the rounding of the mode.
    mode = list(reference.disturbed)[-1]
    compare_tflite(path, reference, QUANTIZATIONS.get(mode).tolerance, mode=mode)


def _compare(reference: Reference, mode: str, invokes: list[Arrays]) -> None:
    compare_values("model.tflite", reference, QUANTIZATIONS.get(mode).tolerance, invokes, mode=mode)


def _outcome(
    made: Subject,
    mode: str,
    damage: str,
    before: Arrays,
    after: Arrays,
    verify: Callable[[], None],
) -> Damaged:
    moved, decided = 0.0, 0.0
    for name, values in before.items():
        axes = tuple(range(values.ndim - 1))
        spread = np.maximum(values.std(axis=axes), 1e-30)
        moved = max(moved, float((np.abs(after[name] - values) / spread).mean()))
        if values.shape[-1] == 1:
            others = (after[name] > 0.5) != (values > 0.5)
        else:
            others = after[name].argmax(axis=-1) != values.argmax(axis=-1)
        if made.name not in ("forecast",) and name != "stars":
            decided = max(decided, float(others.mean()))
    finite = all(np.isfinite(values).all() for values in after.values())
    try:
        verify()
        refused = False
    except VerificationError:
        refused = True
    changed = not finite or moved > MOVED or decided > DECIDED
    return Damaged(made.name, mode, damage, changed, refused, moved)
