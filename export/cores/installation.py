"""Where the emulator of Arm cores lies, and what it consists of."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from keras_rnn_zoo.errors import MissingClientError

VARIABLE = "KERAS_RNN_ZOO_ARM"
DEFAULT = "~/.keras-rnn-zoo/arm"
COMMAND = "python -m keras_rnn_zoo.export.cores.set_up"
# Says that a folder is whole: versions, and of which sources its plug-in was made.
RECORD = "installed.json"
SOURCES = Path(__file__).with_name("plugin")
# Raised where what else a folder holds changes.
LAYOUT = 1


@dataclass(frozen=True)
class Installation:
    """A folder that `set_up` made.

    Attributes:
        folder: Where it is.
        versions: Package -> version of what runs there: `ai-edge-litert`, `numpy`, `qemu-user`, and
            `onnxruntime` where it was asked for.
    """

    folder: Path
    versions: dict[str, str]

    @property
    def plugin(self) -> Path:
        """The plug-in that counts and models."""
        return self.folder / "plugin.so"

    @property
    def sysroot(self) -> Path:
        """The files of an aarch64 Linux with Python."""
        return self.folder / "aarch64"

    @property
    def site(self) -> Path:
        """The Python packages for it."""
        return self.folder / "site"

    @property
    def qemu(self) -> list[str]:
        """The command that starts the emulator, with the libraries that it was built with."""
        host = self.folder / "host"
        libraries = [host / "lib/x86_64-linux-gnu", host / "usr/lib/x86_64-linux-gnu"]
        loader = host / "lib64/ld-linux-x86-64.so.2"
        path = ":".join(map(str, libraries))
        return [str(loader), "--library-path", path, str(host / "usr/bin/qemu-aarch64")]


def folder() -> Path:
    """Returns where the emulator is looked for and set up; it need not exist."""
    return Path(os.environ.get(VARIABLE) or DEFAULT).expanduser()


def sources_sha256() -> str:
    """Returns what tells one version of the plug-in's sources from another."""
    content = b"".join(file.read_bytes() for file in sorted(SOURCES.glob("*.[ch]")))
    return hashlib.sha256(content).hexdigest()


def find() -> Installation | None:
    """Returns the emulator; None where it is not set up, not whole, or of another version."""
    place = folder()
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        if (record["layout"], record["plugin"]) != (LAYOUT, sources_sha256()):
            return None
        versions = {str(name): str(version) for name, version in record["versions"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Installation(place, versions)


def needed(purpose: str) -> Installation:
    """Returns the emulator.

    Args:
        purpose: What it is needed for, as the beginning of a sentence.

    Raises:
        MissingClientError: It is not set up; the message says what to run.
    """
    found = find()
    if found is None:
        raise MissingClientError(
            f"{purpose} needs the emulator of Arm cores, which is not set up in {folder()}"
            f"{' by this version' if (folder() / RECORD).is_file() else ''}. Set it up with: "
            f"{COMMAND}"
        )
    return found
