"""Ctrl-C in training, taken where it is safe.

Python raises `KeyboardInterrupt` wherever it happens to be, which in training can be a callback
out of TensorFlow's C++ code: there the exception is swallowed, or ends the process without any
clean-up.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Held:
    """Signals that came, held back until someone asks for them."""

    def __init__(self) -> None:
        self.handlers: dict[int, Any] = {}
        self.pending: tuple[int, FrameType | None] | None = None

    def hold(self) -> None:
        if self.handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self.handlers[number] = handler
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None:  # asked twice: now, wherever that is
            self.handlers[number](number, frame)
        self.pending = number, frame

    def deliver(self) -> None:
        if self.pending is not None:
            (number, frame), self.pending = self.pending, None
            self.handlers[number](number, frame)

    def release(self) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def between_batches() -> Iterator[keras.callbacks.Callback]:
    """Yields a callback for `keras.Model.fit` that lets Ctrl-C through between two batches only.

    It begins after the first batch, so that building and tracing, which are Python and can take
    long, are interrupted at once; and a second Ctrl-C does not wait.
    """
    import keras

    held = _Held()

    class Interrupts(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            held.hold()
            held.deliver()

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            held.deliver()

    try:
        yield Interrupts()
    finally:
        held.release()
    held.deliver()
