"""The compiled module: built here into a folder of its own, found, refused when it is not of these sources, and run
through the suites of the runtime. Without a compiler what needs a build is skipped and says so."""

import ast
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.runtime import compiled
from allstop.supervisors.cli import compile as compiling

ROOT = Path(__file__).resolve().parents[2]
SUITES_S = 180.0  # they take about 30 s on an idle machine
# What looks at how messages travel, except what waits for real time or starts processes.
SUITES = (
    "tests/runtime/test_hot_functions.py", "tests/runtime/test_life.py", "tests/runtime/test_substrate.py",
    "tests/runtime/test_mailbox.py", "tests/runtime/test_fairness.py", "tests/runtime/test_races.py",
    "tests/runtime/test_context.py", "tests/runtime/test_dead_letters.py", "tests/runtime/test_inspection.py",
    "tests/runtime/test_linking.py", "tests/runtime/test_stash.py", "tests/runtime/test_watchdog.py",
    "tests/runtime/test_crash_reports.py", "tests/runtime/test_leftovers.py",
    "tests/runtime/test_state_machine.py", "tests/supervisors/test_supervisor.py",
    "tests/supervisors/test_dynamic.py", "tests/supervisors/test_task_supervisor.py",
    "tests/otp/test_sup_restart.py", "tests/otp/test_sup_stop.py", "tests/otp/test_sup_termination.py",
    "tests/otp/test_sup_start.py", "tests/otp/test_sup_significant.py", "tests/otp/test_sup_admin.py",
    "tests/otp/test_gen_server.py", "tests/otp/test_gen_statem.py", "tests/otp/test_gen_event.py",
    "tests/otp/test_dynamic_supervisor.py", "tests/otp/test_akka.py",
)  # fmt: skip

LACK = compiling.missing()
needs_a_compiler = pytest.mark.skipif(LACK is not None, reason=f"pure Python only on this machine: {LACK}")


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """With the packages and these folders on the path, and nothing said about which code is to run."""
    path = os.pathsep.join([str(ROOT / "src"), *map(str, folders)])
    kept = {key: value for key, value in os.environ.items() if key != compiled.PURE}
    return kept | {"PYTHONPATH": path} | more


def python(program: str, environ: dict[str, str]) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


WHICH = (
    "from allstop.actors.runtime import compiled, Ref\n"
    "print(compiled.in_use, compiled.refused, type(Ref.tell).__name__, sep='|')\n"
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiling.build(tmp_path_factory.mktemp("compiled"))


# -- with a compiler
@needs_a_compiler
def test_a_build_is_found_and_used(build: Path) -> None:
    assert python(WHICH, environment(build.parent)) == f"{build}|None|method_descriptor"


@needs_a_compiler
def test_a_build_is_left_alone_if_the_environment_says_so(build: Path) -> None:
    assert python(WHICH, environment(build.parent, ALLSTOP_PURE="1")) == "None|None|function"


@needs_a_compiler
def test_a_build_of_other_sources_is_refused_and_named(build: Path, tmp_path: Path) -> None:
    stale = tmp_path / build.name
    ours = compiled.sources().encode()
    assert build.read_bytes().count(ours) >= 1
    stale.write_bytes(build.read_bytes().replace(ours, ours[::-1]))
    in_use, refused, kind = python(WHICH, environment(tmp_path)).split("|")
    assert (in_use, kind) == ("None", "function")
    assert refused.startswith(f"{stale}: it was built from other sources")
    assert str(ROOT / "src") in refused or str(ROOT / "actors") in refused


def test_a_file_that_is_no_module_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / f"{compiled.MODULE}{compiling.suffix()}").write_text("no code\n")
    in_use, refused, kind = python(WHICH, environment(tmp_path)).split("|")
    assert (in_use, kind) == ("None", "function")
    assert compiled.MODULE in refused


def test_a_module_of_that_name_from_elsewhere_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / f"{compiled.MODULE}.py").write_text("")
    in_use, refused, kind = python(WHICH, environment(tmp_path)).split("|")
    assert (in_use, kind) == ("None", "function")
    assert refused.startswith(str(tmp_path))


@needs_a_compiler
def test_the_doctor_names_the_build_in_use(build: Path, tmp_path: Path) -> None:
    program = (
        f"from allstop.supervisors.cli import main\nmain(['doctor', '--state-dir', {str(tmp_path)!r}])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(build.parent),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert f"runtime: compiled: {build}" in ran.stdout


@needs_a_compiler
@pytest.mark.slow
@pytest.mark.timeout(SUITES_S + 30)
def test_the_suites_of_the_runtime_hold_with_the_compiled_module(build: Path) -> None:
    environ = environment(build.parent)
    assert python(WHICH, environ).startswith(str(build))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *SUITES],
        env=environ, cwd=ROOT, capture_output=True, text=True, timeout=SUITES_S,
    )  # fmt: skip
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-5000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 500


@needs_a_compiler
def test_a_running_process_keeps_the_build_that_is_replaced(build: Path) -> None:
    before = build.stat().st_ino
    assert compiling.build(build.parent) == build
    assert build.stat().st_ino != before
    assert [path.name for path in build.parent.iterdir()] == [build.name]


@needs_a_compiler
def test_classes_that_it_was_not_written_for_are_refused(build: Path) -> None:
    program = (
        "import allstop_hot\n"
        "from collections import deque\n"
        "class Bare: pass\n"
        "class Odd: __slots__ = ('_cell',)\n"
        "for ref in Bare, Odd:\n"
        "    try:\n"
        "        allstop_hot.bind(ref, Bare, Bare, deque, frozenset(), None)\n"
        "    except (AttributeError, TypeError) as error:\n"
        "        print(type(error).__name__)\n"
    )
    assert python(program, environment(build.parent, ALLSTOP_PURE="1")).split() == ["AttributeError"] * 2


# -- without one
def test_without_a_compiler_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BadInput, match="there is no C compiler no-such-compiler"):
        compiling.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_headers_it_is_said_where_they_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(compiling.sysconfig, "get_path", lambda *_names: str(tmp_path))  # pyright: ignore
    with pytest.raises(
        BadInput, match=f"Python's headers are not installed: there is no {tmp_path}/Python.h"
    ):
        compiling.build(tmp_path)


# -- the two sources
def code_of(module: str, *names: str) -> str:
    """A function's syntax, without comments, types and docstrings: what it does."""
    tree: ast.AST = ast.parse((ROOT / "actors/runtime" / module).read_text())
    for name in names:
        tree = next(node for node in ast.walk(tree) if getattr(node, "name", None) == name)
    assert isinstance(tree, ast.FunctionDef)
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    plain = [node for node in body if not isinstance(node, ast.AnnAssign) or node.value is not None]
    return sha256("\n".join(map(ast.unparse, plain)).encode()).hexdigest()[:12]


def test_the_c_source_was_last_compared_with_the_functions_as_they_are() -> None:
    """Whoever changes one of them changes hot.c with it, or finds that nothing is to be changed there, and then writes
    the new mark into it."""
    marks = dict(re.findall(r"(\S+) as of ([0-9a-f]{12})", compiled.SOURCE.read_text()))
    assert marks == {
        "Ref.tell": code_of("ref.py", "Ref", "tell"),
        "Scheduler._turn": code_of("scheduler.py", "Scheduler", "_turn"),
    }
