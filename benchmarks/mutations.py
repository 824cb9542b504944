"""The table of kills: does the verification refuse files that were damaged, and pass good ones?

    python benchmarks/mutations.py -o docs/mutations.json

Five models, a task each, are trained and written in every quantization mode. Each good file must
pass. Then it is damaged in every way of `tests/export/mutations.py`; what really changed its
answers (by more than 5 % of their standard deviation on average, or more than 1 % of the decisions,
on 400 rows that the verification does not see) has to be refused. Prints a table, writes JSON and,
beside it, Markdown. Takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))

import mutations

from keras_rnn_zoo import files
from keras_rnn_zoo.errors import VerificationError
from keras_rnn_zoo.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    known = list(mutations.BUILDERS)
    parser.add_argument("--models", nargs="*", choices=known, default=known)
    parser.add_argument("--modes", nargs="*", choices=mutations.MODES, default=mutations.MODES)
    options = parser.parse_args()
    outcomes: list[mutations.Damaged] = []
    refused_good: list[dict[str, str]] = []
    for name in options.models:
        for mode in options.modes:
            print(f"{name}, {mode}", file=sys.stderr, flush=True)
            try:
                outcomes += [each for each in mutations.damaged(name, mode) if each is not None]
            except VerificationError as error:
                refused_good.append({"model": name, "mode": mode, "reason": str(error)})
    changed = [each for each in outcomes if each.changed]
    killed = [each for each in changed if each.refused]
    lines = _table(outcomes, options.modes)
    files_written = len(options.models) * len(options.modes)
    lines += [
        "",
        f"{len(killed)} of {len(changed)} damaged files whose answers really changed are refused "
        f"({100 * len(killed) / max(1, len(changed)):.1f} %); {len(outcomes) - len(changed)} more "
        f"changed too little to count. {len(refused_good)} of {files_written} good files are "
        "refused.",
    ]
    for each in changed:
        if not each.refused:
            lines.append(
                f"- survives: {each.subject}, {each.mode}, {each.damage} (answers moved by "
                f"{each.moved:.1%} of their standard deviation)"
            )
    print("\n".join(lines))
    files.write_json(
        options.output,
        {
            "changed": len(changed),
            "refused": len(killed),
            "refused_good": refused_good,
            "outcomes": [asdict(each) for each in outcomes],
            "provenance": provenance(command=shlex.join(["python", *sys.argv])),
        },
    )
    files.write_text(options.output.with_suffix(".md"), "\n".join(lines) + "\n")


def _table(outcomes: list[mutations.Damaged], modes: list[str]) -> list[str]:
    cells: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for each in outcomes:
        if each.changed:
            cells[each.damage, each.mode][0] += each.refused
            cells[each.damage, each.mode][1] += 1
    rows = [f"| damage | {' | '.join(modes)} |", f"| --- |{' --- |' * len(modes)}"]
    for damage in dict.fromkeys(each.damage for each in outcomes):
        shown = [
            f"{cells[damage, mode][0]} of {cells[damage, mode][1]}"
            if cells[damage, mode][1]
            else ""
            for mode in modes
        ]
        rows.append(f"| {damage} | {' | '.join(shown)} |")
    return rows


if __name__ == "__main__":
    main()
