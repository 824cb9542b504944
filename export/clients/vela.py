"""Arm's compiler for the Ethos-U NPUs."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from keras_rnn_zoo.export.clients.client import (
    SECONDS,
    ClientRefuses,
    Installed,
    Invokes,
    NoVerdict,
    Ran,
    register_client,
)
from keras_rnn_zoo.export.clients.python import PythonClient
from keras_rnn_zoo.export.tflite.contents import FileInfo

NPU = "ethos-u55-128"


@register_client("vela")
class Vela(PythonClient):
    """Compiles a file, and says how many of its ops are left to the CPU beside the NPU."""

    description = "Vela, the compiler for Ethos-U NPUs: which ops stay on the CPU"
    target: ClassVar[str] = "micro"
    package: ClassVar[str] = "ethos-u-vela"
    script: ClassVar[str] = ""
    install: ClassVar[str] = "python3 -m venv {folder} && {folder}/bin/pip install ethos-u-vela"

    def refuses(self, installed: Installed, info: FileInfo) -> str | None:
        """Says why a file is not for an NPU; what TensorFlow Lite Micro lacks is no reason."""
        if not info.quantized_weight_bytes:
            return "computes in floats, and an NPU computes in integers"
        return None

    def takes_steps(self) -> bool:
        """It compiles any graph; see `Client.takes_steps`."""
        return True

    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """Compiles a file; see `Client.run`."""
        with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
            command: Sequence[str | Path] = [
                installed.place.parent / "vela",
                f"--accelerator-config={NPU}",
                "--show-cpu-operations",
                f"--output-dir={scratch}",
                asked.file.absolute(),
            ]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            except subprocess.TimeoutExpired:
                raise NoVerdict(f"is too large to be compiled within {SECONDS:.0f} s") from None
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [""]
            raise ClientRefuses(f"is refused: {lines[-1][:300].rstrip('.')}")
        counts = {
            kind: int(match[1])
            for kind in ("CPU", "NPU")
            if (match := re.search(rf"{kind} operators = (\d+)", done.stdout))
        }
        left = sorted(set(re.findall(r"\(supported operators\) operator: (\w+)", done.stdout)))
        cpu, npu = counts.get("CPU", 0), counts.get("NPU", 0)
        what = f": {', '.join(left)}" if left else ""
        note = f"{cpu} of {cpu + npu} ops stay on the CPU beside {NPU}{what}"
        return Ran((), (note,), {"cpu_ops": cpu, "npu_ops": npu, "on_cpu": left})
