"""What every tuner and every engine has to do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnn_zoo.data import Dataset, Split
from keras_rnn_zoo.errors import SearchError
from keras_rnn_zoo.testing.claims import claim, claim_json, working

TRIALS = 3


def check_tuner(name: str) -> None:
    """Checks a way to choose trials in a small search: within the space, and the same each time.

    Args:
        name: A name of `TUNERS`.

    Raises:
        AssertionError: The sentence says what is wrong.
    """
    from keras_rnn_zoo.tuner import TUNERS, Algorithm

    who = f"The tuner '{name}'"
    with working(f"Looking up the tuner '{name}'"):
        algorithm = TUNERS.get(name)
    claim(isinstance(algorithm, Algorithm), f"{who} is no Algorithm: {algorithm!r:.80}")
    first, again = (_trials(who, tuner=name) for _ in range(2))
    claim(first, f"{who} chooses no trial.")
    for values in first.values():
        claim(values.get("rnn.units", 2) in (2, 3), f"{who} leaves the space: {values}")
        claim_json(values, f"what {who[0].lower()}{who[1:]} proposes")
    claim(first == again, f"{who} proposes {again} from a seed that it made {first} of before.")


def check_engine(name: str, **options: Any) -> None:
    """Checks a place where trials run: what is found there is what is found in local processes.

    Args:
        name: A name of `ENGINES`.
        **options: Of that engine.

    Raises:
        AssertionError: The sentence says what is wrong.
    """
    from keras_rnn_zoo.tuner import ENGINES, Engine

    who = f"The engine '{name}'"
    with working(f"Looking up the engine '{name}'"):
        engine = ENGINES.get(name)
    claim(issubclass(engine, Engine), f"{who} is no Engine: {engine!r:.80}")
    found = _scores(who, engine=name, engine_options=options)
    expected = _scores("The engine 'local'", engine="local")
    claim(
        found == expected,
        f"{who} ends the same trials as {found}; local processes as {expected}.",
    )
    with tempfile.TemporaryDirectory() as place:
        try:
            _search(place, engine=name, engine_options=options, callbacks=f"{__name__}:_failing")
        except SearchError as error:
            claim(
                "no good" in str(error),
                f"{who} does not say why trials fail, 'no good': {error}",
            )
        else:
            claim(False, f"{who} ends trials as completed that raise an error.")


def _failing() -> list[Any]:
    raise ValueError("no good")


def _trials(who: str, **options: Any) -> dict[str, dict[str, Any]]:
    with working(f"{who}: a search"), tempfile.TemporaryDirectory() as place:
        return {one.trial_id: one.hyperparameters for one in _search(place, **options).trials}


def _scores(who: str, **options: Any) -> dict[str, tuple[str, float | None]]:
    with working(f"{who}: a search"), tempfile.TemporaryDirectory() as place:
        return {
            one.trial_id: (one.status, one.score and round(one.score, 4))
            for one in _search(place, **options).trials
        }


def _search(place: str, **options: Any) -> Any:
    from keras_rnn_zoo.tuner import search

    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3, 2)).astype(np.float32)
    y = (x.mean(axis=(1, 2)) > 0).astype(np.int64)
    return search(
        ["rnn"],
        Dataset("tiny", "features", Split(x, y)),
        output=Path(place) / "search",
        spaces={"rnn": _space},
        config={"layers": 1},
        max_trials=TRIALS,
        epochs=1,
        batch_size=64,
        validation_split=0.2,
        progress=False,
        **options,
    )


def _space(hyperparameters: Any) -> dict[str, Any]:
    return {"units": hyperparameters.Choice("units", [2, 3])}
