"""How far a file may be from the Keras model."""

from __future__ import annotations

from dataclasses import dataclass

from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel as TFLiteModel


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the Keras model.

    Differences are shares of the answers' spread: the standard deviation over the real samples of
    each column (of logits, where an output ends in a sigmoid or softmax). How large the answers are
    decides nothing.

    Attributes:
        average: The average difference, at most.
        high: The 99 % quantile of the differences, at most.
        changed: Share of the decisions that may be others.
        lost: Points of accuracy, or of F1 averaged over the labels, that may be lost.
        increase: Share by which the mean absolute error of a regression may grow.
        times: How many times what the mode's rounding does to the answers of the Keras model. More
            is no rounding: the file is wrong.
        least: Average difference that is never too many times that.
        reason: Why so much, for the report.
    """

    average: float
    high: float
    changed: float = 0.0
    lost: float = 0.0
    increase: float = 0.0
    times: float = 4.0
    least: float = 1e-5
    reason: str = ""
