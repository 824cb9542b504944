"""Text files as people have them: plain or gzipped, in whatever encoding they were saved."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from keras_rnn_zoo.errors import DataError

# The longest first: UTF-32 begins as UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# What a damaged gzip file raises.
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)


def open_bytes(path: Path):  # type: ignore[no-untyped-def]  # a gzip file or a plain one
    """Opens a file to read its bytes, unpacked where its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def encoding_of(path: Path, encoding: str | None) -> str:
    """Returns the encoding of a file: what the user says, or what its first bytes say."""
    if encoding not in (None, "utf-8"):
        return str(encoding)
    with open_bytes(path) as stream:
        start = stream.read(4)
    return marked(start) if encoding is None else "utf-8-sig"


def marked(start: bytes) -> str:
    """Returns the encoding that the first four bytes of a text say, or UTF-8."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8-sig")


@contextmanager
def reading(path: Path, encoding: str | None = None) -> Iterator[TextIO]:
    """Opens a text file; line breaks are left as they are.

    Args:
        path: A file; `.gz` is unpacked.
        encoding: None takes what a byte order mark says, or UTF-8.

    Raises:
        DataError: It is damaged, or of another encoding; the message names one that fits.
    """
    try:
        found = encoding_of(path, encoding)
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(path, "rt", encoding=found, newline="") as stream:
            yield stream
    except UnicodeError as error:
        raise _not_text(path, error, encoding) from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def holds(path: Path, byte: bytes) -> bool:
    """Whether a byte is anywhere in a file.

    Raises:
        DataError: It is damaged.
    """
    try:
        with open_bytes(path) as stream:
            return any(byte in part for part in iter(lambda: stream.read(1 << 20), b""))
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged or not gzip: {error}. Take a complete copy of it.")


def _not_text(path: Path, error: UnicodeError, encoding: str | None) -> DataError:
    what = (encoding or "utf-8").upper()
    byte = ""
    if isinstance(error, UnicodeDecodeError) and error.start < len(error.object):
        byte = f": byte 0x{error.object[error.start]:02x}"
    other = _fitting(path)
    return DataError(
        f"{path} is not {what} text{byte}. If it was saved in another encoding, name that: "
        f"--encoding {other} (encoding='{other}'), or save it as UTF-8."
    )


def _fitting(path: Path) -> str:
    """Returns an encoding in which the file can be read; all bytes are something in Latin-1."""
    try:
        with open_bytes(path) as stream:
            start = stream.read(1 << 20)
        if start[:400].count(0) * 3 > len(start[:400]):
            return "utf-16"
        start.decode("cp1252")
        return "cp1252"
    except (UnicodeDecodeError, OSError, EOFError, zlib.error):
        return "latin-1"
