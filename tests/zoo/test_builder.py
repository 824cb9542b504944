import json
import subprocess
import sys

import numpy as np
import pytest

from keras_rnn_zoo.builder import (
    MODELS,
    ModelBuilder,
    builder_from_json,
    common_fields,
    get_builder,
    get_model,
    list_models,
)
from keras_rnn_zoo.errors import ConfigError, UnknownNameError

ZOO = list_models()


def test_importing_the_zoo_and_its_configs_does_not_import_tensorflow():
    code = (
        "import sys, keras_rnn_zoo as zoo\n"
        "assert zoo.builder_from_json(zoo.get_builder('bilstm', units=3).to_json())\n"
        "assert len(zoo.list_models()) >= 8 and zoo.__version__\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ZOO)
def test_a_config_goes_to_json_and_back_to_an_equal_builder(name):
    builder = get_builder(name, units=np.int64(3), dropout=0, mask=False)
    again = builder_from_json(builder.to_json())
    assert again == builder
    assert again != builder.replace(units=4)
    assert json.loads(builder.to_json())["schema_version"] == MODELS.get(name).schema_version
    assert builder.config["units"] == 3 and type(builder.config["units"]) is int
    assert type(builder.config["dropout"]) is float


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell"])
def test_stacked_models_are_the_textbooks_by_default(name):
    config = get_builder(name).config
    assert (config["vocabulary_size"], config["timesteps"]) == (10_000, 80)
    assert (config["embedding_dim"], config["units"], config["layers"]) == (100, 64, 2)
    assert (config["dropout"], config["task"], config["outputs"]) == (0.5, "binary", 1)
    assert config["mask"] is True


def test_bilstm_is_the_textbooks_by_default():
    model = get_model("bilstm")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Embedding", "Bidirectional", "Dropout", "Dense"]
    _, embedding, both, dropout, answer = model.layers
    assert (embedding.input_dim, embedding.output_dim, embedding.mask_zero) == (10_000, 128, True)
    assert (both.forward_layer.units, both.merge_mode) == (64, "concat")
    assert type(both.forward_layer).__name__ == "LSTM"
    assert dropout.rate == 0.5
    assert (answer.units, answer.activation.__name__) == (1, "sigmoid")
    assert model.input_shape == (None, 200)
    # Embedding, two directions of 4 gates, head.
    assert model.count_params() == 10_000 * 128 + 2 * 4 * 64 * (128 + 64 + 1) + 129


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"unit": 3}, r"'lstm' has no setting 'unit'\. Did you mean 'units'\? Known: 'features'"),
        ({"units": 0}, "units is a whole number of at least 1. Received: 0"),
        ({"units": 2.5}, "units is a whole number of at least 1. Received: 2.5"),
        ({"units": True}, "units is a whole number of at least 1. Received: True"),
        ({"units": "64"}, "Received: '64'"),
        ({"units": None}, "Received: None"),
        ({"units": [64]}, "Received"),
        ({"units": np.zeros(3)}, "Received"),
        ({"dropout": 1}, "dropout is a number of at least 0 and below 1. Received: 1"),
        ({"dropout": float("nan")}, "Received: nan"),
        ({"dropout": -0.1}, "Received: -0.1"),
        ({"vocabulary_size": 1}, "vocabulary_size is a whole number of at least 2"),
        ({"features": 0}, "features is a whole number of at least 1, or none"),
        ({"mask": 1}, "mask is true or false. Received: 1"),
        ({"layers": 17}, "layers is a whole number of at least 1 and below 17"),
        ({"task": "binari"}, r"one of 'binary'.* Received: 'binari'\. Did you mean 'binary'"),
        ({"outputs": 2}, "'binary' takes outputs of exactly 1"),
        ({"task": "multiclass"}, "'multiclass' takes outputs of at least 2, one for each label"),
        ({"task": "sequence_labelling", "outputs": 1}, "at least 2"),
    ],
    ids=str,
)
def test_an_illegal_config_is_one_line_that_says_what_is_legal(config, message):
    with pytest.raises(ConfigError, match=message) as caught:
        get_model("lstm", **config)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'bilstm'"):
        get_model("bi_lstm")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a builder's"),
        ('{"model": "lstm", "config": {}}', "schema_version"),
        ('{"schema_version": 1, "model": "lstm", "config": []}', "not a builder's"),
        ('{"schema_version": 2, "model": "lstm", "config": {}}', "Install a newer"),
        ('{"schema_version": "1", "model": "lstm", "config": {}}', "schema version '1'"),
        ('{"schema_version": 1, "model": "lstm", "config": {"unit": 1}}', "no setting 'unit'"),
    ],
)
def test_json_that_is_no_builder_is_one_clear_error(text, message):
    with pytest.raises(ConfigError, match=message):
        builder_from_json(text)


def test_an_older_schema_is_upgraded():
    class Newer(ModelBuilder):
        name = "newer"
        description = "renamed a key"
        schema_version = 2

        def recurrence(self, x):
            return x

        @classmethod
        def upgrade(cls, config, schema_version):
            if schema_version < 2:
                config["units"] = config.pop("size")
            return config

    MODELS.register("newer", Newer)
    try:
        text = '{"schema_version": 1, "model": "newer", "config": {"size": 5}}'
        assert builder_from_json(text).config["units"] == 5
    finally:
        MODELS.unregister("newer")


def test_fields_of_a_model_of_ones_own_start_from_the_common_ones():
    fields = {field.name: field for field in common_fields(units=32)}
    assert fields["units"].default == 32
    assert fields["timesteps"].default == 80
    with pytest.raises(TypeError, match="unit"):
        common_fields(unit=32)
