"""Writes the readings of a glucose sensor: train.csv, test.csv, stream.txt, first.npz."""

import csv
import gzip
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

USUAL, SLACK = timedelta(minutes=5), timedelta(minutes=2)

with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
    found = [
        (datetime.fromisoformat(row["datetime"]), int(row["glucose"]))
        for row in csv.DictReader(file)
    ]
# A calibration is logged as a reading more, between two of the sensor's own.
readings = found[:1]
for when, glucose in found[1:]:
    if when - readings[-1][0] > USUAL - SLACK:
        readings.append((when, glucose))

# Where the sensor was off, another stretch begins.
stretch, rows = 0, []
for i, (when, glucose) in enumerate(readings):
    stretch += i > 0 and when - readings[i - 1][0] > USUAL + SLACK
    rows.append((stretch, when, glucose))

begin = len(rows) * 4 // 5  # the last fifth in time
for path, part in (("train.csv", rows[:begin]), ("test.csv", rows[begin:])):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["stretch", "time", "glucose"])
        writer.writerows(part)

with Path("stream.txt").open("w", encoding="utf-8") as file:  # an empty line ends a stream
    for i, (stretch, _, glucose) in enumerate(rows[begin:], begin):
        file.write("\n" if i > begin and stretch != rows[i - 1][0] else "")
        file.write(f"{glucose}\n")

first = [glucose for stretch, _, glucose in rows[begin:] if stretch == rows[begin][0]]
np.savez("first.npz", glucose=np.array(first, "float32")[np.newaxis, :, np.newaxis])
