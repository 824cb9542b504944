"""Runs files on an emulated core and brings back what was executed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, RunError
from keras_rnn_zoo.export.cores.cores import Core
from keras_rnn_zoo.export.cores.installation import Installation
from keras_rnn_zoo.export.cores.reading import Counts, Events, read_counts

GUEST = Path(__file__).with_name("_guest.py")
# The plug-in has a label for each file, and one to warm.
MOST_FILES = 62
# An hour of emulation is a minute on a phone, about.
SECONDS = 3600.0


@dataclass(frozen=True)
class Calls:
    """A file and the calls of it that are measured, after all were made once to warm the caches.

    Attributes:
        path: A .tflite file; an .onnx file where onnxruntime was set up.
        calls: For each call the values of each input tensor, as the file stores them, by tensor
            index; of an .onnx file its input by the key 0, the same in all.
        open: Tensors that are resized to their values.
        resets: Whether a call begins with a reset of the states in the file.
    """

    path: Path
    calls: Sequence[Mapping[int, np.ndarray]]
    open: Sequence[int] = ()
    resets: bool = False


@dataclass(frozen=True)
class Emulated:
    """What came of a file.

    Attributes:
        counts: What its calls executed, all together.
        events: What missed caches and was guessed wrong; None where no cycles are modelled.
        answers: What the outputs of the last call held, flat.
        calls: How many there were.
    """

    counts: Counts
    events: Events | None
    answers: list[np.ndarray]
    calls: int


def emulate(
    core: Core, files: Sequence[Calls], installed: Installation, *, count_only: bool = False
) -> list[Emulated]:
    """Runs some files, one after the other, in one emulated process of one thread.

    Args:
        core: The core.
        files: Up to 62.
        installed: The emulator.
        count_only: Leave cycles out, as for a core without a model: ten times faster.

    Raises:
        ConfigError: No calls, or too many files.
        RunError: A file crashes or hangs the interpreter, or the emulator does not run.
    """
    if not 0 < len(files) <= MOST_FILES or not all(file.calls for file in files):
        raise ConfigError(
            f"1 to {MOST_FILES} files with a call each are emulated at once. Received: "
            f"{len(files)} files, {min((len(file.calls) for file in files), default=0)} calls."
        )
    model = None if count_only else core.model
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        place = Path(scratch)
        _write_root(place / "root", core, installed.sysroot)
        done, counts = place / "done.json", place / "counts.bin"
        job = {"done": str(done), "files": list(_jobs(place, files))}
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        plugin = f"{installed.plugin},out={counts}" + (f",core={model}" if model else "")
        said = _run(
            [
                *installed.qemu,
                *("-cpu", core.emulated),
                *("-L", str(place / "root")),
                *("-plugin", plugin),
                str(installed.sysroot / "usr/bin/python3.11"),
                str(GUEST),
                str(place / "job.json"),
            ],
            installed,
            files,
        )
        try:
            record = json.loads(done.read_text(encoding="utf-8"))
            found, events = read_counts(counts, record["maps"])
            answers = record["answers"]
        except (OSError, ValueError, KeyError) as error:
            raise RunError(_failed(files, said)) from error
    return [
        Emulated(
            found.get(number, Counts()),
            events.get(number) if model else None,
            [np.array(values) for values in answers[number - 1]],
            len(file.calls),
        )
        for number, file in enumerate(files, 1)
    ]


def _jobs(place: Path, files: Sequence[Calls]) -> Iterator[dict[str, Any]]:
    for number, file in enumerate(files):
        inputs = place / f"inputs_{number}.npz"
        if file.path.suffix == ".onnx":
            arrays = {"x": file.calls[0][0]}
        else:
            arrays = {
                f"{call}_{tensor}": values
                for call, given in enumerate(file.calls)
                for tensor, values in given.items()
            }
        np.savez(inputs, **arrays)  # type: ignore[arg-type]
        yield {
            "path": str(file.path.absolute()),
            "inputs": str(inputs),
            "calls": len(file.calls),
            "open": [int(tensor) for tensor in file.open],
            "resets": file.resets,
        }


def _run(command: Sequence[str], installed: Installation, files: Sequence[Calls]) -> str:
    """Runs the emulator; returns what was written to stderr."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(installed.site),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"{_names(files)} does not come to an end under emulation (stopped after "
            f"{SECONDS:.0f} s). Measure fewer or shorter samples."
        ) from None
    except OSError as error:
        raise RunError(
            f"The emulator does not start: {error.strerror or error}. Set it up anew."
        ) from error
    if done.returncode:
        raise RunError(_failed(files, done.stderr))
    return done.stderr


def _failed(files: Sequence[Calls], said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    words = lines[-1][:300].rstrip(".") if lines else "it says nothing"
    return (
        f"{_names(files)} does not run on the emulated core: {words}. See whether it runs here: "
        "keras-rnn-zoo benchmark without --core."
    )


def _names(files: Sequence[Calls]) -> str:
    return ", ".join(file.path.name for file in files)


def _write_root(root: Path, core: Core, sysroot: Path) -> None:
    """Writes what the emulated system's files are: those of `sysroot`, and what says its core.

    XNNPACK's and onnxruntime's cpuinfo read /proc/cpuinfo and /sys; with those of an x86 machine
    LiteRT crashes.
    """
    root.mkdir()
    for entry in sysroot.iterdir():
        if entry.name not in ("proc", "sys"):
            (root / entry.name).symlink_to(entry)
    texts = {
        "proc/cpuinfo": "".join(
            f"processor\t: {number}\nBogoMIPS\t: 38.40\nFeatures\t: {core.features}\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {core.variant:#x}\nCPU part\t: {core.part:#05x}\nCPU revision\t: 0\n\n"
            for number in range(2)
        )
    }
    cpus = "sys/devices/system/cpu"
    texts |= {f"{cpus}/{name}": "0-1\n" for name in ("possible", "present", "online")}
    texts[f"{cpus}/kernel_max"] = "1\n"
    midr = 0x41 << 24 | core.variant << 20 | 0xF << 16 | core.part << 4
    for number in range(2):
        cpu = f"{cpus}/cpu{number}"
        texts[f"{cpu}/cpufreq/cpuinfo_max_freq"] = f"{core.megahertz * 1000}\n"
        texts[f"{cpu}/cpufreq/cpuinfo_min_freq"] = "300000\n"
        texts[f"{cpu}/regs/identification/midr_el1"] = f"{midr:#018x}\n"
        topology = {
            "physical_package_id": "0",
            "core_id": str(number),
            "thread_siblings": str(1 << number),
            "thread_siblings_list": str(number),
        }
        for group in ("core_siblings", "cluster_cpus", "package_cpus"):
            topology |= {group: "3", f"{group}_list": "0-1"}
        texts |= {f"{cpu}/topology/{name}": f"{value}\n" for name, value in topology.items()}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
