import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_rnn_zoo.data import Dataset, Split

sys.path.insert(0, str(Path(__file__).parent))

POSITIVE = ["a wonderful moving film", "great fun", "i loved it", "wonderful acting, great story"]
NEGATIVE = ["a dull boring mess", "terrible plot", "i hated it", "boring acting, awful story"]


@pytest.fixture
def texts() -> Dataset:
    """40 tiny reviews, half of each label, alternating."""
    x, y = [], []
    for i in range(20):
        x += [f"{POSITIVE[i % 4]} {i}", f"{NEGATIVE[i % 4]} {i}"]
        y += ["pos", "neg"]
    return Dataset("texts", "text", Split(x, y))


@pytest.fixture
def write_table(tmp_path):
    """Writes bytes or text to a file of the given name, gzipped if the name says so."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def write_arrays(tmp_path):
    """Writes an NPZ file; object arrays make it one that needs pickle."""

    def write(name="data.npz", **arrays):
        path = tmp_path / name
        np.savez(path, **{key: np.asarray(value) for key, value in arrays.items()})
        return path

    return write
