"""What whoever calls a streaming file has to know, for the card and the page of a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keras_rnn_zoo.export.app.app import start_file
from keras_rnn_zoo.export.bundle.records import BundleReport
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, RESET_STATE


def step_facts(report: BundleReport) -> list[tuple[str, str]]:
    """Returns what a call takes, its states and how to start, a name and a sentence each.

    Args:
        report: What report.json holds; of several files the first .tflite file counts, whose
            states the others store in types of their own.

    Returns:
        Nothing where a call takes a whole input.
    """
    entry = next((one for one in report.files if one.streaming is not None), None)
    if entry is None:
        return []
    said: Mapping[str, Any] = entry.streaming or {}
    steps, states = said["steps"], entry.tensors.get("states", ())
    outputs = [tensor["name"] for tensor in entry.tensors["outputs"]]
    each = [name for name in outputs if name in said["every_step"]]
    so_far = [name for name in outputs if name not in each]
    answers = [f"{', '.join(each)} for each of them"] if each else []
    answers += [f"{', '.join(so_far)} for the sequence so far"] if so_far else []
    facts = [
        ("a call takes", f"{_steps(steps)}, {_tensors(entry.tensors['inputs'])}"),
        ("answers", "; ".join(answers)),
    ]
    if said["state"] == "internal":
        facts += [
            ("states", "kept in the file: an interpreter runs one sequence at a time"),
            ("to start", f"call the signature {RESET_STATE} before each sequence"),
        ]
    else:
        facts += [
            ("states", f"{_tensors(states)}; hand in what came out of the call before, by name"),
            (
                "to start",
                f"hand in what the signature {INITIAL_STATE} answers, or {start_file(entry.file)} "
                "holds (golden.json says where); any number of sequences may share a model",
            ),
        ]
    known = report.preprocessing
    if known is not None:
        facts.append(
            (
                "whole inputs",
                f"predict and golden.json hand over {known['timesteps']:,} time steps, padding "
                f"included, in {_calls(known['timesteps'] // steps)}; a stream has no end",
            )
        )
    return facts


def timed(report: BundleReport) -> str:
    """Returns what a latency of the report is of."""
    latencies = [entry.latency for entry in report.files if entry.latency is not None]
    steps = {one["steps"] for one in latencies if "steps" in one}
    return f"call, of {_steps(max(steps))}," if steps else "call"


def _steps(count: int) -> str:
    return "1 time step" if count == 1 else f"{count:,} time steps"


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"


def _tensors(tensors: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{tensor['name']} ({' × '.join(map(str, tensor['shape']))}, {tensor['dtype']})"
        for tensor in tensors
    )
