"""What the guide shows, runs: every page is a script of its Python blocks, in an interpreter of its own, as a reader
would run it. Line numbers in a traceback are those of the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import allstop
from allstop.actors.errors import RefusalCode

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs" / "guide").glob("[a-z]*.md"), *(ROOT / "docs").glob("from-*.md")])
SOURCES = Path(allstop.__path__[0]).parent
PAGE_S = 60.0  # pages take a second; the machine may be busy
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def script(page: str) -> str:
    """The Python blocks of a page, each at its own line."""
    lines: list[str] = []
    for block in BLOCK.finditer(page):
        above = page.count("\n", 0, block.start(1))
        lines += [""] * (above - len(lines)) + block[1].splitlines()
    return "\n".join(lines) + "\n"


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / f"{page.stem.replace('-', '_')}.py"
    path.write_text(script(page.read_text()))
    return subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=PAGE_S,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    assert script(page.read_text()).strip(), f"{page} shows no Python"
    ended = run(page, tmp_path)
    assert ended.returncode == 0, f"{page}:\n{ended.stdout}{ended.stderr}"


def test_a_page_that_does_not_hold_is_found_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "wrong-page.md"
    page.write_text("# Sums\n\n```python\ntwo = 1 + 1\n```\n\nSo:\n\n```python\nassert two == 3\n```\n")
    ended = run(page, tmp_path)
    assert ended.returncode == 1
    assert "line 10" in ended.stderr
    assert "assert two == 3" in ended.stderr


def test_the_page_on_refusals_names_every_code() -> None:
    page = (ROOT / "docs" / "guide" / "refusals.md").read_text()
    assert [code for code in RefusalCode if f"`{code}`" not in page] == []
