"""Where programs are installed that run files, apart from this environment."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "KERAS_RNN_ZOO_CLIENTS"
DEFAULT = "~/.keras-rnn-zoo/clients"


def clients_folder() -> Path:
    """Returns the folder that holds each in a folder of its own; it need not exist."""
    return Path(folder_text()).expanduser()


def folders_of(name: str) -> list[Path]:
    """Returns the folders of a client that there are: `name`, and `name-...` for other versions."""
    root = clients_folder()
    names = sorted(one.name for one in root.iterdir()) if root.is_dir() else []
    return [root / one for one in names if one.split("-")[0] == name]


def folder_text() -> str:
    """Returns the same as a user would type it."""
    return (os.environ.get(VARIABLE) or DEFAULT).rstrip("/")
