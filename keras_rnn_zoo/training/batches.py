"""Rows in batches of like length, without the padding that all rows of a batch share.

A recurrence takes time for every step, padding as well, and half of what it reads of reviews in a
model of 400 steps is padding. A model that skips padding answers, and learns, the same where it is
left out: see `ModelBuilder.trims`. What is gained depends on who is together in a batch: rows are
shuffled, then those of some batches sorted by length among themselves, and the batches shuffled
(as in Khomenko et al., "Accelerating recurrent neural network training using sequence bucketing and
multi-GPU data parallelization", arXiv:1708.05604). So every row comes once an epoch, in batches
that differ from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

WINDOW, LEAST_WINDOWS = 32, 8
"""Batches whose rows are sorted together, at most; and how many such parts an epoch has, so that
batches of few rows are not the same ones in every epoch."""

LEAST_SAVED = 0.1
"""Part of the steps below which it is not worth it to have batches of many lengths."""


@dataclass(frozen=True)
class Batches:
    """Rows of a model that skips padding on the right.

    Attributes:
        x: Encoded inputs, int `[n, timesteps]` or float `[n, timesteps, features]`.
        batch_size: Rows of a batch; the last one has what is left.
        per_timestep: Rows have an answer at each time step. A loss is an average over those of a
            batch: in short rows together each would weigh more, so rows stay where they are.
    """

    x: np.ndarray
    batch_size: int
    per_timestep: bool = False

    @cached_property
    def lengths(self) -> np.ndarray:
        """Time steps up to the last one that is no padding, int64 `[n]`; at least 1."""
        real = self.x != 0 if self.x.ndim == 2 else (self.x != 0).any(axis=2)
        last = real.shape[1] - real[:, ::-1].argmax(axis=1)
        return np.where(real.any(axis=1), last, 1)

    @property
    def saved(self) -> float:
        """Part of the time steps that are left out in an epoch."""
        rows = self.shuffled(np.random.default_rng(0))
        starts = np.arange(0, len(rows), self.batch_size)
        longest = np.maximum.reduceat(self.lengths[rows], starts)
        read = (longest * np.diff([*starts, len(rows)])).sum()
        return float(1 - read / (len(rows) * self.x.shape[1]))

    def shuffled(self, generator: np.random.Generator) -> np.ndarray:
        """Returns each row once, int64 `[n]`, in an order that is cut into batches.

        Args:
            generator: Of the random choice.
        """
        rows = generator.permutation(len(self.x))
        if self.per_timestep:
            return rows
        whole = len(rows) // self.batch_size
        window = max(1, min(WINDOW, whole // LEAST_WINDOWS)) * self.batch_size
        # Those of the last batch, which is a smaller one, are of any length.
        some, rest = np.split(rows, [whole * self.batch_size])
        some = some[np.lexsort((self.lengths[some], np.arange(len(some)) // window))]
        some = generator.permutation(some.reshape(whole, self.batch_size))
        return np.concatenate([some.ravel(), rest])

    def sorted(self) -> np.ndarray:
        """Returns each row once, int64 `[n]`, the short ones first."""
        return np.arange(len(self.x)) if self.per_timestep else np.argsort(self.lengths)

    def to_learn_from(self, *arrays: np.ndarray | None, seed: int) -> tf.data.Dataset:
        """Returns an epoch of batches, another order each time that it is gone through.

        Args:
            *arrays: Labels and weights of the rows; None for none.
            seed: Of the order.
        """
        generator = np.random.default_rng(seed)
        return self._dataset(arrays, lambda: self.shuffled(generator))

    def to_answer(self, *arrays: np.ndarray | None) -> tf.data.Dataset:
        """Returns batches of all rows, the short ones first.

        Args:
            *arrays: Labels and weights of the rows; None for none.
        """
        return self._dataset(arrays, self.sorted)

    def answers(self, model: keras.Model) -> np.ndarray:
        """Returns what a model answers each row.

        Args:
            model: As `any_length` opens it.
        """
        order = self.sorted()
        outputs = np.asarray(model.predict(self.to_answer(), verbose=0))
        answers = np.empty_like(outputs)
        answers[order] = outputs
        return answers

    def _dataset(
        self, arrays: Sequence[np.ndarray | None], order: Callable[[], np.ndarray]
    ) -> tf.data.Dataset:
        import tensorflow as tf

        count = len(self.x)
        with tf.device("CPU:0"):
            held = [tf.convert_to_tensor(one) for one in (self.x, *arrays) if one is not None]
            lengths = tf.convert_to_tensor(self.lengths)

        def ordered(_: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(order, [], tf.int64), [count])

        def batch(rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
            steps = tf.reduce_max(tf.gather(lengths, rows))
            x, *others = (tf.gather(one, rows) for one in held)
            if self.per_timestep:
                others = [one[:, :steps] for one in others]
            return (x[:, :steps], *others)

        rows = tf.data.Dataset.range(1).map(ordered).flat_map(tf.data.Dataset.from_tensor_slices)
        batches = rows.batch(self.batch_size).map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        number = -(-count // self.batch_size)
        return batches.apply(tf.data.experimental.assert_cardinality(number)).prefetch(2)


@contextmanager
def any_length(model: keras.Model) -> Iterator[None]:
    """Lets a model take any number of time steps, and not only those that it was built with.

    Args:
        model: Whose layers do, in front of which its input stands.
    """
    import keras

    specs: list[Any] = model.input_spec
    model.input_spec = [
        keras.InputSpec(shape=(None, None, *spec.shape[2:]), name=spec.name) for spec in specs
    ]
    try:
        yield
    finally:
        model.input_spec = specs
