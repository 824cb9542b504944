"""What a call of a .tflite file costs on an Arm core that is not at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import ConfigError, DataError
from keras_rnn_zoo.export.cores import installation
from keras_rnn_zoo.export.cores.cores import UNCERTAINTY, Core, find_core, modelled
from keras_rnn_zoo.export.cores.emulate import Calls, Emulated, emulate
from keras_rnn_zoo.export.cores.reading import PARTS, REST, part_of
from keras_rnn_zoo.export.tflite.file import RESET, STEP, description, read
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TFLiteModel
from keras_rnn_zoo.export.tflite.isolated import Isolated
from keras_rnn_zoo.export.tflite.latency import samples_of
from keras_rnn_zoo.export.tflite.steps import StepModel
from keras_rnn_zoo.export.tflite.streams import signatures_of
from keras_rnn_zoo.files import PathLike

# Of each file: what they cost varies with the length of what they are given, and hardly otherwise.
CALLS = 3
# Of a stream, whose short calls vary more, one after the other.
STEPS = 20


@dataclass(frozen=True)
class Described:
    """What is measured of a file.

    Attributes:
        calls: What is emulated.
        batch_size: Sequences that a call answers.
        steps: Time steps that a call of a stream takes; None where it takes whole sequences.
    """

    calls: Calls
    batch_size: int
    steps: int | None


def benchmark_core(
    paths: Sequence[PathLike],
    core: str | Core,
    samples: np.ndarray | Mapping[str, np.ndarray] | None = None,
    *,
    calls: int | None = None,
) -> list[dict[str, Any]]:
    """Counts and models what a call of .tflite files costs on an Arm core.

    The aarch64 LiteRT runs them in an emulator, which counts instructions exactly and leads them
    through a model of the core. A call is what the interpreter does in one thread, after other
    calls have warmed the caches; setting inputs and reading answers are no part of it.

    Args:
        paths: The files.
        core: Its name, such as `"cortex-a55"` or `"a55"`.
        samples: As in `benchmark_tflite`.
        calls: How many of each file are measured, of samples spread over all; the mean is
            returned. None for 3, or 20 steps of a stream.

    Returns:
        For each file `core`, `instructions` of a call, `kinds` (kind of instruction -> how many),
        `parts` (`"products"`, `"elementwise"`, `"loop"`, `"copying and dispatch"` -> instructions
        and cycles), `calls`, `batch_size`, of a file that streams `steps`, and `versions`. Where
        the core is modelled, `cycles`, `milliseconds` at `megahertz`, and `uncertainty`: the factor
        by which these may be wrong.

    Raises:
        UnknownNameError: There is no such core.
        MissingClientError: The emulator is not set up.
        ConfigError: No calls.
        RunError, OpGateError: A file is damaged, or does not run here or there.
    """
    core = find_core(core) if isinstance(core, str) else core
    if calls is not None and calls < 1:
        raise ConfigError(f"At least one call is measured. Received: {calls}")
    installed = installation.needed(f"To measure on a {core.name}")
    with Isolated() as process:
        described = [describe(path, samples, calls, process) for path in paths]
    found = emulate(core, [one.calls for one in described], installed)
    return [
        _row(core, one, emulated, installed.versions)
        for one, emulated in zip(described, found, strict=True)
    ]


def known_and_set_up(core: str) -> None:
    """Refuses what cannot be measured, before any file is read.

    Raises:
        UnknownNameError: There is no such core.
        MissingClientError: The emulator is not set up.
    """
    installation.needed(f"To measure on a {find_core(core).name}")


def milliseconds_on(core: str | Core, path: PathLike, samples: Any) -> float:
    """Returns the modelled time of a call; see `benchmark_core`.

    Raises:
        ConfigError: The core's cycles are not modelled.
        ZooError: As `benchmark_core` does.
    """
    (row,) = benchmark_core([path], modelled(core), samples)
    return float(row["milliseconds"])


def describe(
    path: PathLike,
    samples: np.ndarray | Mapping[str, np.ndarray] | None,
    calls: int | None,
    process: Isolated,
) -> Described:
    """Finds out what calls of a file take, in a process that the file may end."""
    path = Path(path)
    if samples is not None and not isinstance(samples, Mapping):
        samples = {"": np.asarray(samples)}
    about, groups = process.ask(
        "keras_rnn_zoo.export.cores.measure:_describe",
        path,
        samples,
        calls=calls,
    )
    given = [{int(tensor): values for tensor, values in group.items()} for group in groups]
    return Described(
        Calls(path, given, about["open"], about["resets"]), about["batch_size"], about["steps"]
    )


def _describe(path: str, x: Arrays | None, calls: int | None) -> tuple[Any, list[Arrays]]:
    """Returns what calls take: for each of them tensor index -> what it stores."""
    content = read(Path(path))
    # In LiteRT, for whatever client a file is: there is no microcontroller here.
    model = (StepModel if STEP in signatures_of(content) else TFLiteModel)(path)
    given = samples_of(model, next(iter(x.values())) if x is not None and set(x) == {""} else x)
    # Says what does not fit.
    if next(iter(model.batches(given)), None) is None:
        raise DataError(f"{model.path.name} is measured on samples, and there are none. Give some.")
    steps = None
    if isinstance(model, StepModel):
        count, steps = calls or STEPS, model.steps
        if x is None:
            given = {name: np.repeat(values, count, axis=1) for name, values in given.items()}
        whole = next(iter(given.values())).shape[1] // steps * steps
        most = min(max(whole, steps), count * steps)
        taken = model.each_step({name: v[:, :most] for name, v in given.items()}, most=count)
        tensors = (*model.tensors["inputs"], *model.tensors["states"])
        rows = [
            {name: values[row : row + model.batch_size] for name, values in taken.items()}
            for row in range(0, len(next(iter(taken.values()))), model.batch_size)
        ][:count]
    else:
        tensors = tuple(model.inputs.values())
        batches = [batch for _, batch in model.batches(given)]
        rows = [
            {name: info.quantize(batches[row][name]) for name, info in model.inputs.items()}
            for row in _spread(len(batches), calls or CALLS)
        ]
    indices = {info.name: str(info.index) for info in tensors}
    about = {
        "open": [info.index for name, info in model.inputs.items() if model.open(name)],
        "resets": description(content) == RESET,
        "batch_size": model.batch_size,
        "steps": steps,
    }
    return about, [{indices[name]: values for name, values in row.items()} for row in rows]


def _spread(total: int, count: int) -> list[int]:
    """Returns numbers below `total`, spread over all."""
    return sorted({int(number) for number in np.linspace(0, total - 1, min(total, count)).round()})


def _row(
    core: Core, described: Described, emulated: Emulated, versions: Mapping[str, str]
) -> dict[str, Any]:
    counts, calls = emulated.counts, emulated.calls
    parts: dict[str, Counter[str]] = {part: Counter() for part in (*PARTS, REST)}
    for figure in ("instructions", "cycles"):
        for function, value in getattr(counts, figure).items():
            parts[part_of(*function)][figure] += value
    row: dict[str, Any] = {
        "core": core.name,
        "instructions": round(counts.instructions.total() / calls),
    }
    figures = ["instructions"]
    if core.model is not None:
        cycles = counts.cycles.total() / calls
        row |= {
            "cycles": round(cycles),
            "megahertz": core.megahertz,
            "milliseconds": cycles / core.megahertz / 1e3,
            "uncertainty": UNCERTAINTY,
        }
        figures.append("cycles")
    return row | {
        "parts": {
            part: {figure: round(values[figure] / calls) for figure in figures}
            for part, values in parts.items()
        },
        "kinds": {kind: round(value / calls) for kind, value in counts.kinds.most_common()},
        "calls": calls,
        "batch_size": described.batch_size,
        **({"steps": described.steps} if described.steps is not None else {}),
        "versions": dict(versions),
    }
