"""`make` on a bare machine says what is missing, in one line."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "ensure_venv"

PYTHON_WITHOUT_ENSUREPIP = """#!/bin/sh
case "$2" in
  *ensurepip*) exit 1 ;;
  *version_info*%d.%d*|*'%d.%d'*) echo 3.11 ;;
  *) exec {real} "$@" ;;
esac
"""


def bin_with(tmp_path: Path, **programs: str) -> dict[str, str]:
    """An environment whose first programs are these scripts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "PYTHON": str(folder / "python3")}


def run(environ: dict[str, str], venv: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", str(SCRIPT), str(venv)], env=environ, capture_output=True, text=True, timeout=60
    )


def test_without_ensurepip_a_user_is_told_the_one_line_and_nothing_is_made(tmp_path: Path) -> None:
    fake = PYTHON_WITHOUT_ENSUREPIP.replace("{real}", "/usr/bin/python3")
    environ = bin_with(tmp_path, python3=fake, id="#!/bin/sh\necho 1000\n")
    done = run(environ, tmp_path / "venv")
    assert done.returncode == 2
    assert "sudo sh -c 'apt-get update && apt-get install -y python3" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_without_ensurepip_root_runs_the_line(tmp_path: Path) -> None:
    fake = PYTHON_WITHOUT_ENSUREPIP.replace("{real}", "/usr/bin/python3")
    apt = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
    environ = bin_with(tmp_path, python3=fake, id="#!/bin/sh\necho 0\n", apt_get=apt)
    run(environ, tmp_path / "venv")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "update"
    assert asked[1].startswith("install -y python3")


def test_an_old_python_is_refused_with_its_version(tmp_path: Path) -> None:
    old = '#!/bin/sh\ncase "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac\n'
    environ = bin_with(tmp_path, python3=old)
    done = run(environ, tmp_path / "venv")
    assert done.returncode == 2
    assert "needs Python 3.11 or newer, found Python 3.9.2" in done.stderr


@pytest.mark.parametrize("target", ["demo", "test", "check", "compiled", "bench", "soak"])
def test_every_command_of_the_readme_sets_itself_up_first(target: str) -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert f"{target}: $(READY)" in lines
