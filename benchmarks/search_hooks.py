"""What `search.py` has happen inside its trials, as the `callbacks` of a search."""

from __future__ import annotations

import time

import keras

SLEEP_SECONDS = 5.0


class _Sleep(keras.callbacks.Callback):  # type: ignore[misc]
    def on_train_begin(self, logs: object = None) -> None:
        time.sleep(SLEEP_SECONDS)


def sleeping() -> list[keras.callbacks.Callback]:
    """A trial that waits for something else than this machine's processors."""
    return [_Sleep()]
