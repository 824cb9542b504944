"""Lines of text, or arrays, as they come: time steps for a session, and its answers."""

from __future__ import annotations

import csv
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_rnn_zoo.errors import DataError, listed, nearest
from keras_rnn_zoo.export.streaming.session import StreamingSession
from keras_rnn_zoo.export.tflite.interpreter import Arrays
from keras_rnn_zoo.preprocessing.inputs import short

# The ends of an input's name in a file of arrays where the model has one alone.
_ALONE = ("x", "x_test")


@dataclass(frozen=True)
class Answered:
    """What a session said to a chunk of time steps.

    Attributes:
        step: Time steps of the stream until then.
        tokens: Those of the chunk, of a text.
        outputs: See `StreamingSession.step`.
        answer: See `StreamingSession.decoded`.
    """

    step: int
    tokens: tuple[str, ...]
    outputs: Arrays
    answer: Any


@dataclass(frozen=True)
class Refused:
    """A line, or a time step of an array, that does not fit; the stream goes on without it.

    Attributes:
        line: Its number, from 1.
        error: What is wrong with it.
    """

    line: int
    error: str


@dataclass(frozen=True)
class Left:
    """Time steps at the end of a stream that fill no chunk, and have no answer.

    Attributes:
        steps: How many.
    """

    steps: int


Event = Answered | Refused | Left


def answer_lines(
    session: StreamingSession,
    lines: Iterable[str],
    *,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
) -> Iterator[Event]:
    """Answers lines one by one, as they come.

    Of a bundle for texts a line is a part of a text, and each token in it a time step. Of features
    a line is a time step: numbers between commas, semicolons, tabs or spaces. Without a vocabulary,
    a line holds token ids, each a time step. An empty line ends a stream: the next begins anew.

    Args:
        session: What answers.
        lines: Lines of text. Bytes that are no text are surrogates (`surrogateescape`).
        columns: Names of the columns to read; None takes those that the model was trained on, where
            the first line names columns, else all.
        delimiter: What separates numbers; None takes that of the training data, or looks at each
            line.
        decimal: Decimal mark; None takes that of the training data. Where nobody says, it is a
            point, or between semicolons or tabs a comma.

    Yields:
        An answer to each chunk of time steps, and what did not fit.

    Raises:
        DataError: The model takes several inputs or several streams, or columns are not there.
    """
    if session.model.batch_size > 1 or len(session.inputs) > 1:
        what = (
            f"{session.model.batch_size} streams at once"
            if session.model.batch_size > 1
            else f"the inputs {listed(session.inputs)}"
        )
        raise DataError(
            f"{session.model.path.name} takes {what}, which a line does not tell apart. Give an "
            ".npz file with an array for each input, or call StreamingSession.step."
        )
    (info,) = session.inputs.values()
    preprocessor = session.model.preprocessor
    reading = preprocessor.reading if preprocessor is not None else {}
    if preprocessor is not None and preprocessor.vocabulary is not None:
        parts: _Parts = _Texts(session)
    elif "int" in info.dtype and not info.scale:
        parts = _Ids()
    else:
        shape = tuple(size or 1 for size in info.shape[2:])
        known = reading.get("value_columns") or ()
        known = [known] if isinstance(known, str) else known
        # Of a table with a series in each row they are its time steps.
        columns = columns or (known if len(known) == math.prod(shape) else None)
        parts = _Rows(
            shape,
            columns,
            delimiter or reading.get("delimiter"),
            decimal or reading.get("decimal"),
        )
    chunk = _Chunk(session)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            yield from chunk.ended()
            session.reset()
            continue
        try:
            if any("\udc80" <= one <= "\udcff" or one == "\0" for one in line):
                raise DataError(f"It is not text in the encoding of the stream: {short(line)}")
            found = parts.of(line, begins=session.steps == 0 and not chunk.steps)
        except _NoColumns:
            raise
        except DataError as error:
            yield Refused(number, str(error))
            continue
        for step, token in found:
            yield from chunk.go_on(step, token, number)
    yield from chunk.ended()


def answer_arrays(session: StreamingSession, arrays: Mapping[str, np.ndarray]) -> Iterator[Event]:
    """Answers the time steps of arrays one chunk after the other.

    Args:
        session: What answers.
        arrays: Input name -> `[steps, ...]`, or `[streams, steps, ...]`, which are answered one
            after the other, each from the start; where the file answers several streams at once,
            `[batch, steps, ...]`. One alone may have any name, or `x` among others.

    Yields:
        See `answer_lines`; the number of a line is that of the time step.

    Raises:
        DataError: An input is missing, or has another number of axes or steps than others.
    """
    found = _by_input(session, arrays)
    batch = session.model.batch_size
    ranks = {name: len(info.shape) for name, info in session.inputs.items()}
    axes = {found[name].ndim - rank for name, rank in ranks.items()}
    if axes not in ([{0}] if batch > 1 else [{0}, {-1}]):
        raise DataError(
            f"The model takes arrays of the axes {_axes(session)}. Received: "
            f"{ {name: list(values.shape) for name, values in found.items()} }."
        )
    if batch == 1 and axes == {-1}:
        found = {name: values[np.newaxis] for name, values in found.items()}
    sizes = {values.shape[:2] for values in found.values()}
    if len(sizes) > 1:
        raise DataError(
            "Every input has the same number of time steps. Received: "
            f"{ {name: list(values.shape) for name, values in found.items()} }."
        )
    ((rows, steps),) = sizes
    streams = (
        [found] if batch > 1 else [{n: v[row] for n, v in found.items()} for row in range(rows)]
    )
    for number, stream in enumerate(streams):
        if number:
            session.reset()
        chunk = _Chunk(session)
        for step in range(steps):
            at = (slice(None), step) if batch > 1 else (step,)
            values: Any = {name: array[at] for name, array in stream.items()}
            yield from chunk.go_on(values, None, step + 1)
        yield from chunk.ended()


class _Chunk:
    """Time steps that wait until they are as many as a call takes."""

    def __init__(self, session: StreamingSession):
        self._session = session
        self.steps: list[Any] = []
        self._tokens: list[str] = []

    def go_on(self, step: Any, token: str | None, number: int) -> Iterator[Answered | Refused]:
        """Adds a time step; yields the answer to the chunk that it fills.

        Args:
            step: See `StreamingSession.step`.
            token: What it stands for; "" for one that is not shown.
            number: Of its line.
        """
        session = self._session
        self.steps.append(step)
        if token:
            self._tokens.append(token)
        if len(self.steps) < session.chunk:
            return
        steps, tokens = self.steps, tuple(self._tokens)
        self.steps, self._tokens = [], []
        try:
            outputs = session.step(steps[0] if session.chunk == 1 else self._together(steps))
        except DataError as error:
            yield Refused(number, str(error))
            return
        if token != "" or session.chunk > 1:
            yield Answered(session.steps, tokens, outputs, session.decoded(outputs))

    def ended(self) -> Iterator[Left]:
        """Forgets time steps that fill no chunk."""
        if self.steps:
            yield Left(len(self.steps))
        self.steps, self._tokens = [], []

    def _together(self, steps: Sequence[Any]) -> Any:
        axis = 1 if self._session.model.batch_size > 1 else 0
        if isinstance(steps[0], Mapping):
            return {name: np.stack([one[name] for one in steps], axis) for name in steps[0]}
        return np.stack(steps, axis)


class _Parts(ABC):
    """Time steps of a line, and the token that each stands for."""

    @abstractmethod
    def of(self, line: str, begins: bool) -> Sequence[tuple[Any, str | None]]:
        """Returns them.

        Args:
            line: Not empty.
            begins: It is the first of a stream.

        Raises:
            DataError: The line holds something else.
        """


class _Texts(_Parts):
    """Each token of a text."""

    def __init__(self, session: StreamingSession):
        preprocessor = session.model.preprocessor
        assert preprocessor is not None and preprocessor.vocabulary is not None
        self._preprocessor, self._vocabulary = preprocessor, preprocessor.vocabulary

    def of(self, line: str, begins: bool) -> Sequence[tuple[Any, str | None]]:
        """Returns the ids of the tokens; none of bare punctuation."""
        ids = self._preprocessor.encode_part(line, begins)
        tokens = self._vocabulary.tokenizer.tokens(line)
        return list(zip(ids, [""] * (len(ids) - len(tokens)) + tokens, strict=True))


class _Ids(_Parts):
    """Each number of a line."""

    def of(self, line: str, begins: bool) -> Sequence[tuple[Any, str | None]]:
        """Returns the token ids."""
        cells = [one for one in re.split(r"[\s,;]+", line) if one]
        wrong = [one for one in cells if not re.fullmatch(r"-?\d{1,18}", one)]
        if wrong:
            raise DataError(f"Token ids are whole numbers. Received: {short(wrong[0])}")
        return [(int(one), one) for one in cells]


class _Rows(_Parts):
    """One time step of numbers.

    Args:
        shape: Of a time step.
        columns: Names of the columns to read; None takes all.
        delimiter: What separates numbers; None looks at each line.
        decimal: Decimal mark; None looks at each number.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        columns: Sequence[str] | None,
        delimiter: str | None,
        decimal: str | None,
    ):
        self._shape, self._count = shape, math.prod(shape)
        self._columns = columns
        self._delimiter, self._decimal = delimiter, decimal
        self._names: list[str] | None = None
        self._places: list[int] = []
        self._is_first = True

    def of(self, line: str, begins: bool) -> Sequence[tuple[Any, str | None]]:
        """Returns the numbers of a line; nothing of a first line that names columns."""
        cells, delimiter = self._cells(line)
        numbers = [self._number(cell, delimiter) for cell in cells]
        if self._is_first:
            self._is_first = False
            if all(number is None for number in numbers):
                self._places, self._names = self._header(cells), cells
            elif self._columns is not None and len(cells) > self._count:
                raise _NoColumns(
                    f"The columns {listed(self._columns)} are to be read, and the first line names "
                    f"none: {short(line.strip())}. Begin with a line that does, or give these "
                    "alone."
                )
        if self._names is not None:
            if cells == self._names:  # of the next file, too
                return []
            if len(cells) != len(self._names):
                raise DataError(
                    f"The first line names {_columns(len(self._names))}. Received {len(cells)}: "
                    f"{short(line.strip())}"
                )
            cells = [cells[place] for place in self._places]
            numbers = [numbers[place] for place in self._places]
        if len(cells) != self._count:
            raise DataError(
                f"A line holds the {_numbers(self._count)} of a time step. Received {len(cells)}: "
                f"{short(line.strip())}"
            )
        values = [number for number in numbers if number is not None]
        if len(values) < len(cells):
            wrong = cells[numbers.index(None)]
            raise DataError(
                f"{short(wrong) if wrong else 'An empty cell'} is no number. Received: "
                f"{short(line.strip())}"
            )
        if not all(map(math.isfinite, values)):
            raise DataError(
                f"NaN and infinity would stay in the states. Received: {short(line.strip())}"
            )
        return [(np.array(values).reshape(self._shape), None)]

    def _cells(self, line: str) -> tuple[list[str], str]:
        """Returns the cells of a line, and what separates them."""
        line = line.rstrip("\r\n")
        delimiter = self._delimiter
        if delimiter is None:
            known = ";\t" if self._decimal == "," else ";\t,"
            delimiter = next((one for one in known if one in line), " ")
        if delimiter == " ":
            return line.split(), delimiter
        try:
            (cells,) = csv.reader([line], delimiter=delimiter)
        except (csv.Error, ValueError) as error:
            raise DataError(f"The line cannot be read ({error}): {short(line)}") from None
        return [cell.strip() for cell in cells], delimiter

    def _number(self, cell: str, delimiter: str) -> float | None:
        comma = self._decimal == "," or (self._decimal is None and delimiter in ";\t")
        try:
            # Python's own 1_000 is no number of a log.
            return None if "_" in cell else float(cell.replace(",", ".") if comma else cell)
        except ValueError:
            return None

    def _header(self, names: list[str]) -> list[int]:
        """Returns which columns are read."""
        columns = names if self._columns is None else list(self._columns)
        advice = "Say which to read: --value-columns A,B (columns=[...])."
        missing = [name for name in columns if name not in names]
        if missing:
            raise _NoColumns(
                f"The first line names no column {short(missing[0])}.{nearest(missing[0], names)} "
                f"It names {listed(names)}. {advice}"
            )
        if len(columns) != self._count:
            which = "the first line names" if self._columns is None else "the columns to read are"
            raise _NoColumns(
                f"A time step has {_numbers(self._count)}, and {which} {listed(columns)}. {advice}"
            )
        return [names.index(name) for name in columns]


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


class _NoColumns(DataError):
    """No line can be read."""


def _by_input(session: StreamingSession, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays by the names of the inputs."""
    found = dict(session.model.named(arrays))
    names = list(session.inputs)
    if len(names) == 1 and names[0] not in found:
        alone = [name for name in _ALONE if name in found] or list(found)[: len(found) == 1]
        if alone:
            return {names[0]: np.asarray(found[alone[0]])}
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            f"The model takes the inputs {listed(names)}. There is no array {missing[0]!r}."
            f"{nearest(missing[0], found)} There are: {listed(found) or 'none'}."
        )
    return {name: np.asarray(found[name]) for name in names}


def _axes(session: StreamingSession) -> str:
    lead = (session.model.batch_size,) if session.model.batch_size > 1 else ()
    return ", ".join(
        f"'{name}' [{', '.join(map(str, (*lead, 'steps', *info.shape[2:])))}]"
        for name, info in session.inputs.items()
    )
