from pathlib import Path

import pytest
from tests.benchmarks import harness
from tests.benchmarks.harness import Python, Workload


def one() -> float:
    return 1.0


def two() -> float:
    return 2.0


def side(name: str, **more: tuple[str, ...]) -> Python:
    return Python(f"tests.benchmarks.test_harness:{name}", **more)


@pytest.mark.parametrize(("more_is_better", "ratio"), [(True, 2.0), (False, 0.5)])
def test_a_ratio_above_one_means_that_we_are_better(more_is_better: bool, ratio: float) -> None:
    workload = Workload("w", "u", side("two"), {"peer": side("one")}, more_is_better=more_is_better)
    (row,) = harness.measure(workload, rounds=1)
    assert row.as_json() == {
        "workload": "w",
        "peer": "peer",
        "unit": "u",
        "ours": 2.0,
        "theirs": 1.0,
        "ratio": ratio,
    }


def test_a_peer_that_is_not_installed_is_named_as_absent() -> None:
    workload = Workload("w", "u", side("two"), {"peer": side("one", needs=("no_such_module",))})
    (row,) = harness.measure(workload, rounds=1)
    assert (row.theirs, row.ratio, row.note) == (None, None, "absent: no_such_module is not installed")


def test_every_workload_names_functions_that_exist() -> None:
    erlang = (Path(harness.HERE) / "erl" / "bench.erl").read_text()
    for workload in harness.workloads():
        for peer in (workload.ours, *workload.peers.values()):
            if isinstance(peer, harness.Beam):
                assert f"\n{peer.function}() ->" in erlang
            elif peer.missing() is None:
                module, name = peer.function.split(":")
                assert callable(getattr(__import__(module, fromlist=[name]), name))
