"""Files whose names say what they are for: `X_TRAIN.ts`, `X_TEST.ts`, `train.csv`, `test.csv`.

A folder or a pattern that holds both stands for a data set with its tests. Learning from both would
make its figures worthless.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from keras_rnn_zoo.errors import DataError, listed

_NAME = re.compile(r"(?:(?P<rest>.*)[_\-. ])?(?P<part>train|test)(?:ing)?", re.IGNORECASE)


def of_part(files: Sequence[Path], part: str) -> list[Path]:
    """Returns the files of one part of a data set.

    Args:
        files: What a folder or a pattern holds.
        part: `"train"` or `"test"`.

    Returns:
        Those that say so in their names. Where names do not tell both parts, all files are to
        train on and none to test on.

    Raises:
        DataError: There are several such pairs, or other files beside one.
    """
    found: dict[str, dict[str, Path]] = {}
    others: list[Path] = []
    for file in files:
        stem = re.sub(r"\.[^.]+(\.gz)?$", "", file.name)
        match = _NAME.fullmatch(stem)
        if match is None:
            others.append(file)
        else:
            rest = (match["rest"] or "").lower()
            found.setdefault(rest, {})[match["part"].lower()] = file
    pairs = [pair for pair in found.values() if len(pair) == 2]
    if not pairs:
        return list(files) if part == "train" else []
    if len(files) > 2:
        pair = pairs[0]
        raise DataError(
            f"{listed(file.name for file in files[:6])}{' and more' if len(files) > 6 else ''} lie "
            "together, and the names of some say that they are to train on and to test on. Say "
            f"which are meant: --data {pair['train']} --test-data {pair['test']}"
        )
    return [pairs[0][part]]
