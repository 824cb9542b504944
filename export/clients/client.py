"""What every client is: a program that runs files, found where it is installed, and asked.

Clients live in this environment, or in a folder of their own within the folder that the
environment variable `KERAS_RNN_ZOO_CLIENTS` names: many want another Python, or packages that do
not go with TensorFlow's. The folder `tflite_runtime` holds the client of that name,
`tflite_runtime-2.7` another version of it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.installations import folder_text, folders_of
from keras_rnn_zoo.export.targets import TARGETS
from keras_rnn_zoo.export.tflite.contents import FileInfo
from keras_rnn_zoo.export.tflite.file import STEP
from keras_rnn_zoo.export.tflite.interpreter import Arrays, TensorInfo
from keras_rnn_zoo.export.tflite.tables import Ends
from keras_rnn_zoo.registry import Registry, extends, is_line

# A file of one row that takes longer is not going to come to an end.
SECONDS = 600.0


class ClientRefuses(RunError):
    """A client does not take a file, or ends while it runs it."""


class NoVerdict(RunError):
    """A client says nothing of a file, neither that it is right nor that it is wrong."""


@dataclass(frozen=True)
class Installed:
    """A client that is there.

    Attributes:
        label: Its folder's name, or the client's: `"tflite_runtime-2.7"`.
        version: What runs the files, such as `"tflite-runtime 2.7.0"`.
        place: The Python that has it, or the folder of its JavaScript.
        number: Version of the package.
    """

    label: str
    version: str
    place: Path
    number: str


@dataclass(frozen=True, eq=False)
class Steps:
    """How a file whose call takes some time steps is run over whole sequences.

    Attributes:
        size: Time steps that a call takes.
        ends: What goes into a call and comes out, states included.
        states: What comes out by this name goes into the next call, as it is stored; empty where
            the file keeps its states.
        start: Signature to run before each sequence, which returns the states or sets those in the
            file; None where they are zeros.
        groups: Batches to run at the same time, a part of each in turn.
    """

    size: int
    ends: Ends
    states: Sequence[str]
    start: str | None
    groups: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, eq=False)
class Invokes:
    """What a client is asked: a file, batches of inputs, and the order in which to run them.

    Attributes:
        file: The file.
        inputs: Its inputs, in the order of the file, without states.
        outputs: Its outputs, in the order of the file, without states.
        x: For each input, what it stores, `[batches, *shape]`.
        order: Numbers of batches, one an answer.
        steps: How a file is run whose call takes some time steps; None where a call answers a
            batch.
    """

    file: Path
    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]
    x: Sequence[np.ndarray]
    order: Sequence[int]
    steps: Steps | None = None

    def job(self) -> dict[str, Any]:
        """Returns what a program has to do, JSON-able; see `_process.py`."""
        steps = self.steps
        taken, made = self.inputs, self.outputs
        if steps is not None:
            taken = list(steps.ends.inputs.values())
            made = list(steps.ends.outputs.values())
        # An input or output that is open in its second axis is one of sequences.
        whole = {one.name for one in (*self.inputs, *self.outputs) if one.shape[1:2] == (None,)}
        whole = whole if steps is not None else set()
        return {
            "groups": [[number] for number in self.order] if steps is None else steps.groups,
            "signature": None if steps is None else STEP,
            "start": None if steps is None else steps.start,
            "size": 1 if steps is None else steps.size,
            "given": [one.name for one in self.inputs],
            "sequences": [one.name for one in self.inputs if one.name in whole],
            "answers": [{"name": one.name, "joined": one.name in whole} for one in self.outputs],
            "taken": [asdict(one) for one in taken],
            "made": [asdict(one) for one in made],
            "states": [asdict(one) for one in taken if steps and one.name in steps.states],
        }


@dataclass(frozen=True, eq=False)
class Ran:
    """What came of it.

    Attributes:
        y: For each output, what it stores, `[invokes, *shape]`; empty for a client that does not
            run files but compiles them.
        notes: What else the client says of the file, a sentence each.
        figures: The same as numbers, by name.
    """

    y: Sequence[np.ndarray]
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


class Client(ABC):
    """A program that runs .tflite files.

    Attributes:
        name: The name on the command line, and of its folder.
        description: One line for a person.
        target: Name of the target whose limits it has.
        install: A line for a shell that installs it; `{folder}` is its folder.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    target: ClassVar[str]
    install: ClassVar[str]

    @abstractmethod
    def found_in(self, folder: Path | None) -> Installed | None:
        """Returns the client as it is installed in a folder; in this environment, with None."""

    def refuses(self, installed: Installed, info: FileInfo) -> str | None:
        """Says what a file holds that it does not run; None where it runs it.

        Returns:
            What a sentence that begins with the file's name goes on with.
        """
        return TARGETS.get(self.target).refuses(info)

    def askable(self, x: Arrays) -> np.ndarray | None:
        """Returns which samples it can be asked, bool `[samples]`; None for all.

        Args:
            x: Input name -> encoded samples.
        """
        return None

    def takes_steps(self) -> bool:
        """Whether `run` takes a file whose call takes some time steps: see `Invokes.steps`."""
        return False

    @abstractmethod
    def run(self, installed: Installed, asked: Invokes) -> Ran:
        """Runs a file.

        Raises:
            ClientRefuses: It does not take the file, or ends; the message has its words.
            NoVerdict: It runs nothing, and does not come to an end.
        """

    def install_line(self) -> str:
        """Returns the line that installs it."""
        return self.install.format(folder=f"{folder_text()}/{self.name}")


def installed(client: Client) -> list[Installed]:
    """Returns where a client is installed: in this environment, then by folder name."""
    found = (client.found_in(folder) for folder in [None, *folders_of(client.name)])
    return [one for one in found if one is not None]


def run_command(
    command: Sequence[str | Path],
    job: Mapping[str, Any],
    arrays: Sequence[np.ndarray],
    environment: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Runs a program that runs a file: one process, one file.

    The program gets the folder that holds `job.json` and the arrays `x_0.npy`, ... as its last
    argument, writes `y_0.npy`, ... there, and prints a JSON object as its last line:
    `{"refused": why}` where it does not take the file.

    Args:
        command: The program and its arguments.
        job: What it has to do.
        arrays: What it reads.
        environment: Variables that it has beside those of this process.

    Returns:
        What it printed, and what it wrote.

    Raises:
        ClientRefuses: See there.
    """
    with tempfile.TemporaryDirectory(prefix="keras-rnn-zoo-") as scratch:
        folder = Path(scratch)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        for number, array in enumerate(arrays):
            np.save(folder / f"x_{number}.npy", array)
        variables = dict(os.environ)
        if str(command[0]) != sys.executable:  # packages of this Python are not for another
            variables.pop("PYTHONPATH", None)
        try:
            done = subprocess.run(
                [*map(str, command), scratch],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=SECONDS,
                env=variables | dict(environment or {}),
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise ClientRefuses(f"does not come to an end within {SECONDS:.0f} s") from None
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode < 0:
            name = signal.Signals(-done.returncode).name
            raise ClientRefuses(f"crashes it ({name}){_last_words(said)}")
        try:
            answer = json.loads(done.stdout.splitlines()[-1])
            written = [
                np.load(folder / f"y_{number}.npy", allow_pickle=False)
                for number in range(answer.get("arrays", 0))
            ]
        except (ValueError, IndexError, OSError, AttributeError):
            code = done.returncode
            raise ClientRefuses(f"ends it (exit code {code}){_last_words(said)}") from None
        if "refused" in answer:
            words = " ".join(str(answer["refused"]).split())[:400]
            raise ClientRefuses(f"is refused: {words.rstrip('.')}{_last_words(said)}")
        return answer, written


def _last_words(said: str) -> str:
    """What a program wrote last to stderr, for a message: libraries say there what is wrong."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    return f" ({'; '.join(lines[-2:])[-300:].rstrip('.')})" if lines else ""


def _complete(entry: Any) -> Mapping[str, bool]:
    return {
        "a target": isinstance(getattr(entry, "target", None), str),
        "a line that installs it": is_line(getattr(entry, "install", None)),
    }


CLIENTS: Registry[Client] = Registry(
    "client",
    "keras_rnn_zoo.export.clients",
    "keras_rnn_zoo.clients",
    extends("client", Client, _complete),
)


def register_client(name: str) -> Callable[[type[Client]], type[Client]]:
    """Registers a `Client` under `name`."""
    return CLIENTS.decorator(name)
