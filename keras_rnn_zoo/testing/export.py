"""Whether a lowering, quantization mode, target or format does what an export expects of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, TargetError, VerificationError
from keras_rnn_zoo.testing.claims import claim, working

TIMESTEPS, FEATURES = 9, 5
# The same float32 sums in another order, over nine steps.
ROUNDING = 2e-6


def check_lowering(name: str) -> None:
    """Asserts that a lowering computes what Keras computes, or says what it leaves to another.

    Every kind of recurrence is run, masked at both ends, in the middle and everywhere, with and
    without sequences, states and direction; then one is written as a file and verified.

    Args:
        name: A name of `LOWERINGS`.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    from keras_rnn_zoo.export import TARGETS, export_tflite
    from keras_rnn_zoo.export.keras_model.prepare import prepare
    from keras_rnn_zoo.export.lowering import FLOAT, LOWERINGS
    from keras_rnn_zoo.export.lowering.carry_out import carried_out
    from keras_rnn_zoo.export.lowering.plan import plan

    lowering = LOWERINGS.get(name)
    x = _rows()
    # What a lowering by steps computes in one of them is told from the file alone.
    for what, make in ({} if lowering.steps else _recurrences()).items():
        model = make()
        ready = prepare(model)
        planned = plan(ready, lowering=name)
        for path, reason in planned.fallbacks.items():
            claim(
                reason[0].islower() and not reason.endswith("."),
                f"Lowering '{name}' refuses {what} ('{path}') with {reason!r}. Say it as a clause "
                "whose subject is the layer, without capital or full stop.",
            )
        found = carried_out(ready, planned, FLOAT)(x)
        expected = ready([x])
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            worst = float(np.abs(np.asarray(one) - np.asarray(other)).max())
            claim(
                worst <= ROUNDING * max(1.0, float(np.abs(other).max())),
                f"Lowering '{name}' computes something else than Keras of {what}: output {number} "
                f"differs by {worst:.2g}.",
            )
    target = next(one for one in TARGETS.names() if name in TARGETS.get(one).lowerings)
    masked = TARGETS.get(target).masks
    with working(f"Lowering '{name}': writing an LSTM"), _scratch() as place:
        result = export_tflite(
            _recurrences(masked=masked)["an LSTM"](),
            place / "model.tflite",
            lowering=name,
            target=target,
            samples=x,
            diagnose=False,
            progress=False,
        )
    claim(
        result.lowering and set(result.lowering.values()) <= {name, lowering.fallback},
        f"Lowering '{name}' wrote {result.lowering}, neither itself nor its fallback.",
    )


def check_looking_back(name: str, *stack: Any) -> None:
    """Asserts that a layer that looks back answers some steps at a time what it answers at once.

    Args:
        name: A name of `LOOKING_BACK`.
        *stack: Keras layers, one behind the other, the last of which it runs: with other arguments
            in each of several calls.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    import keras

    from keras_rnn_zoo.export.keras_model.prepare import prepare
    from keras_rnn_zoo.export.lowering import FLOAT
    from keras_rnn_zoo.export.lowering.carry_out import carried_out
    from keras_rnn_zoo.export.lowering.streaming.looking_back import LOOKING_BACK, looking_back
    from keras_rnn_zoo.export.lowering.streaming.probe import streaming_plan, why_not

    kind = type(stack[-1]).__name__
    claim(
        looking_back(stack[-1]) is LOOKING_BACK.get(name),
        f"'{name}' runs {', '.join(LOOKING_BACK.get(name).layers)}, and not a {kind} as this one.",
    )
    inputs = x = keras.Input((24, FEATURES))
    for layer in stack:
        x = layer(x)
    ready = prepare(_wide(inputs, keras.layers.GRU(3, return_sequences=True)(x)))
    reason = why_not(ready)
    claim(reason is None, f"'{name}' cannot run a {kind}: {reason}.")
    least = streaming_plan(ready).steps or 1
    for steps in (least, 3 * least):
        plan = streaming_plan(ready, steps=steps)
        step = carried_out(ready.open_in_time, plan, FLOAT)
        rows = np.random.default_rng(0).normal(size=(1, 8 * steps, FEATURES)).astype(np.float32)
        rows[:, steps : 2 * steps] = 0  # padding, where there is a mask
        states = [state.at_start() for state in plan.states]
        made: list[Any] = []
        for start in range(0, rows.shape[1], steps):
            answer, *states = step(rows[:, start : start + steps], *states)
            made.append(np.asarray(answer))
        found, (whole,) = np.concatenate(made, axis=1), ready.open_in_time([rows])
        worst = float(np.abs(found - np.asarray(whole)).max())
        claim(
            worst <= 10 * ROUNDING,
            f"'{name}' makes something else of {steps} steps at a time than of all at once of a "
            f"{kind}: it differs by {worst:.2g}.",
        )


def check_quantization(name: str) -> None:
    """Asserts that a quantization mode makes files that answer what the Keras model answers.

    Args:
        name: A name of `QUANTIZATIONS`.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    from keras_rnn_zoo.export import QUANTIZATIONS, TARGETS, export_tflite
    from keras_rnn_zoo.export.tflite.opened import open_model

    mode = QUANTIZATIONS.get(name)
    others = {
        QUANTIZATIONS.get(other).file_name for other in QUANTIZATIONS.names() if other != name
    }
    claim(
        mode.file_name not in others,
        f"Quantization '{name}' writes {mode.file_name!r} into a bundle, as another mode does.",
    )
    claim(mode.tolerance.reason, f"The tolerance of quantization '{name}' gives no reason.")
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(8, 12)).astype(np.float32)
    disturbed = mode.disturbed(weight.copy(), generator)
    claim(
        (disturbed.shape, disturbed.dtype) == (weight.shape, weight.dtype),
        f"Quantization '{name}' disturbs a weight {weight.dtype}{list(weight.shape)} to "
        f"{disturbed.dtype}{list(disturbed.shape)}.",
    )
    target = "litert" if mode.targets is None else mode.targets[0]
    x, masked = _rows(), TARGETS.get(target).masks
    for what, make in _recurrences(few=True, masked=masked).items():
        with working(f"Quantization '{name}' of {what}"), _scratch() as place:
            result = export_tflite(
                make(),
                place / mode.file_name,
                quantization=name,
                target=target,
                samples=x,
                representative_data=x,
                diagnose=False,
                progress=False,
            )
            open_model(result.path).predict(x[:1])


def check_target(name: str) -> None:
    """Asserts that a target says which files it takes, and refuses the others with a reason.

    Args:
        name: A name of `TARGETS`.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    from keras_rnn_zoo.export import LOWERINGS, QUANTIZATIONS, TARGETS, export_tflite
    from keras_rnn_zoo.export.tflite.contents import inspect

    target = TARGETS.get(name)
    claim(target.lowerings, f"Target '{name}' accepts no lowering.")
    for lowering in target.lowerings:
        claim(lowering in LOWERINGS, f"Target '{name}' accepts '{lowering}', which is no lowering.")
    for mode, reason in target.refused_quantizations.items():
        claim(mode in QUANTIZATIONS, f"Target '{name}' refuses '{mode}', which is no quantization.")
        claim(
            reason[0].islower() and not reason.endswith("."),
            f"Target '{name}' refuses '{mode}' with {reason!r}. Say it as a clause.",
        )
        _refuses(partial(target.check_quantization, mode), ConfigError, name, mode)
    modes = target.quantizations()
    claim(modes, f"Target '{name}' takes no quantization.")
    x = _rows()
    with working(f"Target '{name}': writing an LSTM"), _scratch() as place:
        result = export_tflite(
            _recurrences(masked=False)["an LSTM"](),
            place / "model.tflite",
            target=name,
            quantization="none" if "none" in modes else modes[0],
            samples=x,
            representative_data=x,
            diagnose=False,
            progress=False,
        )
        info = inspect(result.path)
        claim(target.refuses(info) is None, f"Target '{name}' refuses the file written for it.")
        for wanted, other in (
            (target.one_subgraph, replace(info, subgraphs=3)),
            (target.stateless, replace(info, variables=2)),
        ):
            if wanted:
                _refuses(partial(target.check_file, other, {}), TargetError, name, "it")


def check_client(name: str) -> None:
    """Asserts that a client finds itself, runs a right file, and notices a wrong one.

    Where it is not installed, only that it says how it would be.

    Args:
        name: A name of `CLIENTS`.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    from keras_rnn_zoo.export import TARGETS
    from keras_rnn_zoo.export.clients import CLIENTS
    from keras_rnn_zoo.export.clients.client import installed
    from keras_rnn_zoo.export.clients.prove import NOT_FOR_IT

    client = CLIENTS.get(name)
    claim(client.target in TARGETS, f"Client '{name}' has the limits of no target.")
    with _scratch() as place:
        claim(
            client.found_in(place) is None,
            f"Client '{name}' finds itself in a folder that holds nothing.",
        )
        places = installed(client)
        modes = TARGETS.get(client.target).quantizations(["none", "int8"])
        for mode in modes if places else ():
            outcomes: list[str] = [_runs_in(client, one, mode, place) for one in places]
            if NOT_FOR_IT not in outcomes:
                return
        claim(not places, f"Client '{name}' takes an LSTM in none of the modes {modes}.")


def _runs_in(client: Any, one: Any, mode: str, place: Path) -> str:
    """Runs an LSTM, right and wrong, in an installed client; returns what came of the right one."""
    from keras_rnn_zoo.export import QUANTIZATIONS, export_tflite
    from keras_rnn_zoo.export.clients.prove import (
        COMPILED,
        NOT_FOR_IT,
        REFUSED,
        RIGHT,
        WRONG,
        prove,
    )
    from keras_rnn_zoo.export.quantization import roundings
    from keras_rnn_zoo.export.verify.reference import reference_of

    quantization = QUANTIZATIONS.get(mode)
    model, x, finished = _lstm_for(client.target)
    path = export_tflite(
        model,
        place / quantization.file_name,
        target=client.target,
        quantization=mode,
        samples=x,
        representative_data=x,
        diagnose=False,
        progress=False,
    ).path
    plain = path.read_bytes()
    path.write_bytes(finished(plain))
    reference = reference_of(model, x, roundings=roundings([quantization]))
    found = prove(client, one, path, reference, quantization)
    where = f"In client '{client.name}' ({one.version})"
    claim(
        found.outcome in (RIGHT, COMPILED, NOT_FOR_IT),
        f"{where} an LSTM is {found.outcome}: {found.problem}",
    )
    if found.outcome != RIGHT:
        return str(found.outcome)
    reversed_ = replace(
        reference,
        answers={key: values[::-1].copy() for key, values in reference.answers.items()},
        logits={key: values[::-1].copy() for key, values in reference.logits.items()},
    )
    wrong = prove(client, one, path, reversed_, quantization).outcome
    claim(wrong == WRONG, f"{where} answers of other samples are {wrong}.")
    emptied = place / "emptied.tflite"
    emptied.write_bytes(finished(_without_weights(plain)))
    wrong = prove(client, one, emptied, reference, quantization).outcome
    claim(wrong in (WRONG, REFUSED), f"{where} a file without weights is {wrong}.")
    return RIGHT


def _lstm_for(target: str) -> tuple[Any, np.ndarray, Callable[[bytes], bytes]]:
    """Returns an LSTM, inputs of it, and what a target does with its file at the end."""
    import keras

    from keras_rnn_zoo.data import Dataset, Split
    from keras_rnn_zoo.export.targets import TARGETS, About
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

    client = TARGETS.get(target)
    if not client.encodes:
        model = _recurrences(few=True, masked=False)["an LSTM"]()
        return model, _rows(), lambda content: content
    words = np.random.default_rng(3).choice(["one", "Two", "THREE", "4", "it's"], (16, TIMESTEPS))
    texts = [" ".join(row[: 1 + number % TIMESTEPS]) for number, row in enumerate(words)]
    labels = [f"label_{number % 3}" for number in range(len(texts))]
    data = Dataset("numbers", "text", Split(texts, labels))
    preprocessor = Preprocessor.fit(data, timesteps=TIMESTEPS, target=target)
    tokens = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    steps = keras.layers.Embedding(preprocessor.vocabulary_size, FEATURES)(tokens)
    model = _wide(tokens, keras.layers.LSTM(6)(steps))
    x = preprocessor.encode_inputs(texts)
    return model, x, lambda content: client.finished(content, preprocessor, About("an LSTM", "."))


def _without_weights(content: bytes) -> bytes:
    """A file whose large constants are zeros."""
    from keras_rnn_zoo.export.tflite import flatbuffer as fb

    model = fb.unpack(content)
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) > 64:
            buffer.data = np.zeros(len(buffer.data), np.uint8)
    return fb.pack(model)


def check_format(name: str) -> None:
    """Asserts that a format writes what answers as the Keras model, and sees what does not.

    Args:
        name: A name of `FORMATS`.

    Raises:
        AssertionError: It does not; the message says in what.
    """
    from keras_rnn_zoo.export import export_bundle
    from keras_rnn_zoo.export.formats import FORMATS
    from keras_rnn_zoo.export.keras_model.prepare import prepare
    from keras_rnn_zoo.export.quantization import roundings
    from keras_rnn_zoo.export.verify.reference import reference_of

    written = FORMATS.get(name)
    model, x = prepare(_recurrences()["an LSTM"]()), _rows()
    reference = reference_of(model, x, roundings=roundings([]))
    with working(f"Format '{name}'"), _scratch() as place:
        path = place / written.file_name
        written.write(model, path)
        claim(path.exists(), f"Format '{name}' wrote nothing to the path that it was given.")
        claim(written.compare(path, reference).passed, f"Format '{name}' fails its own comparison.")
        served = written.serve(path)(reference.x)
        for output, expected in reference.answers.items():
            claim(output in served, f"Format '{name}' serves no output '{output}'.")
            worst = float(np.abs(served[output] - expected).max())
            claim(worst < 1e-3, f"Format '{name}' serves answers that differ by {worst:.2g}.")
        wrong = replace(
            reference,
            answers={key: values[::-1].copy() for key, values in reference.answers.items()},
            logits={key: values[::-1].copy() for key, values in reference.logits.items()},
        )
        _refuses(lambda: written.compare(path, wrong), VerificationError, name, "wrong answers")
        model.keras.save(place / "source.keras")
        bundle = export_bundle(
            place / "source.keras",
            place / "bundle",
            format=[name],
            quantization=["none"],
            representative_data=x,
        )
        claim(bundle.verify()["passed"], f"Format '{name}' fails in a bundle that is verified.")
        answered = bundle.predict(x)
        claim(len(answered) == len(x), f"Format '{name}' does not answer from a bundle.")


def _refuses(act: Callable[[], Any], error: type[Exception], name: str, what: str) -> None:
    try:
        act()
    except error:
        return
    raise AssertionError(f"'{name}' takes {what}, and has to refuse it with {error.__name__}.")


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as place:
        yield Path(place)


def _rows() -> np.ndarray:
    """float32 `[16, 9, 5]`: of every length, padded with zeros right and left, with gaps."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(16, TIMESTEPS, FEATURES)).astype(np.float32)
    for row in range(TIMESTEPS):
        x[row, row:] = 0
    x[9, :4], x[10, 3:5], x[11, ::2] = 0, 0, 0
    return x


def _recurrences(*, few: bool = False, masked: bool = True) -> dict[str, Callable[[], Any]]:
    """What it is -> makes a Keras model of it, whose weights are wide and random."""
    from keras import layers

    kinds: dict[str, Callable[[], Any]] = {
        "an LSTM": lambda: layers.LSTM(6),
        "a GRU": lambda: layers.GRU(6),
        "a SimpleRNN": lambda: layers.SimpleRNN(6),
        "a Bidirectional LSTM": lambda: layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
    }
    if not few:
        kinds |= {
            "a GRU whose reset comes first": lambda: layers.GRU(5, reset_after=False),
            "an LSTM that goes backwards": lambda: layers.LSTM(
                5, go_backwards=True, return_sequences=True
            ),
            "an LSTM with relu": lambda: layers.LSTM(5, activation="relu"),
            "a stack of cells": lambda: layers.RNN(
                [layers.LSTMCell(5), layers.GRUCell(4)], return_sequences=True
            ),
        }

    def model(make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: _model(make(), masked)

    return {name: model(make) for name, make in kinds.items()}


def _model(layer: Any, masked: bool) -> Any:
    import keras
    from keras import layers

    x = keras.Input((TIMESTEPS, FEATURES), name="sensor")
    return _wide(x, layer(layers.Masking()(x) if masked else x))


def _wide(x: Any, y: Any) -> Any:
    """Returns a model from `x` to labels, which it reads from `y`, with wide random weights."""
    import keras

    model = keras.Model(x, [keras.layers.Dense(3, activation="softmax", name="label")(y)])
    generator = np.random.default_rng(5)
    model.set_weights(
        [generator.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()]
    )
    return model
