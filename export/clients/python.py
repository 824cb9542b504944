"""Clients that are packages of Python, of this one or of another."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from keras_rnn_zoo.export.clients.client import (
    Client,
    Installed,
    Invokes,
    Ran,
    run_command,
)
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.file import RESET, description
from keras_rnn_zoo.export.tflite.runtimes import Runtime, newer_than, parse_runtime, runtime_text


class PythonClient(Client):
    """A package of Python that runs files.

    Attributes:
        package: Its name on PyPI.
        script: What runs in that Python: a file beside this one, which needs NumPy and the
            package alone.
        interface: Which of its interfaces the script is to use.
    """

    package: ClassVar[str]
    script: ClassVar[str]
    interface: ClassVar[str] = ""

    def found_in(self, folder: Path | None) -> Installed | None:
        """See `Client.found_in`; a folder is a virtual environment."""
        if folder is None:
            python, label = Path(sys.executable), self.name
            try:
                number = metadata.version(self.package)
            except metadata.PackageNotFoundError:
                return None
        else:
            python, label = folder / "bin" / "python", folder.name
            pattern = f"lib*/python*/site-packages/{self.package.replace('-', '_')}-*.dist-info"
            places = sorted(folder.glob(pattern))
            if not places or not python.exists():
                return None
            number = places[-1].name.removesuffix(".dist-info").rpartition("-")[2]
        return Installed(label, f"{self.package} {number}", python, number)

    def job(self, installed: Installed, asked: Invokes) -> dict[str, Any]:
        """Returns what the script has to do."""
        return {
            **asked.job(),
            "file": str(asked.file.absolute()),
            "interface": self.interface,
            "reset": description(asked.file.read_bytes()) == RESET,
        }

    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """See `Client.run`."""
        command = [installed.place, Path(__file__).parent / f"{self.script}.py"]
        said, y = run_command(command, self.job(installed, asked), asked.x)
        return Ran(y, said.get("notes", ()), said.get("figures", {}))


class Runtimes(PythonClient):
    """A package whose versions know the ops of some version of TensorFlow Lite.

    Attributes:
        kind: What `parse_runtime` takes before a version of it.
    """

    kind: ClassVar[str] = ""

    def takes_steps(self) -> bool:
        """Its script runs them; see `Client.takes_steps`."""
        return True

    def runtime(self, installed: Installed) -> Runtime:
        """Returns the version of TensorFlow Lite whose ops it knows."""
        return parse_runtime(self.kind + ".".join(installed.number.split(".")[:2]))

    def refuses(self, installed: Installed, info: FileInfo) -> str | None:
        """Says what its version lacks; see `Client.refuses`."""
        runtime = self.runtime(installed)
        if unknown := newer_than(info.versions, runtime):
            return f"holds {', '.join(unknown)}, and it knows the ops of {runtime_text(runtime)}"
        return super().refuses(installed, info)
