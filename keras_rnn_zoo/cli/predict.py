"""`keras-rnn-zoo predict`: a trained model or a bundle answers."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from keras_rnn_zoo import artifacts
from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._group import fail
from keras_rnn_zoo.cli._options import (
    custom_objects_option,
    json_option,
    names,
    options_of,
    quantization_option,
)
from keras_rnn_zoo.errors import DataError
from keras_rnn_zoo.preprocessing.reading import ReadOptions

if TYPE_CHECKING:
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor

# How a file is read that is not written like the training data; all else is as it was there.
READING = (
    "text_column",
    "value_columns",
    "time_column",
    "id_column",
    "stride",
    "delimiter",
    "decimal",
    "encoding",
    "quoting",
)


@click.command("predict", short_help="Let a trained model or a bundle answer.")
@click.argument("run_or_bundle")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "file",
    metavar="FILE",
    help="A file as the training data were, with or without labels; a .txt file with a text per "
    "line; an .npz file with x (of a model with several inputs: with an array for each); or - for "
    "standard input.",
)
@options_of(ReadOptions, only=READING)
@quantization_option(
    "NAME",
    "Which file of a bundle answers.  [default: its first, float32]",
)
@custom_objects_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print the answers as a CSV table.")
def command(
    run_or_bundle: str,
    texts: tuple[str, ...],
    file: str | None,
    quantization: str | None,
    custom_objects: str | None,
    as_json: bool,
    as_csv: bool,
    **reading: Any,
) -> None:
    """Answer each TEXT, or each row of a file, with RUN_OR_BUNDLE.

    A row that cannot be answered is marked, and the others are answered.

    \b
    keras-rnn-zoo predict bundle "a wonderful, moving film" "a dull mess"
    keras-rnn-zoo predict runs/digits --input sensors.npz
    """
    if bool(texts) == (file is not None):
        fail("Give either texts or --input FILE.")
    if as_json and as_csv:
        fail("Say --json or --csv, not both.")
    for text in texts:
        if os.path.isfile(text):  # noqa: PTH113  (a text may be no path at all)
            fail(
                f"{text!r} is a file. To answer its rows, say --input {text}; to answer the words "
                "themselves, give them on standard input: --input -"
            )
    if custom_objects:
        with out.working():
            from keras_rnn_zoo.training.run import use_custom_objects

            use_custom_objects(names(custom_objects) or [])
    answers, inputs = _answers(run_or_bundle, texts, file, reading, quantization)
    rows = [
        {"row": number, **({"text": given} if isinstance(given, str) else {}), **answer}
        for number, (answer, given) in enumerate(zip(answers, inputs, strict=True), 1)
    ]
    if as_json:
        out.emit(rows)
    elif as_csv:
        click.echo(_table(rows), nl=False)
    else:
        for answer, given in zip(answers, inputs, strict=True):
            click.echo(out.answer(answer, given))
    if marked := sum("error" in answer for answer in answers):
        click.echo(f"{marked:,} of {len(answers):,} rows could not be answered.", err=True)


def _answers(
    source: str,
    texts: Sequence[str],
    file: str | None,
    reading: Mapping[str, Any],
    quantization: str | None,
) -> tuple[list[dict[str, Any]], Sequence[Any]]:
    """Reads the model's description first: it is what is wrong most often."""
    with out.working():
        from keras_rnn_zoo.training.run import Run

        kind = artifacts.kind_of(source)
        if kind == artifacts.BUNDLE:
            from keras_rnn_zoo.export import Bundle
            from keras_rnn_zoo.export.bundle.rows import read_encoded

            bundle = Bundle.load(source)
            if bundle.preprocessor is None and file not in (None, "-"):
                encoded = read_encoded(file, len(bundle.report["model"]["inputs"]))
                answers = bundle.predict(encoded, quantization)
                return answers, [None] * len(answers)
            inputs = _inputs(bundle.preprocessor, texts, file, reading)
            return bundle.predict(inputs, quantization, strict=len(inputs) == 1), inputs
        if kind in (artifacts.KERAS, artifacts.TFLITE):
            raise DataError(
                f"{source} brings no vocabulary and no labels. Give the run that 'train' wrote, or "
                "a bundle."
            )
        if kind == artifacts.SEARCH:
            run = Run.load(artifacts.winner_of(source))
        else:
            run = Run.load(artifacts.require(source, artifacts.RUN, artifacts.BUNDLE))
        if quantization is not None:
            fail(f"--quantization chooses a file of a bundle, and {source} is none.")
        inputs = _inputs(run.preprocessor, texts, file, reading)
        return run.predict(inputs, strict=len(inputs) == 1), inputs


def _inputs(
    preprocessor: Preprocessor | None,
    texts: Sequence[str],
    file: str | None,
    reading: Mapping[str, Any],
) -> Sequence[Any]:
    from keras_rnn_zoo.data import load_inputs

    takes_texts = preprocessor is not None and preprocessor.vocabulary is not None
    if file is not None and (file != "-" or not takes_texts):
        if file == "-" and preprocessor is None:
            raise DataError("Give the encoded inputs as a file: --input FILE.npz")
        defaults = ReadOptions()
        said = {name: value for name, value in reading.items() if value != getattr(defaults, name)}
        known = preprocessor.reading if preprocessor is not None else {}
        return load_inputs(file, **ReadOptions.from_dict({**known, **said}).keywords())
    if not takes_texts:
        raise DataError(
            "The model takes numbers, not texts. Give a file as the training data were, or an .npz "
            "file that holds the array x: --input FILE"
        )
    return list(texts) if file is None else _lines()


def _lines() -> list[str]:
    """Returns the lines on standard input; blank ones count."""
    given: bytes = sys.stdin.buffer.read()
    try:
        lines = given.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"The text on stdin is not UTF-8: byte 0x{error.object[error.start]:02x}. Convert it, "
            "for example with: iconv -f LATIN1 -t UTF-8."
        ) from error
    if not any(line.strip() for line in lines):
        raise DataError("There is no text on stdin. Give one per line.")
    return lines


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns answers as CSV: a column for each score or value."""
    flat = [_flat(row) for row in rows]
    columns = dict.fromkeys(name for row in flat for name in row)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name == "scores" and isinstance(value, dict):
            found |= {f"score {label}": score for label, score in value.items()}
        elif name == "values" and isinstance(value, list):
            found |= {f"value {number}": one for number, one in enumerate(value, 1)}
        elif isinstance(value, list):
            found[name] = " ".join(map(str, value))
        else:
            found[name] = value
    return found
