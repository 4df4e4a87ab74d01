"""The wheel, the sdist and the editable install all hold every file, under the import names."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def source_files() -> set[str]:
    found: set[str] = set()
    for room in ("actors", "supervisors"):
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(str(path.relative_to(ROOT)))
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made from that sdist."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_sdist_holds_every_source_file(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert source_files() - names == set()


@pytest.mark.slow
def test_the_wheel_from_the_sdist_holds_every_source_file_under_allstop(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    assert {f"allstop/{name}" for name in source_files()} - names == set()
    assert not any(name.startswith(("examples/", "allstop/examples/")) for name in names)
    assert not any(name.startswith(("actors/", "supervisors/", "src/", "tests/")) for name in names)


@pytest.mark.slow
def test_the_wheel_imports_and_its_command_runs_away_from_the_checkout(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if not p.endswith('/src')]; sys.path.insert(0, 'site')\n"
        "import allstop.actors, allstop.supervisors, allstop.supervisors.cli\n"
        "assert 'site' in allstop.actors.__file__, allstop.actors.__file__\n"
        "from allstop.supervisors.cli import main\n"
        "main(['--help'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


@pytest.mark.slow
def test_the_installed_demo_finds_its_chaos_script_and_tells_its_options(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if not p.endswith('/src')]; sys.path.insert(0, 'site')\n"
        "from allstop.supervisors.chaos import load_script\n"
        "from allstop.supervisors.demo.run import chaos_script_path\n"
        "print(chaos_script_path().relative_to(sys.argv[1]))\n"
        "load_script(chaos_script_path())\n"
        "from allstop.supervisors.cli import main\n"
        "main(['demo', '--help'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path.resolve())], cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("site/allstop/supervisors/demo/chaos_demo.py\n")
    assert "--seed" in done.stdout
    packed = (tmp_path / "site/allstop/supervisors/demo/chaos_demo.py").read_bytes()
    assert packed == (ROOT / "examples" / "chaos_demo.py").read_bytes()


# What a user writes, in a directory that knows nothing of this repository.
USERS_TEST = """
def test_a_lost_session_comes_back_and_nothing_was_sent(world, venue, tree, chaos, advance):
    assert tree.accounts
    chaos.kill("/accounts/kraken.main/trading/session")
    assert 0 < advance.until_trading() < 30
    assert venue.orders() == []
"""


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment in which pip, without a network, installed the wheel. What allstop and its
    tests need is linked from the environment that runs this; of allstop itself nothing is."""
    place = tmp_path_factory.mktemp("installed")
    run = partial(subprocess.run, check=True, capture_output=True, timeout=120)
    run([sys.executable, "-m", "venv", "--without-pip", str(place)])
    (site,) = place.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if (
            not entry.name.startswith(("allstop", "_allstop", "_editable", "__editable", "pip"))
            and entry.suffix != ".pth"
        ):
            (site / entry.name).symlink_to(entry)
    python = place / "bin" / "python"
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--no-index",
            "--no-deps",
            "--no-cache-dir",
            str(built[1]),
        ]
    )
    return python


def in_a_folder_of_its_own(command: list[str | Path], folder: Path) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=100)


@pytest.mark.slow
def test_the_installed_wheel_registers_its_plugin_and_a_users_test_of_five_lines_passes(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "test_mine.py").write_text(USERS_TEST)
    done = in_a_folder_of_its_own(
        [installed, "-m", "pytest", "-v", "--trace-config", "-p", "no:cacheprovider"], tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    plugin = r"allstop\.supervisors\.simulation\.pytest_plugin *: (\S+)"
    found = re.search(plugin, done.stdout)
    assert found is not None, done.stdout
    assert Path(found[1]).is_relative_to(installed.parents[1]), (
        "the plugin of the checkout was found, not the installed one"
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["test_mine.py"]


@pytest.mark.slow
def test_the_installed_command_simulates(installed: Path, tmp_path: Path) -> None:
    asked = ["simulate", "--seeds", "1..2", "--jobs", "2", "--hours", "0.014", "--faults", "calm", "--json"]
    done = in_a_folder_of_its_own([installed.with_name("allstop"), *asked], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["failed"] == []
    assert list(tmp_path.iterdir()) == []


def test_the_editable_install_reads_the_folders_at_the_top() -> None:
    import allstop.actors
    import allstop.supervisors

    assert Path(allstop.actors.__file__).resolve() == ROOT / "actors" / "__init__.py"
    assert Path(allstop.supervisors.__file__).resolve() == ROOT / "supervisors" / "__init__.py"


@pytest.mark.parametrize("name", ["actors", "supervisors"])
def test_importing_a_folder_by_its_own_name_says_what_to_import(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert f"import allstop.{name}, not {name}" in done.stderr


def test_the_lock_file_names_no_registry_and_hashes_everything() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(pins) > 30
    assert all("==" in pin and pin.endswith("\\") for pin in pins)


def test_the_core_needs_only_five_packages() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {dependency.split(">")[0] for dependency in project["dependencies"]}
    assert names == {"pykka", "websockets", "httpx", "msgspec", "structlog"}
