"""`allstop compile`: builds the compiled module of the two hot functions, for those who want it."""

import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import click

from allstop.actors.errors import BadInput, Problem
from allstop.actors.runtime import compiled

BUILD_TIMEOUT_S = 120.0  # it takes about two seconds


@click.command()
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Another folder than this Python's own; it must be on PYTHONPATH to be found.",
)
def command(into: Path | None) -> int:
    """Build Ref.tell and the run loop in C, for this Python: messages then cost about half.

    Needs a C compiler and Python's headers. Nothing else needs it: without it the same runs as Python. A build is for
    the sources it was made from; after an upgrade build again. ALLSTOP_PURE=1 leaves it alone.
    """
    click.echo(f"built {build(into or Path(sysconfig.get_path('platlib')))}")
    return 0


def build(into: Path) -> Path:
    """Builds the module into a folder and gives its file. Raises BadInput with what is missing, or what failed."""
    if (lack := missing()) is not None:
        raise BadInput(Problem(f"cannot compile: {lack}"))
    into.mkdir(parents=True, exist_ok=True)
    target = into / f"{compiled.MODULE}{suffix()}"
    # Beside it and then in its place: a process may have the old file in its memory.
    with tempfile.TemporaryDirectory(dir=into, prefix=".allstop-build-") as room:
        made = Path(room) / target.name
        try:
            done = subprocess.run(
                [
                    *_compiler(), "-O2", "-fwrapv", "-fPIC", "-Wall", "-Werror", f'-DSOURCES="{compiled.sources()}"',
                    f"-I{sysconfig.get_path('include')}", str(compiled.SOURCE), "-o", str(made),
                ],
                capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise BadInput(Problem(f"the compiler took more than {BUILD_TIMEOUT_S:.0f} s")) from None
        if done.returncode != 0:
            raise BadInput(Problem(f"{_compiler()[0]} ended with {done.returncode}: {done.stderr.strip()}"))
        os.replace(made, target)
    return target


def suffix() -> str:
    """How the name of a module ends that was built for this Python."""
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def missing() -> str | None:
    """What this machine lacks for a build, or None."""
    compiler = _compiler()
    if not compiler or shutil.which(compiler[0]) is None:
        return f"there is no C compiler {' '.join(compiler[:1])}; install one, or name yours in CC"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return None if headers.is_file() else f"Python's headers are not installed: there is no {headers}"


def _compiler() -> list[str]:
    """As extension modules of this Python are linked; the compiler itself may be named in CC."""
    usual = shlex.split(str(sysconfig.get_config_var("LDSHARED") or ""))
    own = shlex.split(os.environ.get("CC", ""))
    return [*own, *usual[1:]] if own else usual
