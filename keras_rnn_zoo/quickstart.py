"""The whole way once, on data that everyone has: search, export, verify."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.files import PathLike, check_new_directory

if TYPE_CHECKING:
    from keras_rnn_zoo.export.bundle.bundle import Bundle
    from keras_rnn_zoo.tuner import SearchResult

DATA, MODELS = "digits", ("lstm", "gru")
TRIALS, EPOCHS, BATCH_SIZE = 4, 12, 32
# A minute has no time for the slow ones, and the fast ones leave answers that flip over nothing.
LEARNING_RATE = (1e-3, 3e-3)
# Of fewer, weights are the smaller part of a file, and quantizing them saves nothing.
UNITS = [32, 64]


@dataclass(frozen=True)
class Quickstart:
    """What `quickstart` leaves.

    Attributes:
        search: In the directory `search`.
        bundle: In the directory `bundle`.
        verification: What `verify_bundle` returns.
    """

    search: SearchResult
    bundle: Bundle
    verification: dict[str, Any]


def quickstart(
    output: PathLike = "quickstart",
    *,
    seed: int = 0,
    command: str | None = None,
    progress: bool = True,
) -> Quickstart:
    """Searches two models on handwritten digits, exports the winner in every form, verifies it.

    Args:
        output: The directory to write `search` and `bundle` to: new, empty, or that of a
            quickstart that was stopped, which goes on.
        seed: Of every random choice.
        command: The command line, for the record.
        progress: Write what happens to stderr.

    Raises:
        OutputError: `output` holds something else, or cannot be written.
        ZooError: Of the type that says what went wrong.
    """
    output = Path(output)
    if not (output / "search" / "search.json").is_file() or (output / "bundle").exists():
        check_new_directory(output)

    def say(line: str) -> None:
        if progress:
            print(line, file=sys.stderr, flush=True)

    from keras_rnn_zoo.export.bundle.bundle import verify_bundle
    from keras_rnn_zoo.export.bundle.write import export_bundle
    from keras_rnn_zoo.tuner import search

    say(f"1 of 3: searching {' and '.join(MODELS)} on {DATA}, {TRIALS} trials")
    result = search(
        list(MODELS),
        DATA,
        output=output / "search",
        config={"units": UNITS},
        max_trials=TRIALS,
        learning_rate=LEARNING_RATE,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        seed=seed,
        command=command,
        progress=progress,
    )
    say("2 of 3: exporting the winner")
    bundle = export_bundle(output / "search", output / "bundle", command=command, progress=progress)
    say("3 of 3: verifying the files")
    return Quickstart(result, bundle, verify_bundle(output / "bundle", progress=progress))
