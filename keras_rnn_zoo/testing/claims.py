"""How a conformance suite says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from keras_rnn_zoo.errors import ZooError, one_line


def claim(holds: object, sentence: str) -> None:
    """Raises an `AssertionError` with the sentence unless the claim holds.

    Not an `assert` statement: `python -O` takes those away.
    """
    if not holds:
        raise AssertionError(sentence)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Says what did not work where the body raises an error of any other kind."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what} fails with {one_line(error)}") from error


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Claims that the body raises an error of ours, in one line."""
    try:
        yield
    except ZooError as error:
        claim("\n" not in str(error), f"{what} is refused in more than one line: {error}")
    except Exception as error:
        raise AssertionError(
            f"{what} is to be refused with a type of keras_rnn_zoo.errors. "
            f"Received {one_line(error)}"
        ) from error
    else:
        raise AssertionError(f"{what} is accepted, and has to be refused.")


def claim_json(value: object, what: str) -> None:
    """Claims that a value can be written as JSON, and is the same read again."""
    with working(f"Writing {what} as JSON"):
        again = json.loads(json.dumps(value, allow_nan=False))
    claim(again == value, f"{what} is another one after a way through JSON: {value!r:.80}")
