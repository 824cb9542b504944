"""Models that are run some time steps a call: what comes out is what the whole sequence gives."""

from __future__ import annotations

import numpy as np
import pytest
from streamed import STREAMED

from keras_rnn_zoo import get_model
from keras_rnn_zoo.errors import ConfigError, ExportError, UnknownNameError, VerificationError
from keras_rnn_zoo.export import StreamingSession, export_saved_model, export_tflite, plan
from keras_rnn_zoo.export.keras_model.prepare import prepare
from keras_rnn_zoo.export.lowering.streaming.looking_back import LOOKING_BACK, looking_back
from keras_rnn_zoo.export.lowering.streaming.probe import streaming_plan, why_not
from keras_rnn_zoo.export.tflite import flatbuffer as fb
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.tflite.streams import Streaming, finished, streaming_of
from keras_rnn_zoo.export.verify.drift import drift
from keras_rnn_zoo.testing import check_looking_back

STEPS, FEATURES = 24, 5
LONG = 90
MODES = ["none", "float16", "dynamic", "int8"]


def wide(model, scale=0.4):
    generator = np.random.default_rng(1)
    for weight in model.weights:
        values = generator.normal(scale=scale, size=weight.shape)
        weight.assign(np.abs(values) if weight.path.endswith("moving_variance") else values)
    return model


def stack(*layers, steps=STEPS):
    import keras

    x = y = keras.Input((steps, FEATURES), name="sensor")
    for layer in layers:
        y = layer(y)
    return wide(keras.Model(x, y))


def rows(count=12, steps=STEPS):
    return np.random.default_rng(0).normal(size=(count, steps, FEATURES)).astype("float32")


def exported(model, path, data=None, **settings):
    data = rows() if data is None else data
    settings = {"samples": data, "representative_data": data, "streaming": True, **settings}
    return export_tflite(model, path, diagnose=False, progress=False, **settings)


def each_step(path, x, chunk):
    """What a session answers after every call: name -> `[calls, ...]`."""
    session = StreamingSession(path)
    steps = next(iter(x.values())).shape[0]
    made = []
    for start in range(0, steps, chunk):
        part = {name: values[start : start + chunk] for name, values in x.items()}
        made.append(session.step({n: v[0] for n, v in part.items()} if chunk == 1 else part))
    return {name: np.stack([one[name] for one in made]) for name in made[0]}


# ------------------------------------------------------------------------- equal to the whole


@pytest.fixture(scope="module")
def published():
    """`published(name)` -> the model, a long stream, and what Keras answers to it as a whole."""
    known = {}

    def get(name):
        if name not in known:
            model, x = STREAMED[name].build(), STREAMED[name].inputs(6, LONG)
            ready = prepare(model)
            whole = ready([values[:1] for values in x.values()])
            answers = {n: np.asarray(a)[0] for n, a in zip(ready.outputs, whole, strict=True)}
            known[name] = model, x, answers
        return known[name]

    return get


# Each mode, and chunks of 1, 3 and 10, of one model at least; benchmarks/streaming.py has all.
CASES = [
    ("keyword_spotter", "int8", 10),
    ("noise_suppression", "dynamic", True),
    ("speech_enhancement", "none", 3),
    ("tagger", "float16", 3),
    ("feedback_forecaster", "int8", True),
    ("feedback_forecaster", "none", 10),
    ("residual_stack", "none", True),
]


@pytest.mark.parametrize(("name", "mode", "chunk"), CASES)
def test_a_published_model_answers_each_step_as_the_whole_sequence(
    published, name, mode, chunk, tmp_path
):
    model, x, answers = published(name)
    short = {key: values[:, :30] for key, values in x.items()}
    result = exported(model, tmp_path / "m.tflite", short, quantization=mode, streaming=chunk)
    assert result.parity.passed and set(result.lowering.values()) == {"step"}
    size = result.plan.steps
    found = each_step(result.path, {key: values[0] for key, values in x.items()}, size)
    for output in result.plan.outputs:
        wanted, own = answers[output.name], found[output.name]
        own = own.reshape(wanted.shape) if output.every_step else own[-1]
        if mode == "none":
            np.testing.assert_allclose(own, wanted, rtol=0, atol=1e-5)
        else:
            spread = wanted.std() or 1.0
            assert np.abs(own - wanted).mean() < 0.25 * spread
    if mode != "none":
        assert result.drift.steps == 10_000 and result.drift.last < 0.1


SLOW = ("rnn_cell", "lstm_cell", "conv_lstm")
ZOO = {
    "rnn": {},
    "lstm": {},
    "gru": {"layers": 2},
    "rnn_cell": {},
    "gru_cell": {"layers": 2},
    "lstm_cell": {},
    "conv_gru": {"bidirectional": False, "causal": True, "pooling": "last"},
    "conv_lstm": {"bidirectional": False, "causal": True, "pooling": "last"},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in ZOO]
)
@pytest.mark.parametrize("mode", ["none", pytest.param("int8", marks=pytest.mark.slow)])
def test_every_model_of_the_zoo_streams_where_it_looks_back_alone(name, mode, tmp_path):
    config = {"timesteps": STEPS, "units": 8, "embedding_dim": 6, "vocabulary_size": 40}
    model = wide(get_model(name, **config, **ZOO[name]))
    generator = np.random.default_rng(3)
    # Padded on either side, and not at all: steps that are padding change nothing.
    x = generator.integers(1, 40, (12, STEPS)).astype("int32")
    x[4:8, 16:], x[8:, :8] = 0, 0
    result = exported(model, tmp_path / "m.tflite", x, quantization=mode)
    assert result.parity.passed and result.plan.steps == (4 if "conv" in name else 1)
    output = StepModel(result.path).predict(x[:4])
    np.testing.assert_allclose(output, model(x[:4]), atol=1e-5 if mode == "none" else 0.05)


def test_the_models_of_the_zoo_that_look_ahead_say_what_to_set():
    config = {"timesteps": 8, "units": 4, "embedding_dim": 4, "vocabulary_size": 9}
    pooled = get_model("conv_gru", **config, bidirectional=False, causal=True)
    assert "pooling='last' (--set pooling=last)" in why_not(prepare(pooled))
    ahead = get_model("conv_gru", **config, bidirectional=False, pooling="last")
    assert "causal=True (--set causal=true)" in why_not(prepare(ahead))
    both = get_model("bilstm", **config)
    assert "take one direction" in why_not(prepare(both))


# ------------------------------------------------------------------------------ layer by layer


def looking_back_layers():
    from keras import layers

    from keras_rnn_zoo.layers import MaskedConv1D, MaskedMaxPooling1D

    front = layers.ZeroPadding1D
    return {
        "Conv1D": [layers.Conv1D(4, 3, padding="causal", dilation_rate=2)],
        "Conv1D with strides": [layers.Conv1D(4, 3, padding="causal", strides=2)],
        "Conv1D behind zeros": [front((4, 0)), layers.Conv1D(4, 3, dilation_rate=2)],
        "Conv1D whose windows end late": [front((1, 0)), layers.Conv1D(4, 3, strides=2)],
        "Conv1D of width 1": [layers.Conv1D(4, 1, padding="same")],
        "DepthwiseConv1D": [front((2, 0)), layers.DepthwiseConv1D(3)],
        "SeparableConv1D": [front((2, 0)), layers.SeparableConv1D(4, 3)],
        "MaxPooling1D": [layers.MaxPooling1D(3)],
        "AveragePooling1D": [front((2, 0)), layers.AveragePooling1D(3, strides=1)],
        "MaxPooling1D of windows that overlap": [front((3, 0)), layers.MaxPooling1D(4, strides=1)],
        "MaskedConv1D": [layers.Masking(), MaskedConv1D(4, 3, padding="causal")],
        "MaskedMaxPooling1D": [layers.Masking(), MaskedMaxPooling1D(2)],
    }


def test_every_layer_that_looks_back_is_tried():
    known = {kind for name in LOOKING_BACK.names() for kind in LOOKING_BACK.get(name).layers}
    # Zeros in front are looked back on by the layer behind, and so in several of these.
    assert known - {"ZeroPadding1D"} <= {name.split()[0] for name in looking_back_layers()}


@pytest.mark.parametrize("what", looking_back_layers())
def test_a_layer_that_looks_back_keeps_what_it_looks_back_on(what):
    stack = looking_back_layers()[what]
    kinds = {kind: name for name in LOOKING_BACK.names() for kind in LOOKING_BACK.get(name).layers}
    check_looking_back(kinds[type(stack[-1]).__name__], *stack)


def test_a_layer_that_keeps_too_little_is_noticed(monkeypatch):
    from keras import layers

    entry = LOOKING_BACK.get("convolution")
    monkeypatch.setattr(type(entry), "keeps", lambda self, layer, in_front: 1)
    with pytest.raises(AssertionError, match="'convolution' cannot run a Conv1D: layer 'conv1d"):
        check_looking_back("convolution", layers.Conv1D(4, 3, padding="causal"))


def test_a_subclass_with_a_call_of_its_own_is_not_taken_for_its_base():
    from keras import layers

    class Same(layers.Conv1D):
        pass

    class Other(layers.Conv1D):
        def call(self, inputs):
            return super().call(inputs)[:, ::-1]

    assert looking_back(Same(4, 3)) is not None and looking_back(Other(4, 3)) is None
    assert why_not(prepare(stack(Same(4, 3, padding="causal"), layers.GRU(3)))) is None
    reason = why_not(prepare(stack(Other(4, 3, padding="causal"), layers.GRU(3))))
    assert "(Other) answers a time step otherwise" in reason


def cannot():
    """Reason -> layers that look at steps to come, known and unknown ones."""
    import keras
    from keras import layers, ops

    class Averaging(layers.Layer):
        def call(self, x):
            return x + ops.mean(x, axis=1, keepdims=True)

    class Position(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(1, *shape[1:]), initializer="normal")

        def call(self, x):
            return x + self.table

    class Counting(layers.Layer):
        def call(self, x):
            return x * ops.cast(ops.arange(x.shape[1]), "float32")[None, :, None]

    gru = layers.GRU
    return {
        r"\(Bidirectional\) reads the sequence from its end; take": [layers.Bidirectional(gru(3))],
        r"\(GRU\) reads the sequence from its end": [gru(3, go_backwards=True)],
        r"padding='same', 3 of them at once\); train it with padding='causal'": [
            layers.Conv1D(4, 3, padding="same")
        ],
        r"\(DepthwiseConv1D\) answers nothing .* ZeroPadding1D\(\(2, 0\)\) before it": [
            layers.DepthwiseConv1D(3)
        ],
        r"\(ZeroPadding1D\) puts zeros behind": [layers.ZeroPadding1D((1, 1)), layers.Conv1D(4, 3)],
        r"puts 2 time steps of zeros in front": [layers.ZeroPadding1D((2, 0)), gru(3)],
        r"gets 2 time steps of padding in front, more": [
            layers.ZeroPadding1D((2, 0)),
            layers.Conv1D(4, 3, padding="causal"),
        ],
        r"\(GlobalMaxPooling1D\) pools over all": [layers.GlobalMaxPooling1D()],
        r"\(Flatten\) makes one vector": [layers.Flatten(), layers.Dense(2)],
        r"\(RepeatVector\) repeats": [gru(3), layers.RepeatVector(STEPS), gru(3)],
        r"\(ConvLSTM1D\) has a loop of its own": [
            layers.Reshape((STEPS, FEATURES, 1)),
            layers.ConvLSTM1D(2, 3),
        ],
        r"\(Averaging\) answers a time step otherwise": [Averaging(), gru(3)],
        r"\(Counting\) answers a time step otherwise": [Counting(), gru(3)],
        r"\(Position\) takes no other number of time steps": [Position(), gru(3)],
        r"operation 'mean\w*' \(Mean\) answers": [
            gru(3, return_sequences=True),
            lambda x: ops.mean(x, 1),
        ],
        r"operation 'flip\w*' \(Flip\) answers": [lambda x: keras.ops.flip(x, 1), gru(3)],
        r"given the states that it starts from": [
            lambda x: gru(3)(x, initial_state=ops.zeros_like(x[:, 0, :3]))
        ],
    }


@pytest.mark.parametrize("reason", cannot())
def test_what_looks_at_other_steps_is_named_before_any_work(reason):
    model = stack(*cannot()[reason])
    with pytest.raises(ExportError, match=f"cannot be run step by step: .*{reason}") as caught:
        plan(model, streaming=True)
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


def can():
    """Layers that nobody here knows, or that only seem to look ahead."""
    from keras import layers, ops

    class Norm(layers.Layer):
        def call(self, x):
            return x / ops.sqrt(ops.mean(x * x, -1, keepdims=True) + 1e-3)

    gru = layers.GRU
    return {
        "a layer of one's own": [Norm(), gru(3)],
        "a reshape for all its steps": [layers.Reshape((STEPS, FEATURES)), gru(3)],
        "a recurrence in each step": [
            layers.Reshape((STEPS, FEATURES, 1)),
            layers.TimeDistributed(layers.GRU(3)),
            gru(3),
        ],
        "the last step": [gru(3, return_sequences=True), lambda x: x[:, -1], layers.Dense(2)],
        "operations between layers": [lambda x: ops.tanh(x) * 2 + x, gru(3)],
        "steps taken apart": [
            layers.Conv1D(4, 3, strides=2, padding="causal"),
            layers.UpSampling1D(2),
            gru(3, return_sequences=True),
        ],
        "layers of one cell": [layers.RNN([layers.GRUCell(3), layers.LSTMCell(4)])],
        "a mask and a cell that is not Keras'": [
            layers.Masking(),
            layers.RNN(_counting_cell()(3), return_sequences=True),
        ],
        "zeros for masked steps": [
            layers.Masking(),
            layers.RNN(layers.GRUCell(3), return_sequences=True, zero_output_for_mask=True),
        ],
    }


def _counting_cell():
    import keras

    class Counting(keras.layers.Layer):
        """Starts from ones; its output is none of its states."""

        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.state_size, self.output_size = units, units
            self.dense = keras.layers.Dense(units)

        def build(self, shape):
            self.dense.build((shape[0], shape[-1] + self.state_size))

        def get_initial_state(self, batch_size=None):
            return keras.ops.ones((batch_size, self.state_size))

        def call(self, inputs, states):
            (state,) = states if isinstance(states, (list, tuple)) else (states,)
            new = keras.ops.tanh(self.dense(keras.ops.concatenate([inputs, state], -1)))
            return new * 2 - state, [new]

    return Counting


@pytest.mark.parametrize(
    ("what", "streaming"), [(what, True if n % 2 else 4) for n, what in enumerate(can())]
)
def test_what_looks_at_each_step_alone_streams(what, streaming, tmp_path):
    x = rows(9)
    x[3:6, 15:], x[6:, :7] = 0, 0  # padding, where there is a mask
    result = exported(stack(*can()[what]), tmp_path / "m.tflite", x, streaming=streaming)
    assert result.parity.passed and result.parity.max_abs_output < 1e-5


def test_a_stream_starts_from_the_states_of_its_cell(tmp_path):
    from keras import layers

    model = stack(layers.Masking(), layers.RNN(_counting_cell()(3), return_sequences=True))
    result = exported(model, tmp_path / "m.tflite")
    session = StreamingSession(result.path)
    own, output = session.states.values()
    assert (own == 1).all() and (output == 0).all()


# -------------------------------------------------------------------- the file and its options


@pytest.fixture(scope="module")
def two_layers():
    from keras import layers

    return stack(
        layers.Conv1D(6, 3, padding="causal", strides=2, name="conv"),
        layers.LSTM(6, return_sequences=True, name="low"),
        layers.GRU(4, name="high"),
        layers.Dense(3, activation="softmax", name="label"),
    )


def test_states_are_inputs_and_outputs_by_name(two_layers, tmp_path):
    result = exported(two_layers, tmp_path / "m.tflite")
    assert [state.name for state in result.plan.states] == [
        "low/h",
        "low/c",
        "high/h",
        "conv/buffer",
    ]
    content = result.path.read_bytes()
    assert streaming_of(content) == Streaming(2, ())
    session = StreamingSession(result.path)
    assert session.chunk == 2 and set(session.states) == {s.name for s in result.plan.states}
    assert "initial_state" in result.notes[-1]


def test_states_inside_the_file_are_reset(two_layers, tmp_path):
    result = exported(two_layers, tmp_path / "m.tflite", state="internal")
    assert result.parity.passed and {"VAR_HANDLE", "ASSIGN_VARIABLE"} <= set(result.ops)
    assert "'reset'" in result.notes[-1]
    session, x = StreamingSession(result.path), rows(1)[0]
    first = [session.step(x[at : at + 2])["label"] for at in range(0, STEPS, 2)]
    session.reset()
    again = [session.step(x[at : at + 2])["label"] for at in range(0, STEPS, 2)]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[-1], two_layers(x[None])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"streaming": 3}, "of 2 time steps that go in, one comes out .* take 2 or 4"),
        ({"streaming": 0}, "at least 1"),
        ({"streaming": True, "lowering": "loop"}, "'loop' is for whole sequences"),
        ({"streaming": True, "fold_embedding": True}, "Leave fold_embedding out"),
        ({"streaming": True, "state": "inside"}, "Unknown state"),
        ({"streaming": True, "target": "mediapipe"}, "answers whole inputs"),
        ({"streaming": True, "target": "micro", "state": "internal"}, "Leave state out"),
        ({"state": "internal", "streaming": False}, "without streaming"),
        ({"streaming": 30}, "A call takes 30 time steps. Received: samples of 24"),
    ],
)
def test_options_that_do_not_go_together_are_refused(two_layers, options, message, tmp_path):
    with pytest.raises((ConfigError, ExportError, UnknownNameError), match=message):
        exported(two_layers, tmp_path / "m.tflite", **options)
    assert not (tmp_path / "m.tflite").exists()


def test_sequences_that_fill_no_call_are_cut(two_layers, tmp_path):
    result = (
        exported(two_layers, tmp_path / "m.tflite", rows(8, 23)[:, :23], streaming=10)
        if False
        else None
    )
    from keras import layers

    model = stack(layers.GRU(4), steps=23)
    result = exported(model, tmp_path / "m.tflite", rows(8, 23), streaming=10)
    assert result.parity.passed and result.plan.steps == 10


def test_a_model_that_keeps_its_states_becomes_a_stream(tmp_path):
    import keras
    from keras import layers

    inputs = keras.Input(batch_shape=(1, 1, FEATURES), name="sensor")
    model = wide(keras.Model(inputs, layers.LSTM(4, stateful=True, name="kept")(inputs)))
    result = exported(model, tmp_path / "m.tflite", rows(8, 20))
    assert any("in every stream" in note for note in result.notes)
    x, session = rows(1, 20)[0], StreamingSession(result.path)
    own = [np.asarray(model(step[None, None]))[0] for step in x]
    found = [session.step(step)["kept"] for step in x]
    np.testing.assert_allclose(found, own, atol=1e-5)


@pytest.mark.parametrize("chunk", [True, 4])
def test_a_saved_model_has_the_same_signatures(two_layers, chunk, tmp_path, recwarn):
    import tensorflow as tf

    result = export_saved_model(two_layers, tmp_path / "sm", samples=rows(6), streaming=chunk)
    assert result.parity.passed and result.parity.max_abs_output < 1e-6
    loaded = tf.saved_model.load(str(result.path))
    states = loaded.signatures["initial_state"]()
    assert set(states) == {"low/h", "low/c", "high/h", "conv/buffer"}
    x, size = rows(1), 2 if chunk is True else 4
    for start in range(0, STEPS, size):
        made = loaded.signatures["step"](sensor=tf.constant(x[:, start : start + size]), **states)
        states = {name: made[name] for name in states}
    np.testing.assert_allclose(made["label"], two_layers(x), atol=1e-5)


# ------------------------------------------------------------------------------- quantization


def integrator():
    """Its state is the sum of all that it read, nearly: what is rounded away adds up."""
    from keras import layers

    model = stack(layers.SimpleRNN(4, activation=None, use_bias=False), layers.Dense(2))
    model.layers[1].cell.recurrent_kernel.assign(0.9999 * np.eye(4))
    return model


def test_an_error_that_grows_is_refused(tmp_path):
    model = integrator()
    result = exported(model, tmp_path / "m.tflite", rows(4), verify=False)
    content = fb.unpack(result.path.read_bytes())
    # The same file whose recurrent weights are a little off.
    for buffer in content.buffers:
        if buffer.data is not None and len(buffer.data) == 64:
            values = np.frombuffer(bytes(buffer.data), np.float32).copy()
            if np.allclose(np.diag(values.reshape(4, 4)), 0.9999):
                buffer.data = np.frombuffer((values * 1.0001).tobytes(), np.uint8)
    (tmp_path / "off.tflite").write_bytes(fb.pack(content))
    x = {"sensor": rows(4)}
    assert drift(result.path, result.path, x).last == 0
    with pytest.raises(VerificationError, match=r"The error of off.tflite grows: .* finer"):
        drift(tmp_path / "off.tflite", result.path, x)


def test_a_state_beside_a_wider_input_is_not_cut_to_its_own_range(published, tmp_path):
    model, x, _ = published("feedback_forecaster")  # whose cell reads its last answer beside x
    short = {name: values[:, :24] for name, values in x.items()}
    settings = {"quantization": "int8", "target": "micro"}
    result = exported(model, tmp_path / "m.tflite", short, **settings)
    assert result.parity.passed and result.ops["CONCATENATION"]


def test_an_answer_that_is_a_state_is_a_tensor_of_its_own(tmp_path):
    from keras import layers

    # CompiledModel and LiteRT.js find outputs by their tensors.
    result = exported(stack(layers.GRU(4, name="gru")), tmp_path / "m.tflite")
    signature = fb.unpack(result.path.read_bytes()).signatureDefs[0]
    indices = [entry.tensorIndex for entry in (*signature.inputs, *signature.outputs)]
    assert len(set(indices)) == len(indices) == 4


def test_what_comes_out_of_int8_goes_in_again_as_it_is(two_layers, tmp_path):
    result = exported(two_layers, tmp_path / "m.tflite", quantization="int8", inference_type="int8")
    content = fb.unpack(result.path.read_bytes())
    signature, tensors = content.signatureDefs[0], content.subgraphs[0].tensors
    after = {entry.name: tensors[entry.tensorIndex] for entry in signature.outputs}
    states = [entry for entry in signature.inputs if entry.name in after]
    assert len(states) == 4
    for entry in states:
        before = tensors[entry.tensorIndex]
        assert (before.type, before.shape.tolist()) == (
            after[entry.name].type,
            after[entry.name].shape.tolist(),
        )


def test_a_start_other_than_zeros_is_quantized_with_its_state(tmp_path):
    from keras import layers

    model = stack(layers.GRU(4, name="gru"))
    result = exported(
        model, tmp_path / "m.tflite", quantization="int8", target="micro", verify=False
    )
    started = finished(
        result.path.read_bytes(),
        {"gru/h": np.full((1, 4), 0.5, np.float32)},
        Streaming(1, ()),
        inside=False,
    )
    (tmp_path / "n.tflite").write_bytes(started)
    (values,) = StreamingSession(tmp_path / "n.tflite").states.values()
    np.testing.assert_allclose(values, 0.5, atol=0.01)


def test_the_plan_is_plain_data(two_layers):
    planned = streaming_plan(prepare(two_layers), steps=4)
    assert planned.steps == 4 and planned.inputs[0].shape == (1, 4, FEATURES)
    assert [one.timesteps for one in planned.recurrences] == [2, 2]
    assert planned.to_dict()["states"][0]["name"] == "low/h"
    assert [output.every_step for output in planned.outputs] == [False]
