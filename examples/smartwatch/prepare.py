"""Writes the recordings that seglearn ships as one log: watch.csv, and new.csv to predict from.

seglearn keeps them in a pickled NumPy file. Load pickles of packages that you trust only.
"""

import csv
import sys
from pathlib import Path

import numpy as np

data = np.load(sys.argv[1], allow_pickle=True).item()
exercises = [data["y_labels"][number] for number in data["y"]]
order = np.lexsort((data["side"], data["y"], data["subject"]))
header = ["subject", "recording", "seconds", *data["X_labels"], "exercise"]


def rows(recording):
    """One row for each time step of a recording: the watch samples 50 times a second."""
    i = order[recording]
    for step, values in enumerate(data["X"][i]):
        numbers = [f"{value:.4g}" for value in values]
        yield [data["subject"][i], recording, f"{step / 50:.2f}", *numbers, exercises[i]]


with Path("watch.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(header)
    for recording in range(len(order)):
        writer.writerows(rows(recording))

with Path("new.csv").open("w", newline="", encoding="utf-8") as file:  # six seconds, nothing known
    writer = csv.writer(file)
    writer.writerow(header[1:-1])
    writer.writerows(row[1:-1] for row in list(rows(0))[:300])
