"""How the learning rate goes on from the first step of a training to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

SCHEDULES = ("constant", "linear", "cosine", "warmup_cosine")
WARMUP = 0.1
"""Part of the steps in which `warmup_cosine` comes up to the rate."""


def scheduled(
    schedule: str, learning_rate: float, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns what an optimizer of Keras takes as its learning rate.

    Args:
        schedule: `"constant"`; `"linear"` or `"cosine"`, down to 0 with the last step (Loshchilov
            and Hutter, arXiv:1608.03983); `"warmup_cosine"`, up from 0 within the first tenth of
            the steps, then likewise.
        learning_rate: The greatest rate.
        steps: Batches of the whole training.
    """
    if schedule == "constant":
        return learning_rate
    from keras.optimizers import schedules

    steps = max(1, steps)
    if schedule == "linear":
        return schedules.PolynomialDecay(learning_rate, steps, end_learning_rate=0.0)
    if schedule == "cosine":
        return schedules.CosineDecay(learning_rate, steps)
    warmup = max(1, round(WARMUP * steps))
    return schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )


def steps_of(rows: int, batch_size: int, epochs: int) -> int:
    """Returns how many batches a training has.

    Args:
        rows: Training rows.
        batch_size: Rows per step.
        epochs: Passes over the rows.
    """
    return -(-rows // batch_size) * epochs
