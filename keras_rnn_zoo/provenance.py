"""What made a result: versions, platform, time, seed, command."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("keras-rnn-zoo", "tensorflow", "keras", "keras-tuner", "ai-edge-litert", "numpy")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def provenance(*, seed: int | None = None, command: str | None = None) -> dict[str, Any]:
    """Returns the record that every written result carries, JSON-able.

    Args:
        seed: Of the random choices behind the result.
        command: The command line, or None from Python.
    """
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": {package: _version(package) for package in PACKAGES},
    }
