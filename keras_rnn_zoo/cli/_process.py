"""From an exception to one line and an exit code, and from TensorFlow's noise to silence."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from keras_rnn_zoo.cli._program import PROGRAM

DEBUG = "KERAS_RNN_ZOO_DEBUG"
BUG, BROKEN_PIPE = 70, 128 + signal.SIGPIPE

# A second Ctrl-C within this time would interrupt the removal of what is half-written.
_GRACE_SECONDS = 3.0


def run(args: Sequence[str] | None) -> int:
    """Runs the command line; see `keras_rnn_zoo.cli.main`."""
    if args is not None:
        return _answer(list(args), Stops())
    stops = Stops()
    with stops.caught(), _set_up():
        return _answer(sys.argv[1:], stops)


# ---------------------------------------------------------------------- errors


def _answer(args: list[str], stops: Stops) -> int:
    """Runs one command and says what went wrong, if anything, in one line."""
    try:
        return _command(args)
    except KeyboardInterrupt as error:
        return _interrupted(args, stops, str(error))
    except BrokenPipeError:
        _silence(sys.stdout)
        return BROKEN_PIPE
    except SystemExit as error:  # after shell completion
        return int(error.code or 0)
    except BaseException as error:
        # Extension modules turn a KeyboardInterrupt during their import into an ImportError.
        if stops.signal is not None:
            return _interrupted(args, stops)
        message, code = _explain(error)
        if os.environ.get(DEBUG):
            import traceback

            traceback.print_exc()
        with contextlib.suppress(OSError):
            print(f"Error: {message}", file=sys.stderr)
        return code


def _command(args: list[str]) -> int:
    import click

    from keras_rnn_zoo.cli._group import cli

    if "_KERAS_RNN_ZOO_COMPLETE" in os.environ:  # the shell asks for completions
        cli.main(args, prog_name=PROGRAM)
    try:
        # Not `cli.main`, which has its own idea of what to do with errors.
        with cli.make_context(PROGRAM, args, obj=shlex.join([PROGRAM, *args])) as context:
            cli.invoke(context)
    except click.exceptions.Exit as error:
        if error.exit_code:
            return error.exit_code
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # What is left in the buffer cannot be written; Python would try again at its end.
        _silence(sys.stdout)
        raise
    return 0


def _silence(stream: object) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())  # type: ignore[attr-defined]
        os.close(nothing)


def _interrupted(args: list[str], stops: Stops, kept: str = "") -> int:
    hint = kept or "Nothing is left half-written."
    if args and args[0] in ("search", "quickstart"):
        hint = "Finished trials are kept: the same command goes on from there."
    with contextlib.suppress(OSError):
        # The terminal shows ^C where the cursor is.
        start = "\n" if sys.stderr.isatty() else ""
        print(f"{start}Interrupted. {hint}", file=sys.stderr)
    return 128 + (stops.signal or signal.SIGINT)


def _explain(error: BaseException) -> tuple[str, int]:
    """Returns one line for a person and the exit code."""
    import click

    from keras_rnn_zoo.errors import ZooError

    if isinstance(error, ZooError):
        return _one_line(str(error)), error.exit_code
    if isinstance(error, click.UsageError):
        from keras_rnn_zoo.cli._group import usage_message

        return _one_line(usage_message(error)), error.exit_code
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message()), error.exit_code
    # TensorFlow has an error type of its own for a full disk, which it also uses for memory.
    full = re.search("No space left on device|File too large|quota exceeded", str(error))
    if full and not isinstance(error, OSError):
        return (
            f"Cannot write a temporary file: {full[0].lower()}. Free some space, or let TMPDIR "
            "name another place.",
            1,
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return (
            "There is not enough memory. Choose a smaller --batch-size, fewer timesteps (--set "
            "timesteps=...) or units, or give fewer rows.",
            1,
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.split(".")[0]
        return (
            f"The package {package} is not installed. Install keras-rnn-zoo again, with all that "
            "it needs: pip install --upgrade keras-rnn-zoo",
            1,
        )
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{error.filename}: " if error.filename is not None else ""
        advice = {
            errno.ENOSPC: " Free some space, or choose another place.",
            errno.EACCES: " Choose a place that you may write to.",
            errno.EROFS: " Choose a place that you may write to.",
        }.get(error.errno, "")
        return _one_line(f"{place}{error.strerror}.{advice}"), 1
    reason = _one_line(f"{type(error).__name__}: {error}")[:300]
    return (
        f"Something unexpected happened, most likely a mistake of {PROGRAM} ({reason}). Run the "
        f"command again with {DEBUG}=1 to see where, and report it.",
        BUG,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


# ---------------------------------------------------------------------- signals


class Stops:
    """What happens when the process is asked to stop: Ctrl-C, `kill`, a closed terminal.

    Attributes:
        signal: The number of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._since = 0.0

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Turns the signals into a `KeyboardInterrupt`, so that clean-up code runs."""
        before = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        unraisable = sys.unraisablehook
        sys.unraisablehook = self._again
        try:
            yield
        finally:
            sys.unraisablehook = unraisable
            for number, handler in before.items():
                signal.signal(number, handler)

    def _again(self, ignored: sys.UnraisableHookArgs) -> None:
        """Stops once more if Python swallowed the first time, in a `__del__` or a weakref's end."""
        if self.signal is None or not isinstance(ignored.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(ignored)
            return
        import threading

        number, self.signal = self.signal, None
        timer = threading.Timer(0.01, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is not None and now - self._since < _GRACE_SECONDS:
            return
        self.signal, self._since = number, now
        raise KeyboardInterrupt


# ---------------------------------------------------------------------- TensorFlow's noise

_NOISE = re.compile(
    rb"""
      WARNING:[ ]All[ ]log[ ]messages[ ]before[ ]absl::InitializeLog
    | [IW]\d{4}[ ][\d:.]+[ ]+\d+[ ]\S+:\d+\]               # absl's log, information and warnings
    # What it calls errors on any machine without a GPU, or without AVX-512, and does well without.
    | (?:E\d{4}[ ][\d:.]+[ ]+\d+|\d{4}-\d\d-\d\d[ ][\d:.]+:[ ]E)[ ]\S+:\d+\][ ]
      .*(?:cuInit|already[ ]registered|Unable[ ]to[ ]register|Falling[ ]back[ ]to)
    | \d{4}-\d\d-\d\d[ ][\d:.]+:[ ][IW][ ]                  # information of TensorFlow 2.20
    | To[ ]enable[ ]the[ ]following[ ]instructions:
    | INFO:[ ]                                              # the TFLite interpreter
    """,
    re.VERBOSE,
)


def is_noise(line: bytes) -> bool:
    """Whether a line on stderr is TensorFlow talking to itself; errors are not."""
    return _NOISE.match(line) is not None


@contextlib.contextmanager
def _set_up() -> Iterator[None]:
    """Prepares the process for TensorFlow, before anything imports it."""
    # The zoo runs on Keras' TensorFlow backend; what the user chose for other programs is no
    # reason to fail.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    wants_log = "TF_CPP_MIN_LOG_LEVEL" in os.environ
    if not wants_log:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        # A text that the terminal cannot show must not end the program.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if wants_log or os.environ.get(DEBUG):
        yield
        return
    import logging

    for name in ("tensorflow", "absl", "keras", "jax"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with _filtered():
        yield


@contextlib.contextmanager
def _filtered() -> Iterator[None]:
    """Sends file descriptor 2 through a filter, and keeps `sys.stderr` for our own lines.

    TensorFlow's C++ code writes to the descriptor itself, partly before any setting is read. The
    filter is a process of its own, so that the last words of a crash still come through.
    """
    try:
        sys.stderr.flush()
        terminal = os.dup(2)
        source, sink = os.pipe()
        child = os.fork()
    except (OSError, AttributeError, ValueError):
        yield
        return
    if child == 0:
        _filter(source, sink, terminal)
    os.close(source)
    os.dup2(sink, 2)
    os.close(sink)
    stderr = sys.stderr
    sys.stderr = os.fdopen(
        terminal, "w", buffering=1, encoding=stderr.encoding, errors="backslashreplace"
    )
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        # The filter ends when nobody can write to it any more.
        os.dup2(terminal, 2)
        sys.stderr = stderr
        deadline = time.monotonic() + 2.0
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.002)


def _filter(source: int, sink: int, terminal: int) -> None:
    """Copies lines from `source` to `terminal`, without noise; does not return."""
    try:
        # Ctrl-C goes to every process of the terminal; this one ends when the other has.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.close(sink)
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        rest = b""
        while chunk := os.read(source, 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if not is_noise(line):
                    os.write(terminal, line + b"\n")
        if rest and not is_noise(rest):
            os.write(terminal, rest)
    finally:
        os._exit(0)
