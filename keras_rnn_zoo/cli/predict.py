"""`keras-rnn-zoo predict`: a trained model or a bundle answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keras_rnn_zoo import artifacts
from keras_rnn_zoo.cli import _output as out
from keras_rnn_zoo.cli._group import fail
from keras_rnn_zoo.cli._options import (
    custom_objects_option,
    json_option,
    names,
    quantization_option,
)
from keras_rnn_zoo.errors import DataError

if TYPE_CHECKING:
    from keras_rnn_zoo.preprocessing.preprocessor import Preprocessor


@click.command("predict", short_help="Let a trained model or a bundle answer.")
@click.argument("run_or_bundle")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "file",
    metavar="FILE",
    help="A table with a text column, a .txt file with a text per line, an .npz file with x (of a "
    "model with several inputs: with an array for each), or - for lines on stdin.",
)
@click.option(
    "--text-column", default="text", metavar="NAME", help="Column of a table with the texts."
)
@quantization_option(
    "NAME",
    "Which file of a bundle answers.  [default: its first, float32]",
)
@custom_objects_option
@json_option
def command(
    run_or_bundle: str,
    texts: tuple[str, ...],
    file: str | None,
    text_column: str,
    quantization: str | None,
    custom_objects: str | None,
    as_json: bool,
) -> None:
    """Answer each TEXT, or each row of a file, with RUN_OR_BUNDLE.

    \b
    keras-rnn-zoo predict bundle "a wonderful, moving film" "a dull mess"
    keras-rnn-zoo predict runs/digits --input sensors.npz
    """
    if bool(texts) == (file is not None):
        fail("Give either texts or --input FILE.")
    if custom_objects:
        with out.working():
            from keras_rnn_zoo.training.run import use_custom_objects

            use_custom_objects(names(custom_objects) or [])
    answers, inputs = _answers(run_or_bundle, texts, file, text_column, quantization)
    if as_json:
        out.emit(answers)
        return
    for answer, given in zip(answers, inputs, strict=True):
        click.echo(_line(answer, given))


def _answers(
    source: str, texts: Sequence[str], file: str | None, text_column: str, quantization: str | None
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
            inputs = _inputs(bundle.preprocessor, texts, file, text_column)
            return bundle.predict(inputs, quantization), inputs
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
        inputs = _inputs(run.preprocessor, texts, file, text_column)
        return run.predict(inputs), inputs


def _inputs(
    preprocessor: Preprocessor | None, texts: Sequence[str], file: str | None, text_column: str
) -> Sequence[Any]:
    from keras_rnn_zoo.data import load_inputs

    if file != "-" and file is not None:
        return load_inputs(file, text_column=text_column)
    if preprocessor is None or preprocessor.vocabulary is None:
        raise DataError(
            "The model takes numbers, not texts. Give an .npz file that holds the array x: "
            "--input FILE.npz"
        )
    if file is None:
        return list(texts)
    try:
        lines = sys.stdin.buffer.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"The text on stdin is not UTF-8: byte 0x{error.object[error.start]:02x}. Convert it, "
            "for example with: iconv -f LATIN1 -t UTF-8."
        ) from error
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise DataError("There is no text on stdin. Give one per line.")
    return lines


def _line(answer: dict[str, Any], given: Any) -> str:
    """Returns an answer in one line: what, how sure, and the text that it is about."""
    if "values" in answer:
        values = answer["values"]
        if isinstance(values, dict):
            return "  ".join(f"{name}: {_numbers(part)}" for name, part in values.items())
        return _numbers(values)
    if isinstance(answer.get("scores"), list):
        return " ".join(answer["labels"])
    if "labels" in answer:
        scores = answer["scores"]
        return "  ".join(f"{x} {100 * scores[x]:.1f} %" for x in answer["labels"]) or "no label"
    line = f"{answer['label']}  {100 * answer['score']:.1f} %"
    if isinstance(given, str):
        text = " ".join(given.split())
        line += "  " + (text if len(text) <= 60 else text[:57] + "...")
    return line


def _numbers(values: Any) -> str:
    """Returns numbers in one line; those of each time step apart."""
    if not isinstance(values, list):
        return f"{values:.6g}"
    nested = any(isinstance(value, list) for value in values)
    return ("; " if nested else "  ").join(map(_numbers, values))
