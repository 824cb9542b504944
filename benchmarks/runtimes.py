"""Runs files of many architectures in interpreters of other versions, and holds what they claim.

    python benchmarks/runtimes.py runtime214/bin/python litert101/bin/python

Each argument is a Python that has `tflite_runtime` or `ai_edge_litert`, such as of
`pip install tflite-runtime==2.14.0 "numpy<2"`. A file has to run where its `min_runtime` says so,
to be refused where not, and to answer what it answers here. Prints a line for each interpreter,
and what is wrong; exits with 1 where something is.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "export"))


def write_files(directory: Path) -> dict[str, str]:
    """Writes every architecture in every mode and lowering; returns file -> `min_runtime`."""
    from architectures import ARCHITECTURES
    from other_runtimes import write

    from keras_rnn_zoo.export import TARGETS

    claims = {}
    for name in ARCHITECTURES:
        claims |= write(directory, name, TARGETS.get("litert").lowerings)
        print(f"{name} written", file=sys.stderr)
    return claims


def main() -> None:
    """See the top."""
    from other_runtimes import answered, contradicted

    wrong: list[Any] = []
    with tempfile.TemporaryDirectory() as scratch:
        claims = write_files(Path(scratch))
        for python in sys.argv[1:]:
            name, outcomes = answered(python, scratch)
            wrong += [(name, *line) for line in contradicted(name, claims, outcomes)]
            ran = [off for how, off in outcomes.values() if how == "ran"]
            worst = max(ran, default=0.0)
            print(f"{name}: {len(ran)} of {len(claims)} run, off by {worst:.1g}")
    for line in wrong:
        print(*line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
