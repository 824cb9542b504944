"""A bare .tflite file is compared with a Keras model, by the limits of the mode that it holds."""

from __future__ import annotations

import numpy as np
import pytest
from tflite_files import TIMESTEPS, VOCABULARY, tokens

from keras_rnn_zoo.cli import main
from keras_rnn_zoo.errors import ConfigError, DataError, ExportError, RunError, UnknownNameError
from keras_rnn_zoo.export import export_tflite, verify_file


def recurrent(seed: int):
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((TIMESTEPS,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(VOCABULARY, 32, mask_zero=True)(inputs)
    x = keras.layers.GRU(32)(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="answer")(x))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, its rows, and a file in each mode."""
    directory = tmp_path_factory.mktemp("checking")
    model = recurrent(0)
    model.save(directory / "model.keras")
    recurrent(1).save(directory / "other.keras")
    np.save(directory / "rows.npy", tokens(40))
    for mode in ("none", "float16", "dynamic", "int8"):
        export_tflite(
            model,
            directory / f"{mode}.tflite",
            quantization=mode,
            representative_data=tokens(40),
            verify=False,
        )
    return directory


@pytest.mark.parametrize("mode", ["none", "float16", "dynamic", "int8"])
def test_the_mode_is_that_of_what_the_file_holds(place, mode):
    result = verify_file(place / f"{mode}.tflite", place / "model.keras", tokens(40))
    assert result["quantization"] == mode
    assert not result["random"]


def test_a_right_file_passes_and_one_of_other_weights_does_not(place):
    right = verify_file(place / "none.tflite", place / "model.keras", place / "rows.npy")
    assert right["passed"] and right["files"][0]["parity"]["samples"] >= 40
    wrong = verify_file(place / "none.tflite", place / "other.keras", place / "rows.npy")
    assert not wrong["passed"]
    assert "does not answer what the Keras model answers" in wrong["text"]
    assert "\n" not in wrong["text"]


def test_the_limits_are_those_of_the_mode_that_is_named(place):
    file, model = place / "float16.tflite", place / "model.keras"
    assert verify_file(file, model, tokens(40))["passed"]
    assert not verify_file(file, model, tokens(40), quantization="none")["passed"]
    with pytest.raises(UnknownNameError, match="float16"):
        verify_file(file, model, tokens(40), quantization="float61")


def test_a_model_in_memory_and_random_rows(place):
    result = verify_file(place / "none.tflite", recurrent(0))
    assert result["passed"] and result["random"] and "random" in result["text"]


def test_a_damaged_file_is_wrong(place, tmp_path):
    content = (place / "none.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    result = verify_file(tmp_path / "cut.tflite", place / "model.keras", tokens(4))
    assert not result["passed"] and "damaged" in result["text"]


def test_rows_that_do_not_fit_are_refused(place):
    with pytest.raises(ExportError, match="shape"):
        verify_file(place / "none.tflite", place / "model.keras", tokens(4)[:, :5])
    with pytest.raises(RunError, match="Keras model"):
        verify_file(place / "model.keras", place / "model.keras")
    with pytest.raises(RunError, match="nothing at"):
        verify_file(place / "nine.tflite", place / "model.keras")


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("verify {}/none.tflite --model {}/model.keras --data {}/rows.npy", 0, "judged as 'none'"),
        ("verify {}/none.tflite --model {}/other.keras --data {}/rows.npy", 1, "does not answer"),
        ("verify {}/none.tflite", 2, "--model MODEL.keras"),
        ("verify {} --model {}/model.keras", 2, "is a directory"),
        ("verify {}", 1, "not a bundle"),
        ("verify {}/model.keras --model {}/model.keras", 1, "is a Keras model"),
        ("benchmark {}/none.tflite --repeats 20", 0, "none.tflite"),
        ("benchmark {}/none.tflite --repeats 20 --data {}/rows.npy", 0, "none.tflite"),
        ("benchmark {}/none.tflite --quantization none", 2, "--quantization"),
        ("benchmark {}/model.keras", 1, "is a Keras model"),
    ],
)
def test_what_the_commands_say_of_a_bare_file(place, capsys, command, code, says):
    assert main([word.format(place) for word in command.split()]) == code
    captured = capsys.readouterr()
    text = captured.err if code else captured.out
    assert says in text and "Traceback" not in text
    if code:
        assert len([line for line in captured.err.splitlines() if "Error: " in line]) == 1


def test_a_subclassed_model_and_one_of_mixed_precision_are_compared_with(tmp_path):
    import keras

    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = keras.layers.GRU(8), keras.layers.Dense(2)

        def call(self, inputs):
            return self.head(self.hidden(inputs))

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal((30, 9, 3)).astype("float32")
    inputs = keras.Input((None, 3), name="x")
    hidden = keras.layers.GRU(8, dtype="mixed_float16")(inputs)
    mixed = keras.Model(inputs, keras.layers.Dense(2, dtype="float32", name="y")(hidden))
    own, other = Classifier(), Classifier()
    own(x[:1]), other(x[:1])
    for model in (own, mixed):
        export_tflite(model, tmp_path / "m.tflite", samples=x)
        assert verify_file(tmp_path / "m.tflite", model, x)["passed"]
        assert verify_file(tmp_path / "m.tflite", model)["passed"]
    export_tflite(own, tmp_path / "m.tflite", samples=x)
    assert not verify_file(tmp_path / "m.tflite", other, x)["passed"]


def two_lengths(head: str = "next", seed: int = 0):
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    source, target = (keras.Input((None, 3), name=name) for name in ("source", "target"))
    _, *states = layers.LSTM(5, return_state=True)(source)
    x = layers.LSTM(5, return_sequences=True)(target, initial_state=states)
    return keras.Model([source, target], layers.Dense(2, name=head)(x))


def test_sizes_that_the_model_leaves_open_are_those_of_the_file(tmp_path):
    generator = np.random.default_rng(0)
    x = {
        "source": generator.normal(size=(20, 9, 3)).astype("float32"),
        "target": generator.normal(size=(20, 4, 3)).astype("float32"),
    }
    file = tmp_path / "m.tflite"
    export_tflite(two_lengths(), file, samples=x)
    assert verify_file(file, two_lengths(), x)["passed"]
    assert verify_file(file, two_lengths())["random"]
    assert not verify_file(file, two_lengths(seed=1), x)["passed"]
    short = verify_file(file, two_lengths(), x | {"source": x["source"][:, :5]})
    assert not short["passed"] and "takes arrays of the shape ['samples', 9, 3]" in short["text"]
    export_tflite(two_lengths(), file, samples=x, lowering="resizable")
    assert verify_file(file, two_lengths(), x)["passed"]
    with pytest.raises(DataError, match=r"how long its inputs are.*--data"):
        verify_file(file, two_lengths())


def test_the_names_of_another_converter_do_not_matter_where_they_say_nothing(tmp_path):
    import keras

    def model(start: str, heads: list[str], seed: int = 0):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((6, 3), name=start)
        x = keras.layers.GRU(5)(inputs)
        return keras.Model(inputs, [keras.layers.Dense(2, name=name)(x) for name in heads])

    x = np.random.default_rng(0).normal(size=(20, 6, 3)).astype("float32")
    file = tmp_path / "m.tflite"
    export_tflite(model("args_0", ["output_0"]), file, samples=x)
    result = verify_file(file, model("x", ["y"]), x)
    assert result["passed"] and "Its output 'output_0' is the model's 'y'." in result["text"]
    assert not verify_file(file, model("x", ["y"], seed=1), x)["passed"]
    # As Keras' own export numbers them.
    export_tflite(model("x", ["output_0", "output_1"]), file, samples=x)
    assert verify_file(file, model("x", ["b", "a"]), x)["passed"]
    export_tflite(model("x", ["output_1", "output_0"]), file, samples=x)
    assert not verify_file(file, model("x", ["b", "a"]), x)["passed"]
    export_tflite(model("x", ["left", "right"]), file, samples=x)
    assert "has the outputs" in verify_file(file, model("x", ["b", "a"]), x)["text"]


def test_a_subclassed_model_is_compared_as_it_is_exported(tmp_path):
    import keras

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.memory, self.head = keras.layers.GRU(5), keras.layers.Dense(2)

        def call(self, x, training=False):
            return {"level": self.head(self.memory(x))}

    x = np.random.default_rng(0).normal(size=(20, 6, 3)).astype("float32")
    right, wrong = Net(), Net()
    right(x[:1])
    wrong(x[:1])
    export_tflite(right, tmp_path / "m.tflite", samples=x)
    assert verify_file(tmp_path / "m.tflite", right, x)["passed"]
    assert verify_file(tmp_path / "m.tflite", right)["random"]
    assert not verify_file(tmp_path / "m.tflite", wrong, x)["passed"]


@pytest.mark.parametrize("size", ["2", 2.0, True, 0])
def test_a_batch_size_is_a_whole_number(place, size):
    with pytest.raises(ConfigError, match="batch_size is a whole number of at least 1"):
        export_tflite(recurrent(0), place / "never.tflite", batch_size=size)
