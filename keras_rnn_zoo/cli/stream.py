"""`keras-rnn-zoo stream`: a streaming file answers each time step as it comes."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._options import options_of, quantization_option
from keras_rnn_zoo.errors import DataError, nearest
from keras_rnn_zoo.preprocessing.reading import ReadOptions

if TYPE_CHECKING:
    from keras_rnn_zoo.export.streaming.lines import Answered, Event
    from keras_rnn_zoo.export.streaming.session import StreamingSession

STDIN = "-"
# What files of NumPy begin with.
_ARRAYS = {b"PK\x03\x04": ".npz", b"\x93NUM": ".npy"}


@click.command("stream", short_help="Answer each time step as it comes.")
@click.argument("bundle_or_file")
@click.option(
    "--input",
    "file",
    default=STDIN,
    metavar="FILE",
    help="Lines, or an .npz file with an array of time steps for each input; - for standard input.",
)
@options_of(ReadOptions, only=("value_columns", "delimiter", "decimal", "encoding"))
@quantization_option(
    "NAME",
    "Which file of a bundle answers.  [default: its first, float32]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object for each answer, one a line."
)
def command(
    bundle_or_file: str,
    file: str,
    quantization: str | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Answer each time step with BUNDLE_OR_FILE, exported with --streaming, as soon as it is read.

    A line holds the numbers of a time step, between commas, semicolons, tabs or spaces; the first
    may name columns. Of a bundle for texts a line holds words, and each token is a time step; bare
    punctuation may be none. An empty line begins a new stream. A line that does not fit is marked,
    and the stream goes on as if it were not there. Ctrl-C ends it.

    \b
    tail -f sensor.csv | keras-rnn-zoo stream bundle
    keras-rnn-zoo stream model.tflite --input series.npz --json
    """
    with out.working():
        from keras_rnn_zoo.export.streaming.model import open_checked
        from keras_rnn_zoo.export.streaming.session import StreamingSession

        session = StreamingSession(open_checked(bundle_or_file, quantization))
    from keras_rnn_zoo.export.streaming.lines import Answered, Left, Refused

    has_answers = session.model.preprocessor is not None
    answered = refused = left = 0
    with (
        contextlib.suppress(KeyboardInterrupt),
        contextlib.closing(_events(session, file, reading)) as events,
    ):
        for event in events:
            if isinstance(event, Answered):
                answered += 1
                click.echo(_object(event, has_answers) if as_json else _line(event))
            elif isinstance(event, Refused):
                refused += 1
                if as_json:
                    click.echo(_json({"line": event.line, "error": event.error}))
                else:
                    click.echo(f"Line {event.line}: {event.error}", err=True)
            elif isinstance(event, Left):
                left += event.steps
    if refused:
        what = "1 line" if refused == 1 else f"{refused:,} lines"
        click.echo(f"{what} did not fit and had no answer.", err=True)
    if left:
        what = "1 time step was" if left == 1 else f"{left:,} time steps were"
        click.echo(
            f"{what} left over and had no answer: the file takes {session.chunk} at once.", err=True
        )
    if refused and not answered:
        sys.exit(1)  # a script sees that nothing fitted


def _events(
    session: StreamingSession, file: str, reading: dict[str, Any]
) -> Generator[Event, None, None]:
    from keras_rnn_zoo.data.tables.text_files import marked
    from keras_rnn_zoo.export.streaming.lines import answer_arrays, answer_lines

    chosen = ReadOptions.from_dict({k: v for k, v in reading.items() if v is not None})
    with _opened(file) as stream:
        start = stream.peek(4)[:4]
        if start in _ARRAYS:
            yield from answer_arrays(session, _arrays(stream, file, _ARRAYS[start]))
            return
        # Bytes that are no text are told with their line.
        lines = io.TextIOWrapper(
            stream, encoding=chosen.encoding or marked(start), errors="surrogateescape"
        )
        try:
            yield from answer_lines(
                session,
                lines,
                columns=chosen.value_columns,
                delimiter=chosen.delimiter,
                decimal=chosen.decimal,
            )
        except UnicodeError as error:  # of encodings that know no surrogates
            raise DataError(
                f"{_named(file)} is not {lines.encoding} text ({error}). Name another --encoding."
            ) from error
        finally:
            lines.detach()


@contextlib.contextmanager
def _opened(file: str) -> Iterator[io.BufferedReader]:
    if file == STDIN:
        yield sys.stdin.buffer  # type: ignore[misc]  # as it is where there is a stdin
        return
    path = Path(file)
    try:
        stream = path.open("rb")
    except OSError as error:
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        near = "" if path.exists() else nearest(file, [str(other) for other in beside])
        raise DataError(f"Cannot read {file}: {error.strerror}.{near}") from error
    with stream:
        yield stream


def _arrays(stream: io.BufferedReader, file: str, suffix: str) -> dict[str, Any]:
    """Reads a whole file of NumPy."""
    import tempfile

    from keras_rnn_zoo.data.arrays import read_arrays

    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / f"stdin{suffix}"
        copy.write_bytes(stream.read())
        try:
            return read_arrays(copy)
        except DataError as error:
            raise DataError(str(error).replace(str(copy), _named(file))) from error.__cause__


def _named(file: str) -> str:
    return "Standard input" if file == STDIN else file


def _object(event: Answered, has_answers: bool) -> str:
    """Returns an answer as a JSON object."""
    found: dict[str, Any] = {"step": event.step}
    if event.tokens:
        one = len(event.tokens) == 1
        found |= {"token": event.tokens[0]} if one else {"tokens": list(event.tokens)}
    if has_answers:
        is_one = isinstance(event.answer, dict)
        found |= event.answer if is_one else {"answers": event.answer}
    outputs = {name: values.tolist() for name, values in event.outputs.items()}
    return _json({**found, "outputs": outputs})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(out.strict(value), ensure_ascii=False, allow_nan=False)


def _line(event: Answered) -> str:
    """Returns an answer in one line; those of several streams side by side."""
    answers = event.answer if isinstance(event.answer, list) else [event.answer]
    given = " ".join(event.tokens) or None
    return f"{event.step}  " + " | ".join(out.answer(one, given) for one in answers)
