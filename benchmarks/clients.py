"""What becomes of every model of the zoo in every client that is installed.

    python benchmarks/clients.py --texts reviews.csv.gz -o docs/clients.json

Trains each model of the zoo shortly, on texts and on sensor readings, and exports it for each
target, in each quantization mode that there is. Every file is proven as `verify --clients all`
does; what is not exported is refused with a reason. Prints a table, writes JSON and, beside it,
Markdown. With `--lowerings`, exports for LiteRT alone, in these lowerings, and runs each file in
every client, whoever it is for: the files of strangers. Where something is wrong, it says so and
exits with 1. Takes about an hour.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from keras_rnn_zoo import files, list_models
from keras_rnn_zoo.errors import ZooError
from keras_rnn_zoo.export import CLIENTS, LOWERINGS, QUANTIZATIONS, TARGETS, export_bundle
from keras_rnn_zoo.export.clients.client import installed
from keras_rnn_zoo.provenance import provenance
from keras_rnn_zoo.training.train import train

# Small models, as they are on devices; of the texts, the first so many.
CONFIG: dict[str, dict[str, Any]] = {
    "texts": {"units": 16, "embedding_dim": 16, "timesteps": 40, "vocabulary_size": 2000},
    "sensors": {"units": 16},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "texts": {"epochs": 3, "learning_rate": 5e-3},
    "sensors": {"epochs": 4, "learning_rate": 5e-3},
}
TEXTS, SENSORS, TIMESTEPS = 3000, 1200, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", required=True, help="a .csv.gz file of reviews: text, label")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--models", nargs="*", default=list_models())
    parser.add_argument("--targets", nargs="*", default=TARGETS.names())
    parser.add_argument("--lowerings", nargs="*", choices=LOWERINGS.names())
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        data = {"texts": texts(options.texts, scratch), "sensors": sensors(scratch)}
        for kind, model in itertools.product(CONFIG, options.models):
            place = Path(scratch) / f"{kind}-{model}"
            if options.lowerings:
                found = by_lowering(model, kind, data[kind], place, options.lowerings)
            else:
                found = by_target(model, kind, data[kind], place, options.targets)
            for row in found:
                rows.append({"model": model, "kind": kind, **row})
                print(told(rows[-1]), flush=True)
    wrong = [row for row in rows if row["outcome"] in ("wrong", "refused by a client")]
    lines = summary(rows) if options.lowerings else table(rows)
    print("\n".join(lines))
    files.write_json(
        options.output,
        {
            "rows": rows,
            "clients": sorted(one.version for name in CLIENTS.names() for one in there(name)),
            "provenance": provenance(command=shlex.join(["python", *sys.argv])),
        },
    )
    files.write_text(options.output.with_suffix(".md"), "\n".join(lines) + "\n")
    sys.exit(bool(wrong))


def there(name: str) -> list[Any]:
    """Where a client is installed."""
    return installed(CLIENTS.get(name))


def texts(source: str, scratch: str) -> Path:
    """The first rows of a file of reviews."""
    path = Path(scratch) / "texts.csv"
    with gzip.open(source, "rt", encoding="utf-8", newline="") as given, path.open("w") as taken:
        csv.writer(taken).writerows(itertools.islice(csv.reader(given), TEXTS + 1))
    return path


def sensors(scratch: str) -> Path:
    """Waves of three speeds, with noise."""
    generator = np.random.default_rng(0)
    phase = generator.uniform(0, 6.28, (SENSORS, 1, 1))
    speed = generator.choice([0.2, 0.35, 0.5], (SENSORS, 1, 1))
    x = np.sin(phase + speed * np.arange(TIMESTEPS)[None, :, None])
    x = (x + generator.normal(0, 0.3, (SENSORS, TIMESTEPS, 3))).astype(np.float32)
    names = np.array(["walk", "jog", "run"])
    path = Path(scratch) / "sensors.npz"
    np.savez(path, x=x, y=names[np.searchsorted([0.3, 0.4], speed[:, 0, 0])])
    return path


def trained(model: str, kind: str, data: Path, place: Path, target: str) -> Path:
    """Trains a model as a client wants it; models that clients want alike are trained once."""
    wishes = TARGETS.get(target)
    config = CONFIG[kind] | ({} if wishes.masks else {"mask": False})
    known = target if wishes.encodes or not wishes.masks else "litert"
    run = place / known
    if not run.exists():
        options = OPTIONS[kind] | {"target": target}
        train(model, data, output=run, config=config, progress=False, **options)
    return run


def by_target(
    model: str, kind: str, data: Path, place: Path, targets: list[str]
) -> Iterator[dict[str, Any]]:
    """Exports a model for each target, in each mode, and proves the files in its clients."""
    for target in targets:
        clients = [
            name for name in CLIENTS.names() if CLIENTS.get(name).target == target and there(name)
        ]
        modes = QUANTIZATIONS.names()
        try:
            run = trained(model, kind, data, place, target)
        except ZooError as error:
            for mode in modes:
                reason = {"outcome": "refused", "reason": str(error)}
                yield {"target": target, "quantization": mode, **reason}
            continue
        able = TARGETS.get(target).quantizations(modes)
        yield from proven(run, {"target": target}, able, clients)
        for mode in sorted(set(modes) - set(able)):
            yield from proven(run, {"target": target}, [mode], clients)


def by_lowering(
    model: str, kind: str, data: Path, place: Path, lowerings: list[str]
) -> Iterator[dict[str, Any]]:
    """Exports a model in each lowering and mode, and proves the files in all clients."""
    clients = [name for name in CLIENTS.names() if there(name)]
    run = trained(model, kind, data, place, "litert")
    modes = TARGETS.get("litert").quantizations(QUANTIZATIONS.names())
    for lowering in lowerings:
        yield from proven(run, {"lowering": lowering}, modes, clients)


def proven(
    run: Path, options: dict[str, Any], modes: list[str], clients: list[str]
) -> Iterator[dict[str, Any]]:
    """Yields what became of files: one row where a mode is refused, else one for each client."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            bundle = export_bundle(
                run,
                Path(scratch) / "bundle",
                format=["tflite"],
                quantization=modes,
                progress=False,
                **options,
            )
        except ZooError as error:
            if len(modes) > 1:  # one of them; the others are to be had
                for mode in modes:
                    yield from proven(run, options, [mode], clients)
            else:
                reason = {"outcome": "refused", "reason": str(error)}
                yield {**options, "quantization": modes[0], **reason}
            return
        records = bundle.verify(clients=clients)["clients"] if clients else []
        for entry in bundle.report.files:
            known = {
                **options,
                "quantization": entry.quantization,
                "bytes": entry.bytes,
                "arena": entry.arena,
                "min_runtime": entry.min_runtime,
                "lowerings": sorted(set(entry.lowering.values())),
            }
            here = entry.parity["max_abs_output"]
            yield {**known, "client": "here", "outcome": "right", "max_abs_output": here}
            for record in records:
                if record["file"] == entry.file:
                    yield {**known, **row_of(record)}


def row_of(record: dict[str, Any]) -> dict[str, Any]:
    """What became of a file in a client."""
    outcome = record["outcome"]
    return {
        "client": f"{record['client']}, {record['version']}",
        "outcome": "refused by a client" if outcome == "refused" else outcome,
        "reason": record["problem"],
        "max_abs_output": record["max_abs_output"],
        "notes": record["notes"],
        "figures": record["figures"],
    }


def told(row: dict[str, Any]) -> str:
    """A row in a line."""
    names = ("kind", "model", "target", "lowering", "quantization", "client", "outcome")
    words = [str(row[name]) for name in names if name in row]
    off = row.get("max_abs_output")
    return " ".join([*words, "" if off is None else f"{off:.2g}", str(row.get("reason") or "")])


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: a line for each model and target, a column for each mode."""
    modes = QUANTIZATIONS.names()
    lines = ["| model | target | " + " | ".join(modes) + " |", "| --- " * (len(modes) + 2) + "|"]
    reasons: list[str] = []
    groups: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        key = (f"{row['model']}, {row['kind']}", row["target"])
        groups.setdefault(key, {}).setdefault(row["quantization"], []).append(row)
    for (model, target), found in groups.items():
        cells = [cell(found.get(mode, []), reasons) for mode in modes]
        lines.append(f"| {model} | {target} | " + " | ".join(cells) + " |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return [*lines, "", "Refused:", "", *notes]


def cell(rows: list[dict[str, Any]], reasons: list[str]) -> str:
    """The size of a file and its largest difference in any client, or why there is none."""
    first = rows[0]
    if first["outcome"] == "refused":
        reason = general(first["reason"])
        if reason not in reasons:
            reasons.append(reason)
        return f"refused ({reasons.index(reason) + 1})"
    # A file that some client of the target is not for, such as floats for an NPU, runs in another.
    bad = [row for row in rows if row["outcome"] not in ("right", "compiled", "not for it")]
    if bad:
        return f"{bad[0]['outcome'].upper()} in {bad[0]['client']}"
    off = max((row["max_abs_output"] or 0.0 for row in rows), default=0.0)
    return f"{first['bytes'] / 1000:.0f} kB, {off:.1g}"


def general(reason: str) -> str:
    """A reason without what differs from model to model."""
    return reason.partition(". ")[0]


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: a line for each client, what became of the files in each mode."""
    modes = QUANTIZATIONS.names()
    lines = ["| client | " + " | ".join(modes) + " |", "| --- " * (len(modes) + 1) + "|"]
    names = sorted({row["client"] for row in rows if "client" in row})
    for name in names:
        cells = []
        for mode in modes:
            mine = [r for r in rows if r.get("client") == name and r["quantization"] == mode]
            counts = {
                outcome: len([row for row in mine if row["outcome"] == outcome])
                for outcome in dict.fromkeys(row["outcome"] for row in mine)
            }
            off = max((row["max_abs_output"] or 0.0 for row in mine), default=0.0)
            words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
            cells.append(f"{words}; {off:.1g}" if off else words or "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
