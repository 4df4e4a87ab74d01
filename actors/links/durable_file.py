"""Files that are there after a power cut: written whole, flushed, renamed into place, and the directory flushed."""

import os
import tempfile
from pathlib import Path


def fsync_directory(directory: Path) -> None:
    """Makes the names in a directory durable: a new file's content is not enough."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, content: bytes) -> None:
    """Replaces a file in one step: a reader, also one after a crash, sees the old content or the new. Mode 0600."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def ensure_directory(directory: Path) -> Path:
    """The directory, made for its owner alone where it was not there."""
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fsync_directory(directory.parent)
    return directory
