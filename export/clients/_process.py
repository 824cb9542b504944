"""What the scripts that run files have in common; they import it from beside them.

Needs NumPy alone, and takes Python 3.7, too.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, Callable, Dict, List, Tuple  # noqa: UP035

import numpy as np

Arrays = Dict[str, np.ndarray]  # noqa: UP006
# What begins a sequence, and returns the states that its first call takes; and a call, which takes
# inputs and states and returns outputs and states, by name, as copies.
Opened = Tuple[Callable[[], Arrays], Callable[[Arrays], Arrays]]  # noqa: UP006


def zeros(job: dict[str, Any]) -> Arrays:
    """Returns the states of a file that starts from zeros, as it stores them."""
    return {
        one["name"]: np.full(one["shape"], one["zero_point"], one["dtype"]) for one in job["states"]
    }


def main(opened: Callable[[dict[str, Any], Arrays], Opened]) -> None:
    """Runs a file on what lies in the folder that `run_command` makes.

    Args:
        opened: Opens the file of a job, whose inputs are `[batches, *shape]` by name.
    """
    folder = pathlib.Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    x = {name: np.load(folder / f"x_{i}.npy") for i, name in enumerate(job["given"])}
    try:
        start, call = opened(job, x)
        y = [answer for group in job["groups"] for answer in _answers(job, x, group, start, call)]
    except (RuntimeError, ValueError) as error:
        print(json.dumps({"refused": str(error)}))
        sys.exit()
    for i in range(len(job["answers"])):
        np.save(folder / f"y_{i}.npy", np.stack([answer[i] for answer in y]))
    print(json.dumps({"arrays": len(job["answers"])}))


def _answers(
    job: dict[str, Any],
    x: Arrays,
    group: list[int],
    start: Callable[[], Arrays],
    call: Callable[[Arrays], Arrays],
) -> list[list[np.ndarray]]:
    """Answers batches at the same time: where a call takes a part of one, a part of each in turn.

    Returns:
        For each batch, the answers.
    """
    size, parts = job["size"], job["sequences"]
    length = x[parts[0]].shape[2] if parts else size
    states = [start() for _ in group]
    found: List[List[List[np.ndarray]]] = [[] for _ in group]  # noqa: UP006
    for first in range(0, length, size):
        for place, number in enumerate(group):
            inputs = {
                name: values[number][:, first : first + size] if name in parts else values[number]
                for name, values in x.items()
            }
            inputs.update(states[place])
            made = call(inputs)
            states[place] = {one["name"]: made[one["name"]] for one in job["states"]}
            found[place].append([made[one["name"]] for one in job["answers"]])
    return [
        [
            np.concatenate([values[i] for values in own], axis=1) if one["joined"] else own[-1][i]
            for i, one in enumerate(job["answers"])
        ]
        for own in found
    ]
