"""A damaged file ends in an answer or in one clear line; it ends no process but its own."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from functools import cache

import flatbuffers
import numpy as np
import pytest
from tflite_files import TIMESTEPS, VOCABULARY, tokens

from keras_rnn_zoo.errors import DataError, RunError, ZooError
from keras_rnn_zoo.export import benchmark_file, export_tflite
from keras_rnn_zoo.export.tflite import contents, flatbuffer
from keras_rnn_zoo.export.tflite.file import open_interpreter
from keras_rnn_zoo.export.tflite.isolated import Isolated

COUNT = 500


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Real exports: loops, one op for a recurrence, integers."""
    import keras

    directory = tmp_path_factory.mktemp("good")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 8, mask_zero=True)(inputs)
    x = keras.layers.LSTM(8)(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="answer")(x))
    found = []
    for name, settings in {
        "loop": {},
        "fused": {"lowering": "fused"},
        "int8": {"quantization": "int8", "representative_data": tokens(40)},
    }.items():
        path = directory / f"{name}.tflite"
        export_tflite(model, path, verify=False, progress=False, **settings)
        found.append(path.read_bytes())
    return tuple(found)


# ------------------------------------------------------------------------------------- damaging


def _flip(content: bytearray, places: np.ndarray, generator: np.random.Generator) -> bytes:
    for place in places:
        content[place] ^= int(generator.integers(1, 256))
    return bytes(content)


def header(content, other, generator):
    return _flip(bytearray(content), generator.integers(0, 64, 2), generator)


def anywhere(content, other, generator):
    count = int(generator.integers(1, 40))
    return _flip(bytearray(content), generator.integers(8, len(content), count), generator)


def cut_off(content, other, generator):
    return content[: generator.integers(0, len(content))]


def offsets(content, other, generator):
    """Words of the tables change places, or become other small or large numbers."""
    words = np.frombuffer(content[: len(content) // 4 * 4], np.uint32).copy()
    for _ in range(int(generator.integers(1, 6))):
        first, second = generator.integers(1, len(words), 2)
        if generator.random() < 0.5:
            words[[first, second]] = words[[second, first]]
        else:
            words[first] = generator.choice([0, 1, 4, 2**16, 2**31 - 1, 2**32 - 1, len(content)])
    return words.tobytes()


def vtables(content, other, generator):
    words = np.frombuffer(content[: len(content) // 2 * 2], np.uint16).copy()
    small = np.flatnonzero((words > 3) & (words < 64))  # what the fields of a vtable look like
    words[generator.choice(small, 4)] = generator.integers(0, 80, 4)
    return words.tobytes()


def spliced(content, other, generator):
    where = int(generator.integers(8, min(len(content), len(other))))
    return content[:where] + other[where:]


def _changed(content, change) -> bytes:
    """Changes the objects of a file, and writes them as they are."""
    model = flatbuffer.unpack(content)
    change(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _some(items, generator):
    return items[int(generator.integers(len(items)))]


def op_codes(content, other, generator):
    def change(model):
        for _ in range(2):
            operator = _some(_some(model.subgraphs, generator).operators, generator)
            operator.opcodeIndex = int(generator.integers(len(model.operatorCodes) + 1))

    return _changed(content, change)


def shapes(content, other, generator):
    def change(model):
        graph = _some(model.subgraphs, generator)
        for _ in range(3):
            tensor = _some(graph.tensors, generator)
            if tensor.shape is not None and len(tensor.shape):
                sizes = np.array(tensor.shape)
                sizes[generator.integers(len(sizes))] = generator.choice(
                    [-1, 0, 1, 7, 1000, 2**20, 2**31 - 1]
                )
                tensor.shape = sizes

    return _changed(content, change)


def scales(content, other, generator):
    def change(model):
        value = np.float32(generator.choice([0.0, np.nan, np.inf, -1.0, 1e-38]))
        tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
        for tensor in generator.permutation(np.array(tensors, object))[: len(tensors) // 2]:
            tensor.quantization = flatbuffer.quantization(value, int(generator.integers(-200, 200)))

    return _changed(content, change)


def subgraphs(content, other, generator):
    def change(model):
        for graph in model.subgraphs:
            for operator in graph.operators:
                options = operator.builtinOptions
                if hasattr(options, "bodySubgraphIndex"):
                    number = generator.choice([-1, 0, 1, 2, 3, 1000])
                    which = _some(["bodySubgraphIndex", "condSubgraphIndex"], generator)
                    setattr(options, which, int(number))

    return _changed(content, change)


def operands(content, other, generator):
    def change(model):
        for _ in range(2):
            graph = _some(model.subgraphs, generator)
            operator = _some(graph.operators, generator)
            indices = _some([operator.inputs, operator.outputs], generator)
            if len(indices):
                indices[generator.integers(len(indices))] = generator.choice(
                    [-1, 0, len(graph.tensors) - 1, len(graph.tensors), 2**31 - 1]
                )

    return _changed(content, change)


def buffers(content, other, generator):
    def change(model):
        for _ in range(3):
            tensor = _some(_some(model.subgraphs, generator).tensors, generator)
            tensor.buffer = int(generator.integers(len(model.buffers) + 2))
        buffer = _some(model.buffers, generator)
        if buffer.data is not None:
            buffer.data = buffer.data[: len(buffer.data) // 2]

    return _changed(content, change)


KINDS = [
    header,
    anywhere,
    cut_off,
    offsets,
    vtables,
    spliced,
    op_codes,
    shapes,
    scales,
    subgraphs,
    operands,
    buffers,
]


@cache
def damaged(good, number: int) -> tuple[str, bytes]:
    generator = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    content, other = (good[(number // len(KINDS) + i) % len(good)] for i in range(2))
    return kind.__name__, kind(content, other, generator)


# ---------------------------------------------------------------------------------------- files


def one_line(error: ZooError, path) -> None:
    text = str(error)
    assert text and "\n" not in text and len(text) < 700, text
    assert path.name in text


def test_the_reader_of_tables_refuses_or_reads_every_damaged_file(good, tmp_path):
    ends: Counter[str] = Counter()
    damages = [damaged(good, number)[1] for number in range(COUNT)]
    peak, start = 0, time.process_time()
    for number in range(COUNT):
        if measured := number % 5 == 0:  # which takes as long as all the rest
            tracemalloc.start()
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(damages[number])
        try:
            contents.inspect(path)
            ends["read"] += 1
        except ZooError as error:
            one_line(error, path)
            ends["refused"] += 1
        for output in (0, 5, 20):
            try:
                contents.logit_source(path, output)
            except ZooError as error:
                one_line(error, path)
        path.unlink()
        if measured:
            peak = max(peak, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    seconds = time.process_time() - start
    # Both happen, or the damage is of one kind only.
    assert min(ends["read"], ends["refused"]) > COUNT / 20
    # Undamaged, a file takes some ms and ten times its size.
    assert seconds < COUNT * 0.2 and peak < 50e6


def test_every_damaged_file_ends_in_an_answer_or_in_one_line(good, tmp_path):
    ends: Counter[str] = Counter()
    with Isolated(seconds=2) as process:
        for number in range(COUNT):
            kind, content = damaged(good, number)
            path = tmp_path / f"{kind}_{number}.tflite"
            path.write_bytes(content)
            try:
                process.answer(path, {"tokens": tokens(3)}, invokes=2)
                ends["answered"] += 1
            except ZooError as error:
                one_line(error, path)
                ends["crashed" if "crashes the interpreter" in str(error) else "refused"] += 1
            path.unlink()
    assert ends.total() == COUNT
    # This process would have ended here; and not all damage is one that shows.
    assert ends["crashed"] and ends["refused"] and ends["answered"]


@pytest.mark.parametrize("tensors", [0, 40])
def test_what_is_said_of_each_tensor_is_cut_and_why_it_failed_is_not(
    tensors, good, tmp_path, monkeypatch
):
    def refuse(**options):
        # As XNNPACK does of scales that are infinite.
        said = "".join(f"unsupported scale value (inf) in tensor {n}\n" for n in range(tensors))
        raise RuntimeError(f"{said}Node number 24 (FULLY_CONNECTED) failed to prepare.")

    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", refuse)
    path = tmp_path / "bad.tflite"
    path.write_bytes(good[0])
    with pytest.raises(RunError) as caught:
        open_interpreter(path)
    one_line(caught.value, path)
    assert ("cannot be loaded: Node" if not tensors else "cannot be loaded: ... ") in str(
        caught.value
    )
    assert "Node number 24 (FULLY_CONNECTED) failed to prepare. Take" in str(caught.value)


def test_a_good_file_answers_after_one_that_ended_the_process(good, tmp_path):
    path, bad = tmp_path / "good.tflite", tmp_path / "bad.tflite"
    path.write_bytes(good[0])
    x = {"tokens": tokens(3)}
    with Isolated() as process:
        (before,) = process.answer(path, x)
        for number in range(COUNT):
            bad.write_bytes(damaged(good, number)[1])
            try:
                process.answer(bad, x)
            except ZooError as error:
                if "crashes the interpreter" in str(error):
                    break
        else:
            pytest.fail("none crashed")
        (after,) = process.answer(path, x)
    np.testing.assert_array_equal(before["answer"], after["answer"])


def test_a_loop_without_an_end_is_stopped(good, tmp_path):
    def change(model):
        while_op = next(
            operator
            for graph in model.subgraphs
            for operator in graph.operators
            if flatbuffer.op_name(model, operator) == "WHILE"
        )
        condition = model.subgraphs[while_op.builtinOptions.condSubgraphIndex]
        yes = flatbuffer.add_constant(model, condition, np.array(True))
        condition.outputs = np.array([yes], np.int32)
        condition.operators = []
        body = model.subgraphs[while_op.builtinOptions.bodySubgraphIndex]
        body.outputs, body.operators = body.inputs, []

    path = tmp_path / "endless.tflite"
    path.write_bytes(_changed(good[0], change))
    start = time.monotonic()
    with Isolated(seconds=1) as process, pytest.raises(RunError) as caught:
        process.answer(path, {"tokens": tokens(3)})
    assert "does not come to an end" in str(caught.value)
    assert time.monotonic() - start < 60
    one_line(caught.value, path)


def test_many_invokes_take_longer_together_than_one_may(good, tmp_path):
    path = tmp_path / "good.tflite"
    path.write_bytes(good[0])
    with Isolated(seconds=1) as process:
        # Each takes well under a millisecond; together they take twice the time of one.
        measured, _ = process.ask("benchmark", path, None, seconds=2.0, repeats=None)
    assert measured["repeats"] > 100


def test_a_bare_file_is_measured_in_a_process_of_its_own(good, tmp_path):
    path = tmp_path / "good.tflite"
    path.write_bytes(good[0])
    assert benchmark_file(path, repeats=20)["repeats"] == 20
    np.save(tmp_path / "rows.npy", tokens(4))
    assert benchmark_file(path, tmp_path / "rows.npy", repeats=20)["repeats"] == 20
    np.save(tmp_path / "wide.npy", np.ones((4, TIMESTEPS + 1), np.int32))
    with pytest.raises(RunError, match="takes arrays of the shape"):
        benchmark_file(path, tmp_path / "wide.npy")
    with pytest.raises(DataError, match=r"\.npy"):
        benchmark_file(path, tmp_path / "rows.csv")
