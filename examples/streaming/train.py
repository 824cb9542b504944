"""Trains a model that says at every reading what it will be half an hour later: glucose.keras."""

import csv
from itertools import groupby
from pathlib import Path

import keras
import numpy as np

AHEAD = 6  # readings: half an hour
WINDOW, STRIDE = 144, 24  # half a day, from every second hour on


def stretches(path):
    """Float32 `[readings, 1]` of each stretch of a file, in mg/dl."""
    with Path(path).open(encoding="utf-8") as file:
        rows = groupby(csv.DictReader(file), key=lambda row: row["stretch"])
        return [np.array([[row["glucose"]] for row in one], "float32") for _, one in rows]


def windows(parts):
    """Readings `[windows, WINDOW, 1]`, and for each of them the one half an hour later."""
    x, y = [], []
    for part in parts:
        for start in range(0, len(part) - WINDOW - AHEAD + 1, STRIDE):
            x.append(part[start : start + WINDOW])
            y.append(part[start + AHEAD : start + AHEAD + WINDOW])
    return np.array(x), np.array(y)


def build(mean, variance):
    """A GRU that reads glucose and answers by how much it will have changed."""
    glucose = keras.Input((None, 1), name="glucose")
    x = keras.layers.Normalization(mean=mean, variance=variance)(glucose)
    x = keras.layers.GRU(32, return_sequences=True)(x)
    change = keras.layers.Rescaling(30.0)(keras.layers.Dense(1)(x))
    later = keras.layers.Add(name="later")([glucose, change])
    return keras.Model(glucose, later, name="glucose")


def main():
    keras.utils.set_random_seed(0)
    parts = stretches("train.csv")
    held_out = len(parts) // 10  # the last stretches
    x, y = windows(parts[:-held_out])
    validation = windows(parts[-held_out:])
    model = build(x.mean(), x.var())
    epochs, batch = 40, 32
    rate = keras.optimizers.schedules.CosineDecay(0.005, epochs * -(-len(x) // batch))
    model.compile(keras.optimizers.Adam(rate), loss="mean_absolute_error")
    model.fit(x, y, batch, epochs, validation_data=validation, verbose=2)
    model.save("glucose.keras")
    # To calibrate and to verify on: of all months, in any order, as an export may read some.
    np.savez("rows.npz", glucose=np.random.default_rng(0).permutation(x)[:256])


if __name__ == "__main__":
    main()
