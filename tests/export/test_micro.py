"""Files for microcontrollers, run in tflite-micro itself where it is installed."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from keras_rnn_zoo.errors import (
    ConfigError,
    ExportError,
    RunError,
    TargetError,
    VerificationError,
)
from keras_rnn_zoo.export import QUANTIZATIONS, TARGETS, TFLiteModel, export_tflite
from keras_rnn_zoo.export.bundle.any_file import benchmark_file
from keras_rnn_zoo.export.convert import converter
from keras_rnn_zoo.export.formats.measure import measure
from keras_rnn_zoo.export.installations import VARIABLE, clients_folder
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.lowering.streaming.probe import why_not
from keras_rnn_zoo.export.quantization import roundings
from keras_rnn_zoo.export.tflite import contents, isolated, micro
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.opened import open_model
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.verify.compare import compare_tflite
from keras_rnn_zoo.export.verify.reference import reference_of
from keras_rnn_zoo.tuner.options import SearchOptions
from keras_rnn_zoo.tuner.study.request import Request
from keras_rnn_zoo.tuner.trials.budget import DeviceBudget

STEPS, FEATURES, WORDS = 10, 5, 40
installed = pytest.mark.skipif(
    micro.find() is None, reason=f"tflite-micro is not installed, nor in ${VARIABLE}"
)
MODES = [
    "none",
    "int8",
    pytest.param("int16x8", marks=installed),
]


def rows(count=48):
    return np.random.default_rng(3).normal(size=(count, STEPS, FEATURES)).astype("float32")


def wide(model):
    """Weights as wide as those of a trained model."""
    generator = np.random.default_rng(5)
    model.set_weights(
        [
            generator.normal(scale=0.5 if w.ndim > 1 else 0.2, size=w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def sensors(*stack, head=None):
    """A model of layers upon each other, and a head."""
    import keras

    x = y = keras.Input((STEPS, FEATURES), name="sensor")
    for layer in stack:
        y = layer(y)
    head = head or keras.layers.Dense(3, activation="softmax", name="label")
    return wide(keras.Model(x, head(y)))


def two_lstms():
    from keras import layers

    return sensors(layers.LSTM(8, return_sequences=True, name="low"), layers.LSTM(6, name="high"))


def two_grus():
    from keras import layers

    return sensors(layers.GRU(8, return_sequences=True, name="low"), layers.GRU(6, name="high"))


def exported(model, path, data=None, **settings):
    data = rows() if data is None else data
    settings = {"target": "micro", "representative_data": data, "samples": data, **settings}
    return export_tflite(model, path, diagnose=False, progress=False, **settings)


class Files:
    """Files that several tests look at, written once."""

    def __init__(self, directory):
        self.directory = directory
        self.models = {"lstm": two_lstms(), "gru": two_grus()}
        self.made = {}

    def __call__(self, name, mode, inference_type="float32"):
        key = name, mode, inference_type
        if key not in self.made:
            path = self.directory / f"{'-'.join(key)}.tflite"
            self.made[key] = exported(
                self.models[name], path, quantization=mode, inference_type=inference_type
            )
        return self.made[key]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("micro"))


@pytest.fixture
def without_micro(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing here"))
    monkeypatch.setattr(micro.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(isolated, "_PERTURBED", {})  # which know what was installed before


# --------------------------------------------------------------------- the LSTM op


@pytest.mark.parametrize("mode", MODES)
def test_each_lstm_is_one_op_in_a_file_without_anything_around_it(written, mode):
    result = written("lstm", mode)
    assert result.lowering == {"low": "lstm_op", "high": "lstm_op"}
    assert result.ops["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 2
    assert set(result.ops) <= {
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "STRIDED_SLICE",
        "FULLY_CONNECTED",
        "SOFTMAX",
        "QUANTIZE",
        "DEQUANTIZE",
    }
    # float32 in another order; weights of 8 bits; and activations of 8.
    assert result.parity.max_abs_output < {"none": 1e-6, "int16x8": 0.01, "int8": 0.03}[mode]
    assert any("Reset()" in note for note in result.notes)


@installed
@pytest.mark.parametrize("mode", ["none", "int8"])
def test_litert_answers_what_tflite_micro_answers(written, mode):
    path, x = written("lstm", mode).path, rows()
    answers = TFLiteModel(path).predict(x)
    assert isinstance(open_model(path), micro.MicroModel)
    # A rounding of 8 bits may fall to the other side.
    atol = 1e-6 if mode == "none" else 0.01
    np.testing.assert_allclose(micro.answers(path, {"sensor": x})["label"], answers, atol=atol)
    again = open_model(path).answer({"sensor": x[:3]}, invokes=2)
    np.testing.assert_array_equal(again[0]["label"], again[1]["label"])


def test_a_file_that_is_not_reset_is_refused(written, tmp_path, without_micro):
    model = written.models["lstm"]
    reference = reference_of(prepare(model), rows(8), roundings=roundings([]))
    mode = QUANTIZATIONS.get("none")
    content = fb.unpack(written("lstm", "none").path.read_bytes())
    content.description = b"somebody's"
    (tmp_path / "m.tflite").write_bytes(fb.pack(content))
    with pytest.raises(VerificationError, match="keeps state between calls"):
        compare_tflite(tmp_path / "m.tflite", reference, mode.tolerance)
    assert compare_tflite(written("lstm", "none").path, reference, mode.tolerance).passed


@pytest.mark.parametrize("mode", MODES)
def test_another_weight_is_another_model_and_refused(written, mode, tmp_path):
    model = written.models["lstm"]
    quantization = QUANTIZATIONS.get(mode)
    reference = reference_of(prepare(model), rows(), roundings=roundings([quantization]))
    content = fb.unpack(written("lstm", mode).path.read_bytes())
    (graph,) = content.subgraphs
    lstm = next(one for one in graph.operators if fb.op_name(content, one) == contents.LSTM_OP)
    kernel = graph.tensors[lstm.inputs[6]]  # recurrent, of the gate f
    values = -fb.constant(content, kernel)
    kernel.buffer = fb.add_buffer(content, values)
    (tmp_path / "m.tflite").write_bytes(fb.pack(content))
    with pytest.raises(VerificationError):
        compare_tflite(tmp_path / "m.tflite", reference, quantization.tolerance, mode=mode)
    path = written("lstm", mode).path
    assert compare_tflite(path, reference, quantization.tolerance, mode=mode).passed


def ramp(kernel):
    """An LSTM whose cell grows by nearly one at each step, and never forgets."""
    import keras

    x = keras.Input((kernel, 1), name="x")
    y = keras.layers.LSTM(2, name="sum", unit_forget_bias=False)(x)
    model = keras.Model(x, keras.layers.Dense(1, name="y")(y))
    weights = [np.zeros_like(w) for w in model.get_weights()]
    # Gates i, f, c, o of two units: i and f open, c as the input, o as the input's half.
    weights[0][0] = [0, 0, 0, 0, 2, 3, 0.5, -0.5]
    weights[2][:] = [6, 6, 8, 8, 0, 0, 0, 0]
    weights[3][:] = [[1.0], [0.5]]
    model.set_weights(weights)
    x = np.random.default_rng(0).uniform(-1, 1.5, (32, kernel, 1)).astype("float32")
    x[0] = 3
    return model, x


def test_a_cell_beyond_10_is_not_clipped_and_one_beyond_64_has_no_integers(tmp_path):
    model, x = ramp(30)
    for mode in ("none", "int8"):
        assert exported(model, tmp_path / "m.tflite", x, quantization=mode).parity.passed
    model, x = ramp(80)
    with pytest.raises(ExportError, match=r"LSTM number 1 reaches 7.* up to 64 .*'unrolled'") as no:
        exported(model, tmp_path / "n.tflite", x, quantization="int8")
    assert "\n" not in str(no.value) and not (tmp_path / "n.tflite").exists()
    # What the message advises.
    assert exported(model, tmp_path / "n.tflite", x, quantization="none").parity.passed
    result = exported(
        model, tmp_path / "n.tflite", x, quantization="int8", lowering="unrolled", verify=False
    )
    assert set(result.lowering.values()) == {"unrolled"}


@pytest.mark.parametrize("layer", ["LSTM", "GRU"])
def test_a_model_that_masks_is_refused_before_anything_is_converted(layer, tmp_path, monkeypatch):
    import keras

    def convert(*args, **settings):
        raise AssertionError("converted")

    monkeypatch.setattr(converter, "convert", convert)
    masking = keras.layers.Masking()
    model = sensors(masking, getattr(keras.layers, layer)(4, name="recurrence"))
    with pytest.raises(TargetError, match=r"'recurrence' skips padded .*mask=False"):
        exported(model, tmp_path / "m.tflite")
    # It would be, without the mask.
    with pytest.raises(AssertionError, match="converted"):
        exported(sensors(getattr(keras.layers, layer)(4)), tmp_path / "m.tflite")


def test_a_search_is_told_about_masks_before_it_trains():
    budget = DeviceBudget(target="micro", quantization="int8")
    with pytest.raises(ConfigError, match=r"'gru' skips padded .* --set mask=false"):
        Request.of(["gru"], SearchOptions(), budget, None, None)
    options = SearchOptions(config={"mask": False})
    assert Request.of(["gru"], options, budget, None, None).models == ("gru",)


# --------------------------------------------------------------------- 16 bits


def test_int16x8_is_for_microcontrollers_alone(tmp_path):
    with pytest.raises(ConfigError, match="'int16x8': it is for 'micro' alone"):
        export_tflite(None, tmp_path / "m.tflite", quantization="int16x8")
    for name in TARGETS.names():
        assert ("int16x8" in TARGETS.get(name).quantizations()) == (name == "micro")


def test_int16x8_is_not_written_where_it_cannot_be_proven(tmp_path, without_micro):
    with pytest.raises(RunError, match=r"'int16x8' needs tflite-micro.*pip install tflite-micro"):
        exported(two_lstms(), tmp_path / "m.tflite", quantization="int16x8")
    with pytest.raises(RunError, match="pip install tflite-micro"):
        DeviceBudget(target="micro", quantization="int16x8")
    # The others are proven in LiteRT, and nothing is said of RAM.
    result = exported(two_lstms(), tmp_path / "m.tflite", quantization="int8")
    assert result.parity.passed and result.arena is None


@installed
def test_a_file_that_only_tflite_micro_runs_says_so_where_it_is_missing(written, monkeypatch):
    path = written("lstm", "int16x8").path
    assert open_model(path).predict(rows(1)).shape == (1, 3)
    monkeypatch.setenv(VARIABLE, str(path.parent / "nothing here"))
    monkeypatch.setattr(micro.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"To run .*tflite needs tflite-micro"):
        open_model(path)


@installed
@pytest.mark.parametrize(("mode", "dtype"), [("int8", "int8"), ("int16x8", "int16")])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_inputs_and_outputs_are_integers_where_that_is_asked_for(written, name, mode, dtype):
    result = written(name, mode, dtype)
    file = open_model(result.path)
    for info in (*file.inputs.values(), *file.outputs.values()):
        assert info.dtype == dtype and info.scale
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(result.ops)
    assert contents.inspect(result.path).tensors.get("FLOAT32", 0) in (0, 8)  # of no size


def test_integers_of_another_size_need_another_mode(tmp_path):
    with pytest.raises(ExportError, match="'int16' needs quantization 'int16x8'"):
        exported(two_lstms(), tmp_path / "m.tflite", quantization="int8", inference_type="int16")


@installed
def test_no_runtime_of_tensorflow_lite_is_promised_for_16_bits(written):
    assert contents.inspect(written("lstm", "int16x8").path).min_runtime is None
    assert contents.inspect(written("lstm", "int8").path).min_runtime == "2.3"


@installed
def test_steps_that_are_spelled_out_compute_in_16_bits_too(tmp_path):
    result = exported(
        two_lstms(), tmp_path / "m.tflite", quantization="int16x8", lowering="unrolled"
    )
    assert result.parity.max_abs_output < 0.01 and "SPLIT" in result.ops
    # Of the input and of the sequence between the layers, whose PACK stays in float32.
    assert result.ops["QUANTIZE"] == 2


@installed
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_several_sequences_a_call(written, name, tmp_path):
    result = exported(
        written.models[name], tmp_path / "m.tflite", quantization="int8", batch_size=3
    )
    assert result.parity.passed and open_model(result.path).batch_size == 3


# --------------------------------------------------------------------- RAM


@installed
def test_the_least_arena_is_one_that_suffices_and_hardly_less_does_not(written):
    path = written("lstm", "int8").path
    least = micro.least_arena(path)
    assert written("lstm", "int8").arena == least
    assert micro._ask(path, {"action": "arena", "arena": least})["bytes"] <= least
    with pytest.raises(RunError):
        micro._ask(path, {"action": "arena", "arena": least - 128})
    assert benchmark_file(path, repeats=3)["arena"] == least


@installed
def test_a_limit_of_the_arena_is_kept_or_the_file_not_written(tmp_path):
    with pytest.raises(TargetError, match=r"needs an arena of [\d,]+ bytes .* 1,000 are allowed"):
        exported(two_lstms(), tmp_path / "m.tflite", quantization="int8", max_arena=1000)
    assert not list(tmp_path.iterdir())
    exported(two_lstms(), tmp_path / "m.tflite", quantization="int8", max_arena=50_000)


def test_a_limit_of_the_arena_is_for_clients_that_have_one(tmp_path):
    with pytest.raises(ConfigError, match=r"target 'litert', which has no arena.*'micro'"):
        export_tflite(None, tmp_path / "m.tflite", max_arena=16_000)
    with pytest.raises(ConfigError, match="has no arena"):
        DeviceBudget(max_arena=16_000)


def test_a_limit_of_the_arena_needs_what_measures_it(tmp_path, without_micro):
    with pytest.raises(RunError, match="max_arena needs tflite-micro"):
        exported(two_lstms(), tmp_path / "m.tflite", max_arena=16_000)
    with pytest.raises(RunError, match="max_arena needs tflite-micro"):
        DeviceBudget(max_arena=16_000, target="micro", quantization="int8")


@installed
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_arena_is_known_before_training(written, name):
    found = measure(
        written.models[name], quantization="int8", target="micro", samples=rows(), seconds=0.01
    )
    assert found.arena == written(name, "int8").arena
    budget = DeviceBudget(max_arena=found.arena // 2, target="micro", quantization="int8")
    values = {"size": found.bytes, "latency": found.latency_ms, "parameters": found.parameters}
    excess = budget.excess(**values, arena=found.arena)
    assert excess["arena"] == pytest.approx(2, abs=0.01) and set(excess) == {"arena"}
    assert "arena" in budget.explain({**values, "arena": found.arena}, excess)
    assert not budget.excess(**values, arena=found.arena // 2)


def test_what_no_kernel_reads_is_left_out(written):
    content = fb.unpack(written("lstm", "none").path.read_bytes())
    (graph,) = content.subgraphs
    assert not any(tensor.name for tensor in graph.tensors) and not content.metadata
    constants = sum(fb.constant(content, one) is not None for one in graph.tensors)
    assert len(content.buffers) <= constants + 1
    file = TFLiteModel(written("lstm", "none").path)
    assert list(file.inputs) == ["sensor"] and list(file.outputs) == ["label"]


# --------------------------------------------------------------------- a step a call


def stacks():
    from keras import layers

    return {
        "a GRU whose reset comes first": lambda: sensors(layers.GRU(5, reset_after=False)),
        "a SimpleRNN with relu": lambda: sensors(layers.SimpleRNN(5, activation="relu")),
        "an answer at each step": lambda: sensors(layers.GRU(5, return_sequences=True)),
        "a stack of cells": lambda: sensors(layers.RNN([layers.LSTMCell(5), layers.GRUCell(4)])),
        "an LSTM below a GRU": lambda: sensors(
            layers.LSTM(5, return_sequences=True), layers.LayerNormalization(), layers.GRU(4)
        ),
        "words": lambda: words(layers.GRU(6)),
    }


def words(layer):
    import keras

    x = keras.Input((STEPS,), dtype="int32", name="words")
    y = layer(keras.layers.Embedding(WORDS, 6)(x))
    return wide(keras.Model(x, keras.layers.Dense(2, activation="softmax")(y)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", stacks())
def test_steps_one_by_one_answer_what_the_whole_sequence_does(what, mode, tmp_path):
    data = rows()
    if what == "words":
        data = np.random.default_rng(0).integers(0, WORDS, (48, STEPS)).astype("int32")
    result = exported(stacks()[what](), tmp_path / "m.tflite", data, quantization=mode)
    assert result.parity.passed and set(result.lowering.values()) == {"step"}
    assert "WHILE" not in result.ops
    assert result.parity.max_abs_output < {"none": 1e-6, "int16x8": 0.02, "int8": 0.1}[mode]


def test_states_go_in_and_out_by_name(written):
    result = written("gru", "none")
    file = StepModel(result.path)
    assert sorted(file.states) == ["high/h", "low/h"]
    assert file.states["low/h"].shape == (1, 8) and file.states["high/h"].shape == (1, 6)
    signature = contents.inspect(result.path).signatures["step"]
    assert set(signature["inputs"]) == {"sensor", "low/h", "high/h"}
    assert set(signature["outputs"]) == {"label", "low/h", "high/h"}
    assert file.tensors["inputs"][0].shape == (1, 1, FEATURES)
    assert any("time step" in note for note in result.notes)


def test_longer_and_shorter_sequences_need_no_other_file(written):
    model, file = written.models["gru"], open_model(written("gru", "none").path)
    x = rows(6)
    import keras

    # The same layers without a fixed number of steps.
    open_ended = y = keras.Input((None, FEATURES))
    for layer in model.layers[1:]:
        y = layer(y)
    free = keras.Model(open_ended, y)
    for sequence in (x[:, :3], np.concatenate([x, x, x], axis=1)):
        np.testing.assert_allclose(file.predict(sequence), free(sequence), atol=1e-6)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("io", ["float32", "integers"])
def test_a_state_comes_out_in_the_numbers_that_it_goes_in(written, mode, io):
    dtype = {"int8": "int8", "int16x8": "int16"}[mode] if io == "integers" else "float32"
    content = fb.unpack(written("gru", mode, dtype).path.read_bytes())
    (signature,) = content.signatureDefs
    tensors = content.subgraphs[0].tensors
    outputs = {entry.name: tensors[entry.tensorIndex] for entry in signature.outputs}
    states = [entry for entry in signature.inputs if entry.name in outputs]
    assert len(states) == 2
    for entry in states:
        before, after = tensors[entry.tensorIndex], outputs[entry.name]
        assert before.type == after.type in (fb.INT8, fb.INT16)
        assert before.quantization.scale[0] == after.quantization.scale[0]
        assert before.quantization.zeroPoint[0] == after.quantization.zeroPoint[0] == 0


def test_states_that_are_handed_to_each_other_are_refused(tmp_path):
    from keras import layers

    model = sensors(layers.GRU(6, return_sequences=True, name="a"), layers.GRU(6, name="b"))
    result = exported(model, tmp_path / "m.tflite")
    mode = QUANTIZATIONS.get("none")
    reference = reference_of(prepare(model), rows(), roundings=roundings([]))
    crossed = {"a/h": "b/h", "b/h": "a/h"}
    content = fb.unpack(result.path.read_bytes())
    for entry in content.signatureDefs[0].outputs:
        entry.name = crossed.get(entry.name.decode(), entry.name.decode())
    (tmp_path / "n.tflite").write_bytes(fb.pack(content))
    with pytest.raises(VerificationError):
        compare_tflite(tmp_path / "n.tflite", reference, mode.tolerance)
    assert compare_tflite(result.path, reference, mode.tolerance).passed


def not_causal():
    from keras import layers

    return {
        "reads the sequence from its end": lambda: sensors(layers.Bidirectional(layers.GRU(4))),
        r"\(Conv1D\) answers nothing at": lambda: sensors(layers.Conv1D(4, 3), layers.GRU(4)),
        r"\(GlobalAveragePooling1D\) pools over": lambda: sensors(
            layers.GRU(4, return_sequences=True), layers.GlobalAveragePooling1D()
        ),
        "takes no other number of time steps": lambda: sensors(
            layers.LayerNormalization(1), layers.GRU(4)
        ),
    }


@pytest.mark.parametrize("reason", not_causal())
def test_what_is_not_causal_is_refused_with_the_layer_and_the_way_out(reason, tmp_path):
    model = not_causal()[reason]()
    with pytest.raises(ExportError, match=f"cannot be run step by step: .*{reason}.*;") as caught:
        exported(model, tmp_path / "m.tflite", verify=False, lowering="step", samples=None)
    assert "\n" not in str(caught.value)


def test_what_is_not_causal_is_unrolled_where_nothing_is_asked_for(tmp_path):
    from keras import layers

    model = sensors(layers.Bidirectional(layers.GRU(3)))
    assert why_not(prepare(model)) is not None
    result = exported(model, tmp_path / "m.tflite")
    assert set(result.lowering.values()) == {"unrolled"} and result.parity.passed


# --------------------------------------------------------------------- the client


@installed
def test_what_tflite_micro_does_not_run_is_said_in_a_line(tmp_path):
    import keras

    masked = sensors(keras.layers.Masking(), keras.layers.GRU(4))
    path = export_tflite(masked, tmp_path / "m.tflite", verify=False, diagnose=False).path
    for file in (path, tmp_path / "cut.tflite"):
        if file != path:
            file.write_bytes(path.read_bytes()[:700])
        with pytest.raises(RunError) as caught:
            micro.answers(file, {"sensor": rows(2)})
        assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match=r"does not run .*m.tflite"):
        micro.least_arena(path)


@installed
def test_an_ethos_u_takes_all_of_an_lstm(written, tmp_path):
    vela = clients_folder() / "vela" / "bin" / "vela"
    if not vela.is_file():
        pytest.skip(f"ethos-u-vela is not installed in {clients_folder()}")
    for mode, dtype in (("int8", "int8"), ("int16x8", "int16")):
        path = written("lstm", mode, dtype).path
        said = subprocess.run(
            [vela, path, "--accelerator-config", "ethos-u55-128", "--output-dir", tmp_path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "CPU operators = 0 " in said
