"""Runs the commands of an example's page, in a new folder.

    python examples/run.py japanese-vowels          # all of the page's shell blocks, in order
    python examples/run.py --list

The pages are the one place where the commands stand. They fetch a package with pip.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent


def examples() -> list[str]:
    """Returns the examples that have a page with commands of the command line."""
    pages = sorted(EXAMPLES.glob("*/README.md"))
    return [page.parent.name for page in pages if page.parent.name != "plugin"]


def blocks(name: str) -> list[str]:
    """Returns the shell blocks of an example's page."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(name: str, folder: Path) -> int:
    """Runs the blocks of a page until one fails; returns the exit code."""
    folder.mkdir(parents=True)
    for script in (EXAMPLES / name).glob("*.py"):
        shutil.copy(script, folder)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks(name):
        print(block, flush=True)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=os.environ | {"PATH": path}
        )
        if done.returncode:
            return done.returncode
    return 0


def main() -> int:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(examples()))
    parser.add_argument("--folder", type=Path, default=Path("examples-run"), help="a new one")
    parser.add_argument("--list", action="store_true", help="list the examples")
    given = parser.parse_args()
    if given.list or not given.names:
        print("\n".join(examples()))
        return 0
    if unknown := [name for name in given.names if name not in examples()]:
        parser.error(f"no example {unknown[0]!r}: there are {', '.join(examples())}")
    if taken := [name for name in given.names if (given.folder / name).exists()]:
        parser.error(f"{given.folder / taken[0]} exists: choose another --folder, or remove it")
    return max(run(name, given.folder / name) for name in given.names)


if __name__ == "__main__":
    sys.exit(main())
