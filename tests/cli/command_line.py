"""Plain helpers of the tests of the command line."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

TINY = "--set units=3 --set embedding_dim=3 --set timesteps=6 --set layers=1 --epochs 1"
GOOD = ["a wonderful moving film", "great fun", "i loved it", "wonderful acting, great story"]
BAD = ["a dull boring mess", "terrible plot", "i hated it", "boring acting, awful story"]


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.err
        assert self.err.rstrip().endswith(lines[0]), "the error is the last that is said"
        return lines[0]


def words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else [str(w) for w in command]


def tree(directory: Path) -> dict[str, str]:
    """Every file below a directory with the hash of what it holds, and every directory."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "directory"
        for path in sorted(directory.rglob("*"))
    }


def write_reviews(path: Path, good: str = "good", bad: str = "bad") -> Path:
    rows = [
        f'"{text} {i}",{label}'
        for i in range(4)
        for text, label in [*((t, good) for t in GOOD), *((t, bad) for t in BAD)]
    ]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path
