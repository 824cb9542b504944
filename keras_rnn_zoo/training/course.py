"""How long and how fast a model is trained, where nobody says: what follows from the rows.

Few rows make few steps an epoch. Four epochs of 64 rows a step, right for 25,000 reviews, are 20
steps for 270 recordings, after which a model still guesses. So small data get more epochs of
smaller steps, at a higher rate, and stop when the validation loss no longer falls.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_rnn_zoo.errors import ConfigError
from keras_rnn_zoo.training.options import TrainOptions

# Measured on digits, JapaneseVowels, BasicMotions and IMDB's reviews with the layer models.
STEPS = 2000
LEAST_EPOCHS, MOST_EPOCHS = 4, 500
LEAST_PATIENCE = 2
FEW_ROWS = 5000


@dataclass(frozen=True)
class Course:
    """How a training goes.

    Attributes:
        epochs: Passes over the training rows, at most.
        batch_size: Rows per step.
        learning_rate: Of Adam.
        patience: Epochs without a better validation loss before it stops; None never.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None

    def __str__(self) -> str:
        text = (
            f"up to {self.epochs} epoch{'s' if self.epochs > 1 else ''} of {self.batch_size} rows "
            f"a step, learning rate {self.learning_rate:g}"
        )
        if self.patience is None:
            return text
        return f"{text}; stops after {self.patience} without a better validation loss"


def course_of(options: TrainOptions, rows: int, validates: bool) -> Course:
    """Returns how a training goes: as the options say, and where they do not, as suits the rows.

    - Rows per step: 32 of fewer than 5,000 training rows, else 64.
    - Learning rate: 0.003 of fewer than 5,000 training rows, else 0.001.
    - Epochs: as many as make 2,000 steps; at least 4 and at most 500.
    - Patience: a sixth of these epochs, at least 2: with few steps an epoch, a loss can rise for
      dozens of epochs before it falls. Epochs that were asked for are all trained, unless patience
      was asked for as well.

    Args:
        options: Of the training.
        rows: To train on.
        validates: There are validation rows.

    Raises:
        ConfigError: Patience was asked for, and there are no validation rows.
    """
    if options.patience and not validates:
        raise ConfigError(
            "patience needs validation data. Set validation_split above 0, or leave it out."
        )
    few = rows < FEW_ROWS
    batch_size = options.batch_size or (32 if few else 64)
    rate = options.learning_rate or (3e-3 if few else 1e-3)
    steps = -(-rows // batch_size)
    epochs = options.epochs or min(MOST_EPOCHS, max(LEAST_EPOCHS, -(-STEPS // steps)))
    patience = options.patience
    if patience is None and options.epochs is None and validates:
        patience = max(LEAST_PATIENCE, -(-epochs // 6))
    return Course(epochs, batch_size, rate, patience or None)
