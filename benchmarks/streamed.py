"""The contenders of `latency.py` on a stream: each call is one time step, and states go on.

In its turn each contender takes the steps of a whole sequence, twice; the second time counts, and
is divided by their number. With `--in-a-row 1` it takes one step: that is a stream whose steps are
far apart, of which no cache knows. A step is: give the inputs, run, get the answer, bring the
states to the next step.

`step` are the same few calls of the interpreter for every file; `session` is
`StreamingSession.step`, which also checks what it is given and what the states became. `empty` is a
file with the same inputs and outputs and no op, called as `step`. onnxruntime is called in the two
ways there are: `bound`, to memory that stays the same, states swapped between two bindings, and
`run`, with a dict of arrays.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contenders import UNITS, keras_model, measure, quantized_onnx, tflite_runner
from onnx_models import Graph

from keras_rnn_zoo.export import StreamingSession, export_tflite
from keras_rnn_zoo.export.tflite import flatbuffer as fb

# Takes a step, returns the answer so far.
Step = Callable[[np.ndarray], Any]
STATES = ("external", "internal")
MODES = ("none", "dynamic", "int8")
# One step may cost so many times its share of a whole sequence, and a call.
TIMES = 1.5
# Of the standard deviation of the answers; for float32 their rounding.
LIMITS = {"none": 1e-3, "dynamic": 0.5, "int8": 0.5}


@dataclass(frozen=True)
class Steps:
    """A stream of one sequence, in the form that a contender takes.

    Attributes:
        make: Opens the contender; returns what takes a step.
        feeds: What it is given, step by step.
        in_a_row: Steps of a turn.
    """

    make: Callable[[], Step]
    feeds: list[Any]
    in_a_row: int

    def answers(self) -> np.ndarray:
        """Returns the answer after each step of the sequence."""
        step = self.make()
        return np.array([np.ravel(step(x))[0] for x in self.feeds])

    def runner(self) -> Callable[[], Any]:
        """Returns what takes the steps of a turn; the stream goes on from turn to turn."""
        step, endless = self.make(), itertools.cycle(self.feeds)
        turns = itertools.cycle(
            [list(itertools.islice(endless, self.in_a_row)) for _ in self.feeds]
        )

        def run() -> Any:
            answer = None
            for x in next(turns):
                answer = step(x)
            return answer

        return run


def file_step(path: Path) -> Step:
    """A step in the calls of the interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner("step")
    takes, makes = runner.get_input_details(), runner.get_output_details()
    del runner  # while there is one, the interpreter lets nobody else call it
    (x,) = (takes[name]["index"] for name in takes if name not in makes)
    (y,) = (makes[name]["index"] for name in makes if name not in takes)
    before = [takes[name]["index"] for name in takes if name in makes]
    after = [makes[name]["index"] for name in takes if name in makes]
    put, get, invoke = interpreter.set_tensor, interpreter.get_tensor, interpreter.invoke
    for name in takes:  # states begin as zeros
        put(takes[name]["index"], np.zeros(takes[name]["shape"], takes[name]["dtype"]))

    def step(values: np.ndarray) -> Any:
        put(x, values)
        invoke()
        # All of them are read before one is set: inputs and outputs may share memory.
        states = [get(index) for index in after]
        for index, state in zip(before, states, strict=True):
            put(index, state)
        return get(y)

    return step


def session_step(path: Path) -> Step:
    session = StreamingSession(path)
    (name,) = session.outputs

    def step(values: np.ndarray) -> Any:
        return session.step(values)[name]

    return step


def write_empty(source: Path, path: Path) -> None:
    """Writes a file with the inputs and outputs of a step and no op: states are handed through."""
    model = fb.unpack(source.read_bytes())
    signature, graph = model.signatureDefs[0], model.subgraphs[0]
    model.signatureDefs, model.subgraphs = [signature], [graph]
    graph.operators = []
    given = {entry.name: int(entry.tensorIndex) for entry in signature.inputs}
    for entry in signature.outputs:
        tensor = graph.tensors[entry.tensorIndex]
        zeros = np.zeros(fb.shape_of(tensor), fb.dtype_of(tensor))
        index = given[entry.name] if entry.name in given else fb.add_constant(model, graph, zeros)
        outputs = [index if old == entry.tensorIndex else old for old in graph.outputs]
        graph.outputs, entry.tensorIndex = np.array(outputs, np.int32), index
    path.write_bytes(fb.pack(model))


def onnx_step_model(model: Any, kind: str, shape: dict[str, int]) -> bytes:
    """One step in onnxruntime's own LSTM and GRU nodes, with the states as inputs and outputs.

    Spelled out in MatMul, Sigmoid and the like it takes 8 to 38 % longer.
    """
    graph = Graph()
    weights = list(model.get_weights())
    if "vocabulary" in shape:
        x = graph.node("Gather", graph.constant("table", weights.pop(0)), "x")
        given: dict[str, Any] = {"x": ("int32", [1, 1])}
    else:
        x, given = "x", {"x": ("float32", [1, 1, shape["features"]])}
    *recurrent, kernel, bias = weights
    made: list[str] = []
    for number in range(0, len(recurrent), 3):
        states = [f"{part}{number}" for part in ("hc" if kind == "LSTM" else "h")]
        given |= {name: ("float32", [1, 1, UNITS]) for name in states}
        _, *after = graph.recurrent(kind, x, [recurrent[number : number + 3]], states)
        x = after[0]  # the last output, which is the only one
        made += after
    features = graph.node("Reshape", x, graph.constant("flat", [1, -1]))
    ends = graph.constant("kernel", kernel), graph.constant("bias", bias)
    outputs = [(name, [1, 1, UNITS]) for name in made]
    return graph.model(given, graph.node("Gemm", features, *ends), 2, outputs)


def onnx_session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # 5 % faster
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def onnx_bound(content: bytes) -> Step:
    """The fastest way found that is right: nothing is copied but the inputs."""
    import onnxruntime

    session = onnx_session(content)
    first, *before = session.get_inputs()
    last, *after = session.get_outputs()
    of_numpy = onnxruntime.OrtValue.ortvalue_from_numpy
    given = np.zeros(first.shape, "int32" if "int32" in first.type else "float32")
    answer = np.zeros((1, 1), "float32")
    # The values keep what they were made of; two sets of states, each the inputs of the other.
    x, y = of_numpy(given), of_numpy(answer)
    sets = [[of_numpy(np.zeros(one.shape, "float32")) for one in before] for _ in range(2)]
    bindings = []
    for old, new in (sets, reversed(sets)):
        binding = session.io_binding()
        binding.bind_ortvalue_input(first.name, x)
        binding.bind_ortvalue_output(last.name, y)
        for start, end, values, results in zip(before, after, old, new, strict=True):
            binding.bind_ortvalue_input(start.name, values)
            binding.bind_ortvalue_output(end.name, results)
        bindings.append(binding)
    turns = itertools.cycle(bindings)
    run = session.run_with_iobinding

    def step(values: np.ndarray) -> Any:
        np.copyto(given, values)
        run(next(turns))
        return answer

    return step


def onnx_run(content: bytes) -> Step:
    """As most people call it."""
    session = onnx_session(content)
    first, *before = session.get_inputs()
    states = {one.name: np.zeros(one.shape, "float32") for one in before}

    def step(values: np.ndarray) -> Any:
        answer, *after = session.run(None, {first.name: values, **states})
        states.update(zip(states, after, strict=True))
        return answer

    return step


def rows_of(
    name: str, case: tuple[str, int, bool, dict[str, int]], rounds: int, in_a_row: int | None
) -> Iterator[dict[str, Any]]:
    """Measures one model; yields a row for each quantization mode and place of the states.

    Args:
        name: Of the model.
        case: Kind, layers, both directions, what comes in.
        rounds: Turns of each contender.
        in_a_row: Steps of a turn; None takes those of a sequence.

    Raises:
        AssertionError: A contender answers otherwise than Keras, after some step of a sequence.
    """
    kind, _, _, shape = case
    model, timesteps = keras_model(*case), shape["timesteps"]
    in_a_row = in_a_row or timesteps
    generator = np.random.default_rng(1)
    if "vocabulary" in shape:
        data = generator.integers(1, shape["vocabulary"], (256, timesteps)).astype("int32")
    else:
        data = generator.normal(size=(256, timesteps, shape["features"])).astype("float32")
    x = data[:1]
    chunks = [x[:, step : step + 1] for step in range(timesteps)]
    expected = np.ravel(keras_model(*case, each_step=True)(x))
    onnx = onnx_step_model(model, kind, shape)
    contents = {"none": onnx, "int8": quantized_onnx(onnx)}
    with tempfile.TemporaryDirectory() as scratch:
        streams: dict[str, Steps] = {}
        whole: dict[str, Callable[[], Any]] = {}

        def add(which: str, make: Callable[[], Step], feeds: list[Any] = chunks) -> None:
            streams[which] = Steps(make, feeds, in_a_row)

        for mode in MODES:
            path = Path(scratch) / f"{mode}.tflite"
            options = {"quantization": mode, "representative_data": data, "progress": False}
            export_tflite(model, path, **options)
            whole[f"whole {mode}"] = partial(tflite_runner, path, x)
            for state in STATES:
                path = Path(scratch) / f"{mode}_{state}.tflite"
                export_tflite(model, path, streaming=True, state=state, **options)
                add(f"step {mode} {state}", partial(file_step, path))
                add(f"session {mode} {state}", partial(session_step, path), list(x[0]))
        for state in STATES:
            path = Path(scratch) / f"empty_{state}.tflite"
            write_empty(Path(scratch) / f"none_{state}.tflite", path)
            add(f"empty {state}", partial(file_step, path))
        for mode, content in contents.items():
            add(f"bound {mode}", partial(onnx_bound, content))
            add(f"run {mode}", partial(onnx_run, content))
        differences = {
            which: float(np.abs(stream.answers() - expected).max() / expected.std())
            for which, stream in streams.items()
            if not which.startswith("empty")
        }
        for which, difference in differences.items():
            limit = LIMITS[which.split()[1]]
            assert difference <= limit, f"{name}, {which}: off by {difference:.2g} deviations"
        load = {which: stream.runner for which, stream in streams.items()} | whole
        times = measure(load, rounds, warm=in_a_row == timesteps)
    times = {
        which: values / (timesteps if which in whole else in_a_row)
        for which, values in times.items()
    }
    for mode, state in itertools.product(MODES, STATES):
        dtype = "none" if mode == "none" else "int8"
        found = {
            "step": times[f"step {mode} {state}"],
            "session": times[f"session {mode} {state}"],
            "share": times[f"whole {mode}"],
            "empty": times[f"empty {state}"],
            "bound": times[f"bound {dtype}"],
            "run": times[f"run {dtype}"],
        }
        allowed = TIMES * found["share"] + found["empty"]
        ratios = {
            "step/allowed": found["step"] / allowed,
            "step/bound": found["step"] / found["bound"],
            "step/run": found["step"] / found["run"],
            "session/run": found["session"] / found["run"],
        }
        yield {
            "model": name,
            "quantization": mode,
            "state": state,
            "us": {who: float(np.median(values) * 1e6) for who, values in found.items()},
            "ratio": {which: float(np.median(values)) for which, values in ratios.items()},
            "difference": {
                "step": differences[f"step {mode} {state}"],
                "session": differences[f"session {mode} {state}"],
                "bound": differences[f"bound {dtype}"],
                "run": differences[f"run {dtype}"],
            },
        }


COLUMNS: dict[str, Callable[[dict[str, Any]], float]] = {
    "step": lambda row: row["us"]["step"],
    "session": lambda row: row["us"]["session"],
    "share": lambda row: row["us"]["share"],
    "empty": lambda row: row["us"]["empty"],
    "ort bound": lambda row: row["us"]["bound"],
    "ort run": lambda row: row["us"]["run"],
    "/allowed": lambda row: row["ratio"]["step/allowed"],
    "/bound": lambda row: row["ratio"]["step/bound"],
    "/run": lambda row: row["ratio"]["step/run"],
    "session/run": lambda row: row["ratio"]["session/run"],
}
