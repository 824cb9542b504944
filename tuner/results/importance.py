"""How much each hyperparameter matters for the score, by a random forest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.tuner.results.records import COMPLETED, TrialRecord

if TYPE_CHECKING:
    import numpy as np

FEWEST = 5
"""Completed trials below which nothing is said."""
TREES = 200


@dataclass(frozen=True)
class Importance:
    """What matters for the score.

    Attributes:
        shares: Hyperparameter -> its part of all importance, the largest first; they add up to 1.
            Empty where the trials do not tell.
        explained: The part of the scores' variance that the forest predicts for trials that it was
            not fitted on; None where there is no forest.
        message: Why there are no shares, or None.
    """

    shares: dict[str, float] = field(default_factory=dict)
    explained: float | None = None
    message: str | None = None


def importance(trials: Sequence[TrialRecord]) -> Importance:
    """Returns how much each hyperparameter matters for the score.

    A random forest is fitted to the scores of the completed trials; a hyperparameter's importance
    is what its predictions lose when the values of that one are shuffled between trials (Breiman,
    Random Forests, 2001: each tree predicts the trials that it was not fitted on, so that a
    hyperparameter without influence gets about 0 however few trials there are). Scores count by
    their rank, so that one diverged trial does not outweigh all others. Models share what has the
    same name, such as `units`. What only some models have is shuffled between the trials of those,
    and whether it is active tells the forest nothing, so that what the choice of the model decides
    is not put down to it.

    Args:
        trials: Those that ended. The answer is the same for the same trials.
    """
    completed = [
        trial
        for trial in trials
        if trial.status == COMPLETED and trial.score is not None and math.isfinite(trial.score)
    ]
    count = len(completed)
    if count < FEWEST:
        trials_are = "trial is" if count == 1 else "trials are"
        return Importance(message=f"{count} completed {trials_are} too few: it takes {FEWEST}.")
    if len({trial.score for trial in completed}) == 1:
        return Importance(message=f"All {count} completed trials have the same score.")
    tables = [common_names(trial) for trial in completed]
    columns = {}
    for name in sorted({name for table in tables for name in table}):
        values = [table[name] for table in tables if table.get(name) is not None]
        if len(set(map(repr, values))) > 1:
            columns[name] = [table.get(name) for table in tables]
    if not columns:
        return Importance(message="No hyperparameter took more than one value.")
    return _judge(columns, [trial.score for trial in completed if trial.score is not None])


def common_names(trial: TrialRecord) -> dict[str, Any]:
    """Returns the hyperparameters of a trial under names that models share.

    Args:
        trial: That ended.
    """
    prefix = f"{trial.model}."
    return {name.removeprefix(prefix): value for name, value in trial.hyperparameters.items()}


def _judge(columns: Mapping[str, Sequence[Any]], scores: Sequence[float]) -> Importance:
    import numpy as np
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor

    encoded = {name: _encode(values) for name, values in columns.items()}
    x = np.concatenate([table for table, _ in encoded.values()], axis=1)
    ends = np.cumsum([table.shape[1] for table, _ in encoded.values()])
    y = rankdata(scores)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0).fit(x, y)
    random = np.random.default_rng(0)
    losses = np.zeros(len(columns))
    for tree, fitted in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        left = np.setdiff1d(np.arange(len(y)), fitted)
        if not len(left):
            continue
        shuffled = np.repeat(x[left][None], len(columns) + 1, axis=0)
        for number, (end, (table, active)) in enumerate(
            zip(ends, encoded.values(), strict=True), start=1
        ):
            rows = np.flatnonzero(active[left])
            piece = slice(end - table.shape[1], end)
            shuffled[number, rows, piece] = x[left[random.permutation(rows)], piece]
        predictions = tree.predict(shuffled.reshape(-1, x.shape[1])).reshape(len(shuffled), -1)
        errors = ((predictions - y[left]) ** 2).sum(axis=1)
        losses += errors[1:] - errors[0]
    losses = np.maximum(losses, 0)
    explained = float(forest.oob_score_)
    if explained <= 0 or not losses.sum():
        return Importance(
            explained=explained,
            message=f"The {len(y)} completed trials do not tell which hyperparameters matter.",
        )
    shares = dict(zip(columns, (losses / losses.sum()).tolist(), strict=True))
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return Importance(dict(ordered), explained)


def _encode(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns of a hyperparameter, and in which rows it is active.

    Numbers stay as they are: a tree asks only which is larger, so a logarithm changes nothing.
    Anything else gets a column for each value. Inactive rows repeat the active ones in turn.
    """
    import numpy as np

    active = np.array([value is not None for value in values])
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool | int | float) for value in known):
        table = np.array(known, np.float64)[:, None]
    else:
        kinds = sorted(set(map(repr, known)))
        table = np.array([[repr(value) == kind for kind in kinds] for value in known], np.float64)
    filled = np.empty((len(values), table.shape[1]))
    filled[active] = table
    filled[~active] = np.resize(table, (int((~active).sum()), table.shape[1]))
    return filled, active
