"""How data become arrays: what a user decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.options import Options, choice, one_of, option, optional, text
from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.tasks import TASKS, get_task

SIDES = ("post", "pre")


def _task(name: str, value: Any) -> str:
    return get_task(value).name


@dataclass(frozen=True, kw_only=True)
class EncodingOptions(Options):
    """How inputs and labels are encoded."""

    task: str | None = option(
        None,
        f"What to answer: {', '.join(TASKS)}.",
        optional(_task),
        metavar="TASK",
        shown_default="what the labels look like",
    )
    padding: str = option(
        "post", "Fill short inputs on the right (post) or on the left (pre).", choice(*SIDES)
    )
    truncating: str = option(
        "pre", "Cut the beginning (pre) or the end (post) of long inputs.", choice(*SIDES)
    )
    tokenizer: str = option(
        "words", "What cuts texts into tokens.", one_of(TOKENIZERS.names), metavar="NAME"
    )


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(Options):
    """Which columns of a table are read."""

    text_column: str = option("text", "Column of a table with the texts.", text, metavar="NAME")
    label_column: str = option("label", "Column of a table with the labels.", text, metavar="NAME")
