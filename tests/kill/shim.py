"""A disk whose fsync fails: a few lines of C between a process and its C library, built where there is a compiler."""

import os
import shutil
import subprocess
from pathlib import Path

FLAG = "ALLSTOP_KILL_FSYNC"
SOURCE = Path(__file__).with_name("fail_fsync.c")
BUILD_S = 60.0


def why_not() -> str:
    """Why it cannot be built here; empty when it can."""
    return "" if compiler() else "no C compiler, of gcc: a failing fsync cannot be put under a real SQLite"


def compiler() -> str | None:
    return shutil.which(os.environ.get("CC", "cc"))


def environ_of(folder: Path) -> dict[str, str]:
    """Builds it in this folder. The environment of a process whose journals cannot be flushed while `folder/failing`
    exists."""
    built = folder / "fail_fsync.so"
    found = compiler()
    assert found is not None
    command = [found, "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=BUILD_S)
    return {"LD_PRELOAD": str(built), FLAG: str(folder / "failing")}
