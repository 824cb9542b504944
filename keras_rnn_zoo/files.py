"""Files that are written whole or not at all.

Everything is written beside its destination and moved there in one step, so that a crash, a full
disk or Ctrl-C leaves what was there before.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_rnn_zoo.errors import OutputError, RunError

PathLike = str | os.PathLike[str]


def _explain(error: OSError, path: Path) -> OutputError:
    reasons = {
        errno.ENOSPC: "the disk is full; free some space, or choose another place",
        errno.EROFS: "the file system is read-only; choose another place",
        errno.EACCES: "permission denied; choose a place that you may write to",
        errno.EPERM: "permission denied; choose a place that you may write to",
        errno.ENOTDIR: "a part of the path is a file, not a directory; choose another place",
        errno.EEXIST: "something with that name is in the way; choose another place",
        errno.EISDIR: "it is a directory; name a file",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"Cannot write {path}: {reason}.")


@contextlib.contextmanager
def explained(path: PathLike) -> Iterator[None]:
    """Turns an `OSError` of the body into an `OutputError` that names `path` and what to do."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise _explain(error, Path(path)) from error


def inside(directory: PathLike, name: object) -> Path:
    """Returns the place of a file that the description of its directory names.

    Args:
        directory: A run or a bundle, of any origin.
        name: What its description says.

    Raises:
        RunError: It is no name of something inside of the directory, links followed.
    """
    path = None
    if isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts:
        path = Path(directory) / name
        try:
            path.exists()  # names that no file can have
            if Path(directory).resolve() not in path.resolve().parents:
                path = None
        except (OSError, ValueError, RuntimeError):
            path = None
    if path is None:
        raise RunError(
            f"{directory} is damaged: it names {str(name)[:100]!r}, which is no file inside of it. "
            "Take a complete copy, without links that lead elsewhere."
        )
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def atomic_file(path: PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`; moves it to `path` if the body ends well.

    Raises:
        OutputError: The place cannot be written. Whatever was at `path` is untouched.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: PathLike, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: PathLike, text: str) -> None:
    """Writes `text` as UTF-8 with `\\n` line ends to `path`, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def check_new_directory(path: PathLike) -> Path:
    """Refuses an output directory that holds something, before any work is done.

    Raises:
        OutputError: `path` is a file, holds something, or cannot be created.
    """
    path = Path(path)
    with explained(path):
        if path.exists() and not path.is_dir():
            raise OutputError(f"Cannot write {path}: it is a file. Name a new directory.")
        if path.is_dir() and any(path.iterdir()):
            raise OutputError(
                f"Cannot write {path}: it is a directory that already holds something. "
                "Name a new directory, or move that one away."
            )
        ancestor = path
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir():
            raise OutputError(f"Cannot write {path}: {ancestor} is a file, not a directory.")
        # A real attempt: permission bits say nothing for root or on read-only file systems.
        tempfile.TemporaryFile(dir=ancestor).close()
    return path


@contextlib.contextmanager
def new_directory(path: PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Yields a temporary directory; moves it to `path` if the body ends well, else removes it.

    Args:
        path: A new or an empty directory.
        replace: A directory there may hold something, and goes; the caller knows that it may.

    Raises:
        OutputError: See `check_new_directory`; also when writing inside the body fails.
    """
    path = Path(path)
    if not (replace and path.is_dir()):
        check_new_directory(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            try:
                yield temporary
            except OutputError as error:
                # The reader knows the place that was asked for, not the hidden one beside it.
                raise OutputError(str(error).replace(str(temporary), str(path))) from error
            temporary.chmod(0o777 & ~_umask())
            if replace and path.is_dir():
                # Only an empty directory gives way to another in one step.
                path.replace(temporary.with_suffix(".old"))
            elif path.is_dir():
                path.rmdir()
            temporary.replace(path)
        finally:
            for leftover in (temporary, temporary.with_suffix(".old")):
                shutil.rmtree(leftover, ignore_errors=True)


def sha256(path: PathLike) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
