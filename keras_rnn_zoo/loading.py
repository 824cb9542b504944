"""Whatever a command wrote, opened again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.artifacts import (
    BUNDLE,
    RUN,
    SEARCH,
    SEARCH_FILE,
    kind_of,
    require,
    winner_of,
)
from keras_rnn_zoo.files import PathLike

if TYPE_CHECKING:
    from keras_rnn_zoo.export import Bundle
    from keras_rnn_zoo.training.run import Run


def load(path: PathLike) -> Run | Bundle | Any:
    """Opens what `train`, `search` or `export` wrote, without importing TensorFlow.

    ```python
    from keras_rnn_zoo import load

    load("runs/bilstm").predict(["a wonderful, moving film"])
    load("bundle").predict(["a wonderful, moving film"], quantization="int8")
    ```

    Args:
        path: The directory of a run, a search or a bundle.

    Returns:
        A `Run`, a `tuner.Search` or an `export.Bundle`.

    Raises:
        RunError: Something else lies there, or it is damaged; the message says what was found.
    """
    from keras_rnn_zoo.training.run import Run

    kind = kind_of(require(path, RUN, SEARCH, BUNDLE))
    if kind == BUNDLE:
        from keras_rnn_zoo.export import Bundle

        return Bundle.load(path)
    if kind == SEARCH:
        from keras_rnn_zoo import tuner

        if hasattr(tuner, "Search"):
            return tuner.Search.load(path)
        best = Run.load(winner_of(path))
        found = json.loads((Path(path) / SEARCH_FILE).read_text(encoding="utf-8"))
        trials = json.loads((Path(path) / "trials.json").read_text(encoding="utf-8"))
        return tuner.SearchResult(Path(path), best, trials, found["front"])
    return Run.load(path)
