"""Every side of every workload at a thousandth of the work: it runs, and it counts right."""

import gc
import math
import subprocess
import sys

import pytest
from tests.benchmarks import harness, install, measuring, peers
from tests.benchmarks.harness import BEAM, OURS, RAW, Beam, Interpreter, Python

SMALL = "0.001"
OWN = {
    f"{workload.name}, {name}": (workload, side)
    for workload in harness.workloads()
    for name, side in workload.sides().items()
    if isinstance(side, Python) and side.interpreter is Interpreter.OWN
}
SLOW = "book, ccxt"  # takes seconds to import


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(measuring.SCALE, SMALL)


@pytest.mark.parametrize("name", [name for name in OWN if not name.startswith(SLOW)])
def test_a_side_runs_counts_right_and_gives_what_its_workload_measures(name: str) -> None:
    workload, side = OWN[name]
    silenced = measuring.logging.root.manager.disable
    try:
        figures = harness.run_side(side.function)
    finally:
        measuring.logging.disable(silenced)
        gc.unfreeze()
    measures = {measure.name for measure in workload.figures()}
    assert set(figures) <= measures
    if name.endswith(OURS):
        assert set(figures) == measures
    else:
        assert figures
    assert all(math.isfinite(value) for value in figures.values())


ON_BEAM = [workload for workload in harness.workloads() if isinstance(workload.peers.get(BEAM), Beam)]


@pytest.mark.parametrize("workload", ON_BEAM, ids=lambda workload: workload.name)
def test_a_side_of_beam_runs_where_erlang_is_installed(workload: harness.Workload) -> None:
    side = workload.peers[BEAM]
    if why := side.missing():
        pytest.skip(why)
    harness.compile_beam()
    figures = harness.run_apart(side, float(SMALL))
    assert figures
    assert set(figures) <= {measure.name for measure in workload.figures()}
    assert all(math.isfinite(value) for value in figures.values())


def test_the_share_of_the_work_comes_from_outside_and_is_never_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert measuring.amount(1_000_000) == 1000
    assert measuring.amount(20) == 10
    assert measuring.amount(20, at_least=1) == 1
    monkeypatch.delenv(measuring.SCALE)
    assert measuring.amount(1_000_000) == 1_000_000


def test_a_peer_whose_environment_is_not_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "ROOT", harness.ROOT / "nowhere")
    monkeypatch.setattr(harness, "_found", {})
    assert Python("m:f", ("x",), Interpreter.PEERS).missing() == "not installed (make bench-peers)"


def test_every_peer_has_a_side_for_each_workload_it_is_said_to_have() -> None:
    for peer in peers.PEERS:
        source = (harness.HERE / "peers" / f"{peer.module}.py").read_text()
        assert all(f"\ndef {workload}(" in source for workload in peer.workloads), peer.name


def test_every_peer_is_pinned_and_no_file_names_a_registry() -> None:
    for file in sorted((harness.HERE / "peers").glob("requirements*.txt")):
        asked = install.required(file.read_text())
        assert asked
        assert all("==" in line and "://" not in line for line in asked)


def test_a_name_with_nothing_behind_it_is_no_newer_python() -> None:
    assert install.is_newer("false") is False


def test_the_command_line_lists_the_workloads_and_refuses_one_it_does_not_know() -> None:
    command = [sys.executable, "-m", "tests.benchmarks"]
    listed = subprocess.run(
        [*command, "--list"], cwd=harness.ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(workload.name in listed.stdout for workload in harness.workloads())
    refused = subprocess.run(
        [*command, "--only", "nonsense"],
        cwd=harness.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "no workload nonsense" in refused.stderr


def test_the_limits_of_python_are_measured_for_what_floors_refer_to_them() -> None:
    with_limits = {workload.name for workload in harness.workloads() if RAW in workload.peers}
    assert {"tell", "fan-out", "ring", "thread-tell", "pipeline", "async-tell", "queued-call"} <= with_limits
