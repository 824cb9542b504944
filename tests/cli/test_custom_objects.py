"""Models with layers of a user's own, on the command line."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

SOURCE = """
import keras


class Tiny(keras.layers.Layer):
    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units = self.state_size = units

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1] + self.units, self.units), name="w")

    def call(self, x, states):
        h = squash(keras.ops.concatenate([x, states[0]], axis=-1) @ self.w)
        return h, [h]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def squash(x):
    return keras.ops.tanh(x)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a model of a module's cell and activation; the module is not imported."""
    import keras

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_cells.py").write_text(SOURCE)
    importlib.invalidate_caches()
    module = importlib.import_module("my_cells")
    i = keras.Input((5, 3), name="x")
    x = keras.layers.RNN(module.Tiny(4))(i)
    model = keras.Model(i, keras.layers.Dense(2, activation=module.squash)(x))
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    np.save(tmp_path / "x.npy", np.ones((2, 5, 3), "float32"))
    del sys.modules["my_cells"]
    (tmp_path / "my_cells.py").rename(tmp_path / "elsewhere.py")
    known = keras.saving.get_custom_objects()
    before = dict(known)
    yield tmp_path, model
    known.clear()
    known.update(before)
    for name in ("my_cells", "elsewhere"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("file", "given"), [("m.keras", "elsewhere"), ("m.h5", "elsewhere:Tiny,elsewhere:squash")]
)
def test_a_model_with_a_cell_of_its_own_says_what_is_missing_and_takes_it(zoo, place, file, given):
    _, model = place
    export = ["export", file, "-o", "b", "--quantization", "none", "--format", "tflite"]
    answer = zoo(export)
    assert answer.code == 1
    assert "uses 'Tiny'" in answer.error
    assert "--custom-objects my_cells" in answer.error
    answer = zoo([*export, "--custom-objects", given])
    assert answer.code == 0
    answer = zoo(["predict", "b", "--input", "x.npy"])
    expected = model(np.ones((1, 5, 3), "float32"))[0]
    found = [float(word) for word in answer.out.splitlines()[0].split()]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_custom_objects_that_are_none(zoo, place):
    export = ["export", "m.keras", "-o", "b", "--custom-objects"]
    for given, says in (
        ("elsewere", "No module named 'elsewere'"),
        ("elsewhere:Tin", "Did you mean 'Tiny'"),
    ):
        answer = zoo([*export, given])
        assert answer.code == 1
        assert says in answer.error
        assert not (place[0] / "b").exists()
