"""How data become arrays: what a user decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_rnn_zoo.options import Options, choice, one_of, option, optional
from keras_rnn_zoo.preprocessing.demands import DEMANDS, USUAL, demands_of
from keras_rnn_zoo.preprocessing.tokenizers import TOKENIZERS
from keras_rnn_zoo.tasks import TASKS, get_task

SIDES = ("post", "pre")


def _task(name: str, value: Any) -> str:
    return get_task(value).name


def task_option() -> Any:
    """Returns the option that says what is asked, which reading and encoding both need."""
    return option(
        None,
        f"What to answer: {', '.join(TASKS)}.",
        optional(_task),
        metavar="TASK",
        shown_default="what the labels look like",
    )


@dataclass(frozen=True, kw_only=True)
class EncodingOptions(Options):
    """How inputs and labels are encoded.

    Settings that nobody chose are those that the target asks for, or else the usual ones.
    """

    target: str | None = option(
        None,
        "The client that the model is for: data are encoded as it does, and what it does not take "
        "is refused.",
        optional(one_of(DEMANDS.names, "target")),
        metavar="NAME",
        shown_default="any",
    )
    task: str | None = task_option()
    padding: str = option(
        None,
        "Fill short inputs on the right (post) or on the left (pre).",
        optional(choice(*SIDES)),
        shown_default=f"what the target asks, or {USUAL['padding']}",
    )
    truncating: str = option(
        None,
        "Cut the beginning (pre) or the end (post) of long inputs.",
        optional(choice(*SIDES)),
        shown_default=f"what the target asks, or {USUAL['truncating']}",
    )
    tokenizer: str | None = option(
        None,
        "What cuts texts into tokens.",
        optional(one_of(TOKENIZERS.names)),
        metavar="NAME",
        shown_default="what the target asks, or words, or what the texts need",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        demands = demands_of(self.target)
        for name in USUAL:
            if getattr(self, name) is None:
                object.__setattr__(self, name, demands.default(name))
            else:
                advice = f"Leave {name} out, or choose another target"
                demands.check(str(self.target), advice, **{name: getattr(self, name)})
