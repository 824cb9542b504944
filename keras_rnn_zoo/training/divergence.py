"""When a training has diverged: the one check for a single model, a comparison and a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keras_rnn_zoo.errors import ConfigError

# A loss that is so many times what it was at first does not come back.
LIMIT = 10.0


def has_diverged(
    loss: float, first: float = math.inf, limit: float = LIMIT, unit: float = 1.0
) -> bool:
    """Whether a loss is NaN, infinite, or many times what the first one was.

    Args:
        loss: Of an epoch.
        first: Of the first epoch.
        limit: How many times the first one, plus a unit, it may be.
        unit: A loss that is not small: see `feed.Feed.loss_unit`.
    """
    return not (math.isfinite(loss) and loss <= limit * (unit + first))


def check_converged(
    history: Mapping[str, Sequence[float]],
    learning_rate: float,
    *,
    limit: float = math.inf,
    unit: float = 1.0,
) -> None:
    """Refuses a training that diverged: its model may have an accuracy, and must not win by it.

    Args:
        history: `loss`, and `val_loss` where there is one: a value per epoch.
        learning_rate: Of the training, for the message.
        limit: How many times the first loss (plus one) a later one may be; `LIMIT` where models
            compete, which an odd one must not win.
        unit: See `has_diverged`.

    Raises:
        ConfigError: The message says which loss became what, in which epoch, and what to do.
    """
    for name in ("loss", "val_loss"):
        losses = history.get(name, ())
        for epoch, loss in enumerate(losses, 1):
            if has_diverged(loss, losses[0], limit, unit):
                what = (
                    f"{loss:.3g}, from {losses[0]:.3g}"
                    if math.isfinite(loss)
                    else "NaN or infinite"
                )
                raise ConfigError(
                    f"Training diverged: {name} became {what} in epoch {epoch} (learning_rate "
                    f"{learning_rate:g}). Set a lower learning_rate."
                )
