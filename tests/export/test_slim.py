"""Files hold what is read in them, once: small models have small files, which answer the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from flatbuffers import number_types
from tflite_files import convert

from keras_rnn_zoo import get_builder
from keras_rnn_zoo.export import TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.targets.target import Target
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.builder import Builder
from keras_rnn_zoo.export.tflite.contents import inspect
from keras_rnn_zoo.export.tflite.file import open_interpreter
from keras_rnn_zoo.export.tflite.slim import slim
from keras_rnn_zoo.export.tflite.streams import initial_states, streaming_of

TIMESTEPS = 28
# The most that a file takes over its weights.
LIMIT = 16_000
MODES = ("none", "float16", "dynamic", "int8")


def rows(count: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, TIMESTEPS, 3)).astype("float32")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """`written(name, mode, whole=False)` -> the path of a file, slimmed or as a whole."""
    import keras

    directory = tmp_path_factory.mktemp("slim")
    models, paths = {}, {}

    def get(name, mode, *, whole=False, **options):
        key = (name, mode, whole, *options.items())
        if key in paths:
            return paths[key]
        if name not in models:
            keras.utils.set_random_seed(3)
            builder = get_builder(name, timesteps=TIMESTEPS, units=16, features=3)
            models[name] = builder.build()
        with pytest.MonkeyPatch.context() as patch:
            if whole:
                patch.setattr(Target, "slimmed", lambda self, content: content)
            paths[key] = export_tflite(
                models[name],
                directory / f"{len(paths)}.tflite",
                quantization=mode,
                representative_data=rows(),
                verify=False,
                **options,
            ).path
        return paths[key]

    return get


def over(path) -> int:
    """What a file takes over its weights as it stores them, in bytes."""
    info = inspect(path)
    return info.bytes - info.float_weight_bytes - info.quantized_weight_bytes


@pytest.mark.parametrize(
    "name, mode", [*(("gru", mode) for mode in MODES), ("bilstm", "dynamic"), ("rnn", "int8")]
)
def test_a_slimmed_file_answers_the_same_bits(written, name, mode):
    whole, slimmed = (written(name, mode, whole=one) for one in (True, False))
    assert over(slimmed) < over(whole)
    expected, found = (TFLiteModel(path).predict(rows()) for path in (whole, slimmed))
    assert np.array_equal(expected, found)
    assert np.ptp(found) > 0
    assert replace(inspect(whole), path=slimmed, bytes=0, float32_weights=()) == replace(
        inspect(slimmed), bytes=0, float32_weights=()
    )


@pytest.mark.parametrize(
    "name, mode", [("gru", "none"), ("gru", "float16"), ("bilstm", "dynamic"), ("rnn", "int8")]
)
def test_a_small_model_has_a_small_file(written, name, mode):
    assert over(written(name, mode)) <= LIMIT < over(written(name, mode, whole=True))


@pytest.mark.parametrize("mode", MODES)
def test_what_clients_look_for_keeps_its_name(written, mode):
    whole, slimmed = (
        TFLiteModel(written("gru", mode, whole=one)).interpreter for one in (True, False)
    )
    for details in ("get_input_details", "get_output_details"):
        pairs = zip(getattr(whole, details)(), getattr(slimmed, details)(), strict=True)
        for before, after in pairs:
            assert before["name"] == after["name"] != ""
            for told in ("shape", "shape_signature"):
                assert before[told].tolist() == after[told].tolist()
            assert (before["dtype"], before["quantization"]) == (
                after["dtype"],
                after["quantization"],
            )
    assert whole.get_signature_list() == slimmed.get_signature_list()


def test_sizes_that_are_open_stay_open(written):
    (after,) = TFLiteModel(
        written("gru", "none", lowering="resizable")
    ).interpreter.get_input_details()
    assert after["shape_signature"].tolist() == [-1, TIMESTEPS, 3]


@pytest.mark.parametrize("state", ["external", "internal"])
def test_streams_say_what_they_are(written, state):
    whole, slimmed = (
        written("lstm", "int8", whole=one, streaming=True, state=state) for one in (True, False)
    )
    before, after = whole.read_bytes(), slimmed.read_bytes()
    assert len(after) < len(before)
    assert streaming_of(after) == streaming_of(before) is not None
    expected, found = initial_states(before), initial_states(after)
    assert list(found) == list(expected) and bool(found) == (state == "external")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_weights_keep_their_names_and_what_lies_between_has_none(written):
    path = written("gru", "none")
    names = [weight.name for weight in inspect(path).float32_weights]
    assert len(set(names)) == len(names) > 3 and all(names)
    assert not any(";" in name or name.startswith("arith.") for name in names)
    model = fb.unpack(path.read_bytes())
    kept = {fb.text(tensor.name) for graph in model.subgraphs for tensor in graph.tensors} - {
        "None"
    }
    signature = fb.unpack(written("gru", "none", whole=True).read_bytes()).subgraphs[0]
    ends = {fb.text(signature.tensors[i].name) for i in (*signature.inputs, *signature.outputs)}
    assert kept == ends | set(names)
    # By which MLIR tells the parts of a loop apart.
    assert len({graph.name for graph in model.subgraphs}) == len(model.subgraphs) > 1


def test_only_notes_of_the_converter_are_left_out(tmp_path):
    import tensorflow as tf

    spec = tf.TensorSpec((2, 3), tf.float32, name="x")
    path = convert(tmp_path / "m.tflite", lambda x: {"y": tf.tanh(x)}, [spec])
    model = fb.unpack(path.read_bytes())
    known = {entry.name for entry in model.metadata}
    assert b"CONVERSION_METADATA" in known and model.description == b"MLIR Converted."
    slim(model)
    assert {entry.name for entry in model.metadata} == known - {b"CONVERSION_METADATA"}
    assert model.description is None
    model = fb.unpack(fb.described(path.read_bytes(), "of somebody"))
    slim(model)
    assert model.description == b"of somebody"


def test_options_are_left_out_only_where_their_kind_has_none(written):
    model = fb.unpack(written("gru", "int8").read_bytes())
    kinds = Counter(
        (fb.op_name(model, operator), operator.builtinOptions is None)
        for graph in model.subgraphs
        for operator in graph.operators
    )
    assert kinds["DEQUANTIZE", True] and not kinds["DEQUANTIZE", False]
    assert kinds["SPLIT", False] and not kinds["SPLIT", True]
    # All of whose options are as if nobody had said them.
    assert kinds["MUL", False] and not kinds["MUL", True]


# --------------------------------------------------------------------- equal parts


def tables_of(content: bytes, graph: int = 0) -> list[int]:
    """Where the tables of the tensors of a subgraph are."""
    own = fb.schema.Model.GetRootAs(content, 0).Subgraphs(graph)
    return [own.Tensors(number)._tab.Pos for number in range(own.TensorsLength())]


def one_op_each(*shapes):
    """A file that adds one to its inputs, of these shapes."""
    model, graph = fb.schema.ModelT(), fb.schema.SubGraphT()
    model.version, model.operatorCodes, model.subgraphs = 3, [], [graph]
    model.buffers, model.metadata, model.signatureDefs = [fb.schema.BufferT()], [], []
    graph.tensors, graph.operators = [], []
    one = fb.add_constant(model, graph, np.ones((), np.float32))
    inputs = [fb.add_tensor(graph, shape, np.float32) for shape in shapes]
    outputs = [fb.add_tensor(graph, shape, np.float32) for shape in shapes]
    for given, result in zip(inputs, outputs, strict=True):
        options = fb.schema.AddOptionsT()
        graph.operators.append(fb.op(model, "ADD", [given, one], [result], options=options))
    graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    return model


def test_equal_tensors_are_written_once_and_others_are_not():
    content = fb.pack(one_op_each((2, 3), (2, 3), (3, 2)))
    one, first, second, other, *results = tables_of(content)
    assert first == second == results[0] == results[1]
    assert len({one, first, other}) == 3 and results[2] == other
    interpreter = open_interpreter(content)
    given = [
        np.full(d["shape"], n, np.float32) for n, d in enumerate(interpreter.get_input_details())
    ]
    for details, values in zip(interpreter.get_input_details(), given, strict=True):
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    for details, values in zip(interpreter.get_output_details(), given, strict=True):
        assert np.array_equal(interpreter.get_tensor(details["index"]), values + 1)


def test_tables_of_equal_numbers_in_fields_of_other_sizes_are_not_one():
    builder = Builder(64)

    def table(*fields):
        builder.StartObject(4)
        for flags, slot, value in fields:
            builder.PrependSlot(flags, slot, value, 0)
        return builder.EndObject()

    byte, word = number_types.Int8Flags, number_types.Int32Flags
    first = table((byte, 0, 1), (word, 1, 5))
    assert table((word, 1, 5), (byte, 0, 1)) == first  # the order in which they are told
    others = [
        table((word, 0, 1), (word, 1, 5)),
        table((byte, 1, 1), (word, 0, 5)),
        table((byte, 0, 1), (word, 1, 6)),
        table((byte, 0, 1), (word, 1, 5), (byte, 2, 1)),
    ]
    assert len({first, *others}) == 5


def lists_of(content: bytes, name: str) -> list[int]:
    """Where each subgraph has its list of tensors or operators."""
    model = fb.schema.Model.GetRootAs(content, 0)
    field = {"tensors": 4, "operators": 10}[name]
    graphs = [model.Subgraphs(number)._tab for number in range(model.SubgraphsLength())]
    return [graph.Vector(graph.Offset(field)) for graph in graphs]


def test_lists_are_one_where_they_refer_to_the_same():
    """Offsets count from where they are: the same numbers may refer to something else."""
    model = one_op_each((2, 3))
    for shape in ((2, 3), (3, 2)):
        (other,) = one_op_each(shape).subgraphs
        model.subgraphs.append(other)
    content = fb.pack(model)
    first, equal, other = lists_of(content, "tensors")
    assert first == equal != other
    # Which name tensors by their numbers.
    assert len(set(lists_of(content, "operators"))) == 1
    shapes = [[fb.shape_of(one) for one in graph.tensors] for graph in fb.unpack(content).subgraphs]
    assert shapes == [[(), (2, 3), (2, 3)], [(), (2, 3), (2, 3)], [(), (3, 2), (3, 2)]]


def test_the_op_that_is_used_most_has_the_number_that_takes_no_bytes(written):
    model = fb.unpack(written("gru", "int8").read_bytes())
    used = Counter(one.opcodeIndex for graph in model.subgraphs for one in graph.operators)
    counts = [used[number] for number in range(len(model.operatorCodes))]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1] > 0


def test_a_file_is_the_same_when_it_is_slimmed_and_packed_again(written):
    content = written("rnn", "int8").read_bytes()
    assert len(TARGETS.get("litert").slimmed(content)) == len(content)
    assert len(fb.pack(fb.unpack(content))) == len(content)
