"""Is a file right in the client that it is for? Run there, held against the Keras model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import (
    MissingClientError,
    RunError,
    UnknownNameError,
    VerificationError,
    listed,
    nearest,
)
from keras_rnn_zoo.export.clients.client import (
    CLIENTS,
    Client,
    ClientRefuses,
    Installed,
    Invokes,
    NoVerdict,
    Steps,
    installed,
)
from keras_rnn_zoo.export.progress import Progress
from keras_rnn_zoo.export.quantization import Quantization
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite import contents
from keras_rnn_zoo.export.tflite.file import INITIAL_STATE, RESET_STATE, STEP
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo, fits
from keras_rnn_zoo.export.tflite.steps import of_sequences, states_of
from keras_rnn_zoo.export.tflite.tables import Ends, ends_of
from keras_rnn_zoo.export.verify.compare import REPEAT_TOLERANCE, compare_values
from keras_rnn_zoo.export.verify.problems import ValuesError
from keras_rnn_zoo.export.verify.reference import Reference
from keras_rnn_zoo.records import Record

ALL = "all"
RIGHT, WRONG, REFUSED, COMPILED, NOT_FOR_IT = "right", "wrong", "refused", "compiled", "not for it"
INVOKES = 3
# Sequences whose steps are run in turn, where their states lie outside the file.
TOGETHER = 2


@dataclass(frozen=True)
class ClientRecord(Record):
    """What became of a file in a client.

    Attributes:
        client: A name of `CLIENTS`.
        label: Which of its installations: the folder's name.
        version: What ran the file, such as `"tflite-runtime 2.14.0"`.
        file: The file's name.
        outcome: `"right"`; `"compiled"`, by a client that runs nothing; `"not for it"`, said before
            the client was asked, or as it has no verdict; `"wrong"`: it answers something else than
            the Keras model; or `"refused"`: the client does not take it, or ends.
        problem: Why, where it is not right.
        max_abs_output: Largest absolute difference from the Keras model; None where it did not run.
        notes: What else the client says, a sentence each.
        figures: The same as numbers, by name.
    """

    client: str
    label: str
    version: str
    file: str
    outcome: str
    problem: str | None = None
    max_abs_output: float | None = None
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the file does there what it is said to do."""
        return self.outcome not in (WRONG, REFUSED)


def chosen(names: Sequence[str]) -> list[tuple[Client, Installed]]:
    """Returns the clients that names stand for.

    Args:
        names: Names of `CLIENTS`, for all that is installed of each; labels of installations; or
            `"all"`, for whatever is installed.

    Raises:
        UnknownNameError: No such client.
        MissingClientError: It is not installed; the message has the line that installs it.
    """
    there = {name: installed(CLIENTS.get(name)) for name in CLIENTS.names()}
    found: dict[str, tuple[Client, Installed]] = {}
    for name in names:
        taken = [
            (CLIENTS.get(client), one)
            for client, all_of_it in there.items()
            for one in all_of_it
            if name in (ALL, client, one.label)
        ]
        if not taken:
            labels = [one.label for all_of_it in there.values() for one in all_of_it]
            known = sorted({*there, *labels, ALL})
            if name not in CLIENTS:
                raise UnknownNameError(
                    f"Unknown client: {name!r}.{nearest(name, known)} Known: {listed(known)}."
                )
            raise MissingClientError(
                f"The client '{name}' is not installed. Install it: "
                f"{CLIENTS.get(name).install_line()}"
            )
        found.update({f"{client.name}/{one.label}": (client, one) for client, one in taken})
    return list(found.values())


def prove(
    client: Client,
    place: Installed,
    path: Path,
    reference: Reference,
    mode: Quantization,
) -> ClientRecord:
    """Runs a file in a client, each sample three times in mixed order.

    A file whose call takes some time steps is called over whole sequences, each from the states
    that the file starts from; and once more two sequences at a time, a call for each in turn,
    unless the file itself keeps the states.

    Args:
        client: The client.
        place: Where it is installed.
        path: A .tflite file, of any origin: it is run in a process of the client's own.
        reference: What the Keras model answered.
        mode: The quantization mode whose limits apply.

    Raises:
        RunError: The file is missing or damaged.
    """

    def outcome(how: str, problem: str | None = None, off: float | None = None) -> ClientRecord:
        return ClientRecord(
            client.name, place.label, place.version, path.name, how, problem, off, notes, figures
        )

    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = {}
    info = contents.inspect(path)
    ends = ends_of(path)
    reason = _refused_up_front(client, place, info, ends, mode)
    if reason is not None:
        return outcome(NOT_FOR_IT, reason)
    steps = _steps(info, ends)
    inputs, outputs = list(ends.inputs.values()), list(ends.outputs.values())
    if steps is not None:
        if (problem := _unlike(info, steps)) is not None:
            return outcome(WRONG, f"{path.name} {problem}: export it again")
        inputs = list(of_sequences(ends.inputs, list(steps.states)).values())
        outputs = _answered(steps, reference, _calls(steps.size, inputs, reference))
    rows = client.askable(reference.x)
    if rows is not None and not rows.all():
        reference = reference.only(rows)
    batches = _batches(inputs, reference)
    count = len(batches[0])
    generator = np.random.default_rng(0)
    together = 1 if steps is not None and steps.states and count > 1 else 0
    order = np.concatenate([generator.permutation(count) for _ in range(INVOKES + together)])
    if steps is not None:
        steps = replace(steps, groups=_groups(order.tolist(), count))
    try:
        ran = client.run(place, Invokes(path, inputs, outputs, batches, order.tolist(), steps))
    except NoVerdict as error:
        return outcome(NOT_FOR_IT, str(error))
    except ClientRefuses as error:
        return outcome(REFUSED, str(error))
    notes, figures = tuple(ran.notes), dict(ran.figures)
    if not ran.y:
        return outcome(COMPILED)
    invokes = _answers(outputs, ran.y, order.reshape(-1, count), reference)
    try:
        _check_apart(f"In {place.version}, {path.name}", invokes)
        parity = compare_values(
            f"In {place.version}, {path.name}",
            reference,
            mode.tolerance,
            invokes[:INVOKES],
            mode=mode.name,
            steps={one.name: one.scale for one in outputs if one.scale},
        )
    except VerificationError as error:
        off = max(
            (
                float(np.abs(values - reference.answers[name]).max())
                for invoke in invokes
                for name, values in invoke.items()
                if values.shape == reference.answers[name].shape
            ),
            default=None,
        )
        return outcome(WRONG, str(error), off)
    return outcome(RIGHT, off=parity.max_abs_output)


def in_clients(
    path: Path,
    reference: Reference,
    mode: Quantization,
    clients: Sequence[tuple[Client, Installed]],
    say: Progress,
) -> list[ClientRecord]:
    """Runs a file in several clients; see `prove`."""
    records = []
    for client, place in clients:
        say(f"Running {path.name} in {place.version} ({client.name})")
        records.append(prove(client, place, path, reference, mode))
    return records


def _refused_up_front(
    client: Client,
    place: Installed,
    info: contents.FileInfo,
    ends: Ends,
    mode: Quantization,
) -> str | None:
    target = TARGETS.get(client.target)
    if mode.name in target.refused_quantizations:
        return f"is in the mode '{mode.name}': {target.refused_quantizations[mode.name]}"
    if STEP in info.signatures and not client.takes_steps():
        return "answers some time steps a call, which an app loops over"
    if not target.resizes and any(None in one.shape for one in ends.inputs.values()):
        return "leaves sizes open, and it sizes no inputs"
    return client.refuses(place, info)


def _steps(info: contents.FileInfo, ends: Ends) -> Steps | None:
    """Returns how a file is run whose call takes some time steps; None for others."""
    if STEP not in info.signatures:
        return None
    states = states_of(ends.inputs, ends.outputs)
    sequences = of_sequences(ends.inputs, states)
    sizes = [
        ends.inputs[name].shape[1] for name, one in sequences.items() if one.shape[1:2] == (None,)
    ]
    starts = [key for key in (INITIAL_STATE, RESET_STATE) if key in info.signatures]
    return Steps(next(iter(sizes), 1) or 1, ends, states, next(iter(starts), None))


def _unlike(info: contents.FileInfo, steps: Steps) -> str | None:
    """Says which state comes out as something else than it goes in as; None where none does."""
    for name in steps.states:
        before, after = steps.ends.inputs[name], steps.ends.outputs[name]
        if replace(before, index=after.index) != after:
            return f"takes the state '{name}' as {_kind(before)}, and returns it as {_kind(after)}"
    made = info.signatures.get(INITIAL_STATE, {"outputs": list(steps.states)})["outputs"]
    if missing := sorted(set(steps.states) - set(made)):
        return f"does not say what the states {listed(missing)} start from"
    return None


def _kind(info: TensorInfo) -> str:
    scale = f" of scale {info.scale:.4g}, zero point {info.zero_point}" if info.scale else ""
    return f"{info.dtype} {list(info.shape)}{scale}"


def _calls(size: int, inputs: Sequence[TensorInfo], reference: Reference) -> int:
    """Returns how many calls of so many time steps a sequence takes.

    Raises:
        RunError: It does not come out even.
    """
    calls = 1
    for one in inputs:
        given = reference.x.get(one.name)
        if given is None or one.shape[1:2] != (None,):
            continue
        length = given.shape[1]
        calls = length // size
        if length % size:
            raise RunError(
                f"A call takes {size} time steps of '{one.name}', and the Keras model's sequences "
                f"have {length}, which is no multiple. Export it again with a number of steps that "
                f"divides {length}."
            )
    return calls


def _answered(steps: Steps, reference: Reference, calls: int) -> list[TensorInfo]:
    """Returns the outputs of whole sequences: open where each call answers a part of the steps.

    The Keras model's answers say which those are: the others are the answer so far.
    """
    found = []
    for name, one in steps.ends.outputs.items():
        if name in steps.states:
            continue
        wanted = reference.answers[name].shape[1:2] if name in reference.answers else ()
        made = tuple(calls * (size or 0) for size in one.shape[1:2])
        if calls > 1 and made and made == wanted:
            one = replace(one, shape=(one.shape[0], None, *one.shape[2:]))
        found.append(one)
    return found


def _groups(order: Sequence[int], count: int) -> list[list[int]]:
    """Returns which batches are run at the same time: after `INVOKES` rounds, some each time."""
    alone = INVOKES * count
    return [
        *([number] for number in order[:alone]),
        *(list(order[i : i + TOGETHER]) for i in range(alone, len(order), TOGETHER)),
    ]


def _check_apart(name: str, invokes: Sequence[Arrays]) -> None:
    """Compares sequences that were run at the same time with the same by themselves.

    Raises:
        ValuesError: They are answered otherwise.
    """
    for together in invokes[INVOKES:]:
        for output, values in together.items():
            alone = invokes[0][output]
            off = np.abs(np.nan_to_num(values) - np.nan_to_num(alone)).max(initial=0.0)
            if off > REPEAT_TOLERANCE * max(1.0, np.abs(np.nan_to_num(alone)).max(initial=0.0)):
                raise ValuesError(
                    f"{name} answers a sequence otherwise by {off:.2g} as '{output}' where the "
                    "steps of another one are run in between: states of one reach the other."
                )


def _batches(inputs: Sequence[TensorInfo], reference: Reference) -> list[np.ndarray]:
    """For each input, what the file stores: `[batches, batch size, ...]`; the last is filled.

    Raises:
        RunError: The file takes other inputs.
    """
    if {one.name for one in inputs} != set(reference.x) or not all(
        fits(one.shape, reference.x[one.name].shape) for one in inputs
    ):
        raise RunError(
            f"The file takes {_described(inputs)}, and the Keras model takes "
            f"{ {spec.name: list(spec.shape) for spec in reference.inputs} }. Export it again."
        )
    size = (inputs[0].shape[0] if inputs[0].shape else None) or reference.batch_size or 1
    count = len(next(iter(reference.x.values())))
    rows = np.arange(-(-count // size) * size).clip(max=count - 1).reshape(-1, size)
    return [one.quantize(reference.x[one.name][rows]) for one in inputs]


def _described(inputs: Sequence[TensorInfo]) -> dict[str, list[int | None]]:
    return {one.name: list(one.shape) for one in inputs}


def _answers(
    outputs: Sequence[TensorInfo],
    y: Sequence[np.ndarray],
    orders: np.ndarray,
    reference: Reference,
) -> list[Arrays]:
    """For each invoke, output name -> real values of all samples, in the order of the samples."""
    count = len(next(iter(reference.x.values())))
    found: list[Arrays] = []
    for number, order in enumerate(orders):
        start, place = number * len(order), np.argsort(order)
        found.append(
            {
                one.name: np.concatenate(list(one.dequantize(values[start:][place])))[:count]
                for one, values in zip(outputs, y, strict=True)
            }
        )
    return found


def told(records: Sequence[ClientRecord], name: str) -> str:
    """Says in a line what came of files in clients.

    Args:
        records: One for each file and client.
        name: Of the bundle, or of the file.
    """
    wrong = [one for one in records if not one.passed]
    if wrong:
        return f"{name} does not do everywhere what it is said to do: " + "; ".join(
            f"{one.file} {one.problem}" if one.outcome == REFUSED else str(one.problem).rstrip(".")
            for one in wrong
        )
    ran = [one for one in records if one.outcome == RIGHT]
    if not ran:
        return f"No other client ran a file of {name}."
    return f"Right as well in {', '.join(sorted({one.version for one in ran}))}."
