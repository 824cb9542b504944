"""What the export tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# `architectures` is a plain module beside the tests; importlib mode adds no directory by itself.
sys.path.insert(0, str(Path(__file__).parent))


class _Made(dict):
    """Name of a kind of bundle -> one; exported when it is first asked for. Not to be changed."""

    def __init__(self, place: Path):
        super().__init__()
        self._place = place

    def __missing__(self, name: str):
        from app_bundles import MAKERS

        self[name] = MAKERS[name](self._place / name)
        return self[name]


@pytest.fixture(scope="session", autouse=True)
def blocks_in_short_sequences():
    """The sequences of these tests are short, and their loops are to take blocks of steps too."""
    from keras_rnn_zoo.export.lowering.profiles import PROFILES

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(PROFILES["phone"]), "starts", 0.5)
        yield


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Small bundles of every kind, for the tests of what an app needs."""
    return _Made(tmp_path_factory.mktemp("bundles"))
