"""Whatever a command wrote, opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_rnn_zoo.artifacts import (
    BUNDLE,
    RUN,
    SEARCH,
    kind_of,
    require,
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
        from keras_rnn_zoo.tuner import Search

        return Search.load(path)
    return Run.load(path)
