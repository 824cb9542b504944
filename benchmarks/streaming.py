"""Do models that stream answer what they answer to a whole sequence, for 10,000 steps?

    python benchmarks/streaming.py -o streaming.json

For each unidirectional model of the zoo, and each of those that others published
(`tests/export/streamed.py`), in every quantization mode, a step a call and in chunks of 3 and 10
(multiples of these where strides ask for them): the answer of Keras to a stream of 10,000 steps as
a whole beside those of a session at every step; then after `reset`, with two sessions that take
turns over one loaded file, and after `save` here and `restore` in a process of its own. Prints the
average and the largest difference, as a share of the answers' standard deviation in modes that
round, over the first and the last 1,000 steps; writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))

import numpy as np
from streamed import STREAMED

from keras_rnn_zoo import files, get_model
from keras_rnn_zoo.export import StreamingSession, export_tflite
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.streaming.model import StreamingModel
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.provenance import provenance

MODES = ("none", "float16", "dynamic", "int8")
CHUNKS = (1, 3, 10)
STEPS, WINDOW = 10_000, 1_000
WORDS, FEATURES = 200, 6
CAUSAL = {"bidirectional": False, "causal": True, "pooling": "last"}
ZOO: dict[str, dict[str, Any]] = {
    **{name: {"layers": 2} for name in ("rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell")},
    **dict.fromkeys(("conv_gru", "conv_lstm"), CAUSAL),
}
# Whose layers loop over the steps in Python: of so many, Keras answers in minutes.
LOOPS = {"rnn_cell": "rnn", "lstm_cell": "lstm", "gru_cell": "gru"}


def zoo_model(name: str, **more: Any) -> Any:
    """Returns a tagger of the zoo (the others answer once) with random weights."""
    config = {"timesteps": 24, "units": 32, "features": FEATURES, "task": "sequence_labelling"}
    model = get_model(name, **{**config, "outputs": 4, "mask": False, **more})
    generator = np.random.default_rng(7)
    for weight in model.weights:
        scale = 0.1 if len(weight.shape) < 2 else np.prod(weight.shape[:-1]) ** -0.5
        weight.assign(generator.normal(scale=scale, size=weight.shape))
    return model


def models() -> Iterator[tuple[str, Callable[[], Any], Callable[[int, int], dict[str, Any]]]]:
    """Yields name, what builds the model, and what makes its inputs."""

    def walks(count: int, steps: int) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(8)
        return {"features": generator.normal(size=(count, steps, FEATURES)).astype("float32")}

    for name, config in ZOO.items():
        more = {key: value for key, value in config.items() if key != "pooling"}
        yield name, lambda name=name, more=more: zoo_model(name, **more), walks
    for name, one in STREAMED.items():
        yield name, one.build, one.inputs


def whole(name: str, model: Any, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns what Keras answers to a stream `[1, steps, ...]` at once, without the batch."""
    import tensorflow as tf

    ready = computes = prepare(model).open_in_time
    if name in LOOPS:  # its twin of layers, which has the same weights
        twin = zoo_model(LOOPS[name], layers=2)
        twin.set_weights(model.get_weights())
        computes = prepare(twin).open_in_time
    # In a graph, which loops over 10,000 steps in seconds.
    answers = tf.function(lambda *inputs: computes(list(inputs)))(*map(tf.constant, x.values()))
    found = (np.asarray(answer)[0] for answer in answers)
    return dict(zip(ready.outputs, found, strict=True))


def run(session: StreamingSession, x: dict[str, np.ndarray], start: int, stop: int) -> list[Any]:
    """Returns what a session answers to the calls from a step to another."""
    made = []
    for step in range(start, stop, session.chunk):
        if session.chunk == 1:
            part = {name: values[0, step] for name, values in x.items()}
        else:
            part = {name: values[0, step : step + session.chunk] for name, values in x.items()}
        made.append(session.step(part))
    return made


def joined(plan: Any, made: list[Any]) -> dict[str, np.ndarray]:
    """Returns all answers by name: `[steps, ...]` of those to every step, else the last one."""
    found = {}
    for output in plan.outputs:
        values = [one[output.name] for one in made]
        several = output.every_step and plan.steps > 1
        every = np.concatenate if several and values[0].shape else np.stack
        found[output.name] = every(values) if output.every_step else values[-1]
    return found


RESTORED = textwrap.dedent("""
    import sys
    import numpy as np
    from keras_rnn_zoo.export import StreamingSession
    path, state, inputs, answers, start, stop = sys.argv[1:]
    session = StreamingSession(path)
    session.restore(open(state, "rb").read())
    x = dict(np.load(inputs))
    for step in range(int(start), int(stop), session.chunk):
        part = {n: v[0, step] if session.chunk == 1 else v[0, step : step + session.chunk]
                for n, v in x.items()}
        made = session.step(part)
    np.savez(answers, **made)
    assert "tensorflow" not in sys.modules
""")


def restored(path: Path, x: dict[str, np.ndarray], middle: int, stop: int) -> dict[str, Any]:
    """Returns the last answer of a stream that is saved here and goes on in another process."""
    session = StreamingSession(path)
    run(session, x, 0, middle)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "state").write_bytes(session.save())
        np.savez(place / "x.npz", **x)
        command = [sys.executable, "-c", RESTORED, str(path), *(str(place / n) for n in NAMES)]
        subprocess.run([*command, str(middle), str(stop)], check=True)
        return dict(np.load(place / "y.npz"))


NAMES = ("state", "x.npz", "y.npz")


def measured(
    name: str, model: Any, make: Callable[[int, int], dict[str, Any]], target: str, steps: int
) -> Iterator[dict[str, Any]]:
    """Yields a row for each mode and chunk."""
    short, long = make(24, 30), make(1, steps)
    answers = whole(name, model, long)
    for mode in TARGETS.get(target).quantizations(MODES):
        for wanted in CHUNKS:
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / "model.tflite"
                options: dict[str, Any] = {"quantization": mode, "progress": False}
                least = export_tflite(
                    model, path, streaming=True, verify=False, representative_data=short, **options
                ).plan.steps
                chunk = wanted if wanted % least == 0 else wanted * least
                cut = {n: v[:, : v.shape[1] // chunk * chunk] for n, v in short.items()}
                if chunk > 30:
                    continue
                start = time.perf_counter()
                written = export_tflite(
                    model, path, streaming=chunk, samples=cut, representative_data=cut, **options
                )
                seconds = time.perf_counter() - start
                yield {
                    "model": name,
                    "quantization": mode,
                    "chunk": chunk,
                    "states": len(written.plan.states),
                    "bytes": written.bytes,
                    "export_seconds": seconds,
                    **_compared(path, written.plan, long, answers, chunk, mode == "none"),
                }


def _compared(
    path: Path,
    plan: Any,
    long: dict[str, np.ndarray],
    answers: dict[str, np.ndarray],
    chunk: int,
    exact: bool,
) -> dict[str, Any]:
    total = next(iter(long.values())).shape[1] // chunk * chunk
    loaded = StreamingModel(path)
    first, second = StreamingSession(loaded), StreamingSession(loaded)
    made = run(first, long, 0, total)
    found = joined(plan, made)
    worst: dict[str, float] = dict.fromkeys(("largest", "average", "first", "last"), 0.0)
    for output in plan.outputs:
        values = found[output.name]
        wanted = answers[output.name]
        if output.every_step:
            wanted = wanted[: len(values)]
        elif total != next(iter(long.values())).shape[1]:
            continue  # what Keras answers to the whole is of steps that fill no call, too
        spread = 1.0 if exact else float(wanted.std()) or 1.0
        error = np.abs(values.astype(np.float64) - wanted) / spread
        each = np.atleast_1d(error.mean())
        if output.every_step:
            each = error.reshape(len(error), -1).mean(axis=1)
        window = max(1, len(each) * WINDOW // STEPS)
        ends = float(each[:window].mean()), float(each[-window:].mean())
        now = {"largest": float(error.max()), "average": float(error.mean())}
        now |= dict(zip(("first", "last"), ends, strict=True))
        worst = {key: max(worst[key], value) for key, value in now.items()}
    # Two streams in turns, one of them behind, then both from the start again.
    few = min(total, 300 // chunk * chunk)
    first.reset()
    turns: list[Any] = []
    for step in range(0, few, chunk):
        turns += run(first, long, step, step + chunk)
        run(second, {n: v[:, ::-1] for n, v in long.items()}, step, step + chunk)
    apart = max(
        float(np.abs(one[n] - other[n]).max())
        for one, other in zip(turns, made[: len(turns)], strict=True)
        for n in one
    )
    gone_on = restored(path, long, few // 2 // chunk * chunk, few)
    moved = max(float(np.abs(gone_on[n] - v).max()) for n, v in turns[-1].items())
    return {**worst, "steps": total, "reset_and_interleaved": apart, "restored": moved}


def main() -> None:
    parser = argparse.ArgumentParser(description="Streams beside whole sequences, for long.")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    parser.add_argument("--models", nargs="*", help="names; all where none are given")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    head = f"{'model':20}{'mode':9}{'chunk':>6}{'bytes':>10}{'largest':>10}{'average':>10}"
    print(f"{head}{'first':>10}{'last':>10}{'turns':>9}{'restored':>9}", flush=True)
    for name, build, make in models():
        if options.models and name not in options.models:
            continue
        for row in measured(name, build(), make, "litert", options.steps):
            rows.append(row)
            cells = "".join(f"{row[k]:>10.2g}" for k in ("largest", "average", "first", "last"))
            moved = f"{row['reset_and_interleaved']:>9.2g}{row['restored']:>9.2g}"
            print(
                f"{name:20}{row['quantization']:9}{row['chunk']:>6}{row['bytes']:>10,}{cells}{moved}",
                flush=True,
            )
    if options.output:
        found = {"provenance": provenance(), "steps": options.steps, "rows": rows}
        files.write_text(options.output, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
