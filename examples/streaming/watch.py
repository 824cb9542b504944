"""Streams the test stretches through every file of the bundle, and draws two days: glucose.png."""

import csv
from datetime import datetime
from pathlib import Path

import keras
import numpy as np
from matplotlib import dates
from matplotlib.figure import Figure
from train import AHEAD, stretches

from keras_rnn_zoo.export import StreamingSession

FILES = ("none", "float16", "dynamic", "int8")
LAGS = 12  # readings: an hour
DAYS = datetime(2010, 9, 22), datetime(2010, 9, 24)


def streamed(parts, quantization):
    """What a session answers to each reading of each stretch, one after the other."""
    session = StreamingSession("glucose", quantization=quantization)
    found = []
    for part in parts:
        session.reset()
        found.append(np.array([session.step(reading)["later"][0] for reading in part]))
    return found


def changes(part):
    """The level, and the last 12 changes at each reading, `[readings, 14]`; 0 before the first."""
    steps = np.diff(part[:, 0], prepend=np.repeat(part[0, 0], LAGS + 1))
    last = np.lib.stride_tricks.sliding_window_view(steps[1:], LAGS)[: len(part)]
    return np.column_stack([np.ones(len(part)), part[:, 0], last])


def straight(parts):
    """The last change goes on: for 2.5 readings, which is the best in training."""
    return [part[:, 0] + 2.5 * changes(part)[:, -1] for part in parts]


def linear(parts):
    """Least squares on the training readings: what the level and the last hour say."""
    known = stretches("train.csv")
    x = np.concatenate([changes(part)[:-AHEAD] for part in known])
    y = np.concatenate([part[AHEAD:, 0] - part[:-AHEAD, 0] for part in known])
    weights = np.linalg.lstsq(x, y)[0]
    return [part[:, 0] + changes(part) @ weights for part in parts]


def row(name, answers, parts):
    """How far answers are from what came half an hour later."""
    off = np.concatenate([a[:-AHEAD] - p[AHEAD:, 0] for a, p in zip(answers, parts)])
    print(f"{name:<28}{np.abs(off).mean():>20.2f}{np.sqrt((off**2).mean()):>20.2f}")


def draw(parts, answers):
    """Readings, and the forecasts at the time that they were made for."""
    with Path("test.csv").open(encoding="utf-8") as file:
        times = [datetime.fromisoformat(one["time"]) for one in csv.DictReader(file)]
    glucose = np.concatenate(parts)[:, 0]
    # Of the reading half an hour before; none where the sensor was off then.
    off = np.full(AHEAD, np.nan)
    ahead = np.concatenate([np.r_[off, one[:-AHEAD]][: len(one)] for one in answers])
    glucose[np.cumsum([len(part) for part in parts]) - 1] = np.nan  # no line where it was off
    shown = slice(*np.searchsorted(times, DAYS))
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(70, 180, color="0.94", label="70 to 180 mg/dl")
    axes.plot(times[shown], glucose[shown], color="0.2", lw=1.5, label="the sensor")
    axes.plot(times[shown], ahead[shown], color="tab:red", lw=1.2, label="said half an hour before")
    axes.set(ylabel="glucose, mg/dl", xlim=DAYS)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    figure.legend(loc="outside upper left", ncols=3, frameon=False)
    figure.savefig("glucose.png", dpi=80)


def main():
    parts = stretches("test.csv")
    model = keras.models.load_model("glucose.keras")
    longest = max(map(len, parts))  # what is put behind them changes no answer: it comes later
    padded = np.stack([np.pad(part, ((0, longest - len(part)), (0, 0))) for part in parts])
    whole = [one[: len(part), 0] for one, part in zip(np.asarray(model(padded)), parts)]
    answers = {name: streamed(parts, name) for name in FILES}
    steps = sum(map(len, parts))
    for name in FILES:
        most = max(np.abs(a - w).max() for a, w in zip(answers[name], whole))
        print(f"{name:<8} {steps:,} steps, at most {most:.2g} mg/dl from Keras on whole sequences")
    print(f"\n{'half an hour ahead, mg/dl':<28}{'mean absolute error':>20}{'root mean square':>20}")
    row("the last value", [part[:, 0] for part in parts], parts)
    row("the last change goes on", straight(parts), parts)
    row("linear in the last hour", linear(parts), parts)
    row("Keras, whole sequences", whole, parts)
    for name in FILES:
        row(f"streamed, {name}", answers[name], parts)
    draw(parts, answers["none"])


if __name__ == "__main__":
    main()
