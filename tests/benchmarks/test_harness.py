import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.benchmarks import harness, machine, measuring, table
from tests.benchmarks.harness import (
    BEAM,
    OURS,
    PYKKA,
    RAW,
    Beam,
    Interpreter,
    Measure,
    Measurement,
    Python,
    Row,
    SideFailed,
    Workload,
)
from tests.benchmarks.targets import BEST, TARGETS, Target, Verdict

HERE = "tests.benchmarks.test_harness"


def one() -> float:
    return 1.0


def two() -> float:
    return 2.0


def both() -> dict[str, float]:
    return {"rate": 8.0, "p50": 3.0}


def only_rate() -> dict[str, float]:
    return {"rate": 4.0}


def loses() -> float:
    measuring.expect("handled", 999, 1000)
    return 1.0


def side(name: str, needs: tuple[str, ...] = ()) -> Python:
    return Python(f"{HERE}:{name}", needs)


def measured(workload: Workload, rounds: int = 1) -> list[Row]:
    measurement = Measurement([workload])
    for _ in range(rounds):
        measurement.round(lambda _name: None)
    return list(measurement.rows())


def row(
    workload: str, peer: str, ratio: float | None, *, measure: str = "", ours: float = 1.0, note: str = ""
) -> Row:
    theirs = None if ratio is None else ours / ratio
    return Row(workload, measure, "u", peer, ours, theirs, ratio, ratio, ratio, note)


@pytest.mark.parametrize(("more_is_better", "ratio"), [(True, 2.0), (False, 0.5)])
def test_a_ratio_above_one_means_that_we_are_better(more_is_better: bool, ratio: float) -> None:
    workload = Workload("w", side("two"), {"peer": side("one")}, "u", more_is_better)
    (found,) = measured(workload)
    assert (found.ours, found.theirs, found.ratio, found.lowest, found.highest) == (
        2.0,
        1.0,
        ratio,
        ratio,
        ratio,
    )


def test_a_workload_may_have_several_measures_and_a_peer_only_some_of_them() -> None:
    measures = (Measure("rate", "m/s"), Measure("p50", "us", more_is_better=False))
    rows = measured(Workload("w", side("both"), {"peer": side("only_rate")}, measures=measures))
    assert [(found.measure, found.ours, found.peer, found.ratio) for found in rows] == [
        ("rate", 8.0, "peer", 2.0),
        ("p50", 3.0, "", None),
    ]


def test_a_peer_that_is_not_installed_is_named_as_absent_with_what_it_misses() -> None:
    workload = Workload("w", side("two"), {"peer": side("one", needs=("no_such_module",))}, "u")
    rows = measured(workload)
    assert (rows[0].theirs, rows[0].ratio) == (None, None)
    assert table.absent(rows) == ["peer: no_such_module is not installed (w)"]


def test_a_side_that_loses_a_message_has_no_figures_and_stops_the_run() -> None:
    measurement = Measurement([Workload("w", side("one"), {"peer": side("loses")}, "u")])
    with pytest.raises(SideFailed, match="handled: 999 instead of 1000"):
        measurement.round(lambda _name: None)


def test_the_median_is_of_the_ratios_of_one_round_each() -> None:
    workload = Workload("w", side("one"), {"peer": side("two")}, "u")
    measurement = Measurement([workload])
    measurement.values["w", OURS] = [{"": 10.0}, {"": 20.0}, {"": 40.0}]
    measurement.values["w", "peer"] = [{"": 5.0}, {"": 5.0}, {"": 40.0}]
    (found,) = measurement.rows()
    assert (found.ratio, found.lowest, found.highest) == (2.0, 1.0, 4.0)
    assert (found.ours, found.theirs) == (20.0, 5.0)


def test_every_other_round_runs_in_the_opposite_order(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def run_apart(which: harness.Side, scale: float) -> dict[str, float]:
        order.append(which.function)
        return {"": scale}

    monkeypatch.setattr(harness, "run_apart", run_apart)
    measured(Workload("w", Python("a"), {"b": Python("b"), "c": Python("c")}, "u"), rounds=2)
    assert order == ["a", "b", "c", "c", "b", "a"]


def test_the_slices_of_a_round_run_in_turned_order_and_only_those_that_are_compared_closely_have_more_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    given = iter([10.0, 5.0, 1.0, 4.0, 20.0])

    def run_apart(which: harness.Side, scale: float) -> dict[str, float]:
        order.append(which.function)
        return {"": next(given)}

    monkeypatch.setattr(harness, "run_apart", run_apart)
    raw, peer = measured(Workload("w", Python("a"), {RAW: Python("b"), "c": Python("c")}, "u", slices=2))
    assert order == ["a", "b", "c", "b", "a"]
    assert (raw.ratio, raw.lowest, raw.highest) == (3.5, 2.0, 5.0)
    assert (peer.ratio, peer.lowest, peer.highest) == (10.0, 10.0, 10.0)
    assert (raw.ours, raw.least, raw.most) == (15.0, 10.0, 20.0)


def test_our_side_runs_without_the_compiled_module_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "mine")
    plain = Workload("w", Python("a"), {"b": Python("b")}, "u")
    with_it = harness.with_compiled(plain)
    assert plain.ours.environment() == {"ALLSTOP_PURE": "1"}
    assert with_it.ours.environment() == {
        "ALLSTOP_PURE": "0",
        "PYTHONPATH": f"mine:{harness.COMPILED_FILES}",
    }
    assert with_it.ours.command()[-3:] == ["--side", "a", "--compiled"]
    assert list(with_it.sides()) == [OURS, harness.PURE, "b"]
    assert with_it.peers[harness.PURE] == plain.ours


def test_a_side_that_was_to_run_compiled_and_did_not_has_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    from allstop.actors.runtime import compiled

    monkeypatch.setattr(compiled, "in_use", None)
    monkeypatch.setattr(compiled, "refused", "built for others")
    side = "tests.benchmarks.raw:tell"
    assert harness.run_side(side)[""] > 0
    with pytest.raises(SideFailed, match="built for others"):
        harness.run_side(side, with_it=True)


def test_the_compiled_run_has_a_place_of_its_own_in_the_document() -> None:
    document = f"{table.START}\npure\n{table.END}\n{table.START_COMPILED}\nold\n{table.END}\n"
    written = table.replaced(document, "new", table.START_COMPILED)
    assert written == f"{table.START}\npure\n{table.END}\n{table.START_COMPILED}\n\nnew\n\n{table.END}\n"


def test_the_figures_are_the_last_line_that_says_so() -> None:
    assert harness.parsed('noise\nFIGURES {"": 1}\nFIGURES {"p50": 2.5}\nmore noise') == {"p50": 2.5}
    assert harness.parsed("noise") is None


FASTER = Target("X", "faster", "w", "", PYKKA, 1.0, 2.0)
FREE = Target("X", "no floor", "w", "", PYKKA, None, 2.0)
SMALL = Target("X", "small", "w", "", "", 1200, 500)


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (FASTER, 2.0, Verdict.GOAL),
        (FASTER, 1.99, Verdict.FLOOR),
        (FASTER, 1.0, Verdict.FLOOR),
        (FASTER, 0.99, Verdict.BELOW),
        (FASTER, None, Verdict.ABSENT),
        (FREE, 0.1, Verdict.SHORT),
        (SMALL, 500, Verdict.GOAL),
        (SMALL, 501, Verdict.FLOOR),
        (SMALL, 1201, Verdict.BELOW),
    ],
)
def test_the_verdict_is_that_of_floor_and_goal(target: Target, value: float | None, verdict: Verdict) -> None:
    assert target.verdict(value) is verdict


@pytest.mark.parametrize(
    ("middle", "least", "verdict"),
    [
        (120.0, 40.0, Verdict.GOAL),
        (900.0, 40.0, Verdict.FLOOR),  # the quietest is not the goal's business
        (900.0, 501.0, Verdict.BELOW),
        (501.0, None, Verdict.BELOW),
    ],
)
def test_a_floor_of_the_quietest_slice_is_judged_by_the_least_of_our_values_and_the_goal_by_their_median(
    middle: float, least: float | None, verdict: Verdict
) -> None:
    late = Target("X", "late", "w", "", "", 500, 120, quietest=True)
    (line,) = table.judged([Row("w", "", "us", "", middle, least=least, most=middle)], (late,))
    assert line.verdict is verdict
    assert line.cells[5] == ("-" if least is None else f"[{table.number(least)}..{table.number(middle)}]")


def test_only_a_line_below_its_floor_is_broken() -> None:
    lines = table.judged([row("w", PYKKA, 0.5)], (FASTER, FREE, SMALL))
    assert [line.target for line in table.broken(lines)] == [FASTER]


def test_the_best_peer_is_the_python_peer_that_does_best_against_us() -> None:
    target = Target("X", "best", "w", "", BEST, 4, 8)
    rows = [row("w", RAW, 0.5), row("w", BEAM, 1), row("w", PYKKA, 40), row("w", "a", 9), row("w", "b", 7)]
    (line,) = table.judged(rows, (target,))
    assert (line.row and line.row.peer, line.verdict) == ("b", Verdict.FLOOR)
    assert line.cells[3] == "b"


def test_an_absolute_target_judges_our_own_value_whoever_else_was_measured() -> None:
    (line,) = table.judged([row("w", BEAM, 5, ours=900.0)], (SMALL,))
    assert line.verdict is Verdict.FLOOR
    assert line.cells[2:] == ("900 u", "-", "-", "-", "<= 1,200", "<= 500", "floor held")


def test_a_target_whose_peer_was_not_measured_is_absent_and_breaks_nothing() -> None:
    (line,) = table.judged([row("w", PYKKA, None, note="absent: not installed")], (FASTER,))
    assert line.verdict is Verdict.ABSENT
    assert not table.broken([line])


def test_the_line_about_beam_says_where_we_are_behind() -> None:
    rows = [row("tell", BEAM, 1.2), row("spawn", BEAM, 0.5, measure="stop"), row("tell", PYKKA, 0.1)]
    assert (
        table.beam(rows)
        == "Against BEAM on one scheduler, ahead or level: tell 1.20.\nBehind: spawn stop 0.50."
    )


def test_what_no_target_speaks_of_is_listed_after_them() -> None:
    rows = [row("w", PYKKA, 3.0), row("other", "ccxt", 2.0)]
    lines = table.judged(rows, (FASTER,))
    assert table.others(rows, lines) == [rows[1]]


def test_a_caveat_of_a_peer_stands_beside_its_figures_once() -> None:
    rows = [
        row("w", "domo", 2.0, note="loses messages"),
        row("w", "domo", 3.0, measure="p50", note="loses messages"),
        row("v", "actio", 2.0, note="has no call"),
        row("w", "actio", 2.0, note="has no call"),
        row("v", "thespian", None, note="absent: not installed"),
    ]
    assert table.caveats(rows) == ["actio: has no call", "domo in w: loses messages"]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table.text(("a", "b"), [("long", "x")]) == "a     b\nlong  x"
    assert table.markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_libraries_rows_are_those_of_peers_that_are_installed_for_it_and_ran() -> None:
    rows = [
        row("w", PYKKA, 2.0), row("w", BEAM, 2.0), row("w", RAW, 2.0), row("w", "actio", 3.0),
        row("w", "xoscar", None, note="absent: not installed"),
    ]  # fmt: skip
    assert table.libraries(rows) == [rows[3]]


def test_the_figures_of_a_document_are_replaced_and_nothing_else() -> None:
    document = f"before\n{table.START}\nold\n{table.END}\nafter"
    assert table.replaced(document, "new") == f"before\n{table.START}\n\nnew\n\n{table.END}\nafter"
    with pytest.raises(ValueError, match="no place for figures"):
        table.replaced("nothing", "new")


def test_a_row_survives_being_written_and_read() -> None:
    written = json.dumps(row("w", "peer", 2.0, note="n").as_json())
    assert Row(**json.loads(written)) == row("w", "peer", 2.0, note="n")


def test_the_processor_is_named() -> None:
    assert machine.cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\nflags: a") == "AMD EPYC"


@pytest.mark.parametrize(("load", "busy"), [(0.4, False), (5.0, True)])
def test_a_machine_with_no_core_left_is_busy(
    monkeypatch: pytest.MonkeyPatch, load: float, busy: bool
) -> None:
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0.0, 0.0))

    def two_cores(_pid: int) -> set[int]:
        return {0, 1}

    monkeypatch.setattr(machine.os, "sched_getaffinity", two_cores)
    assert machine.busy() is busy


def test_beam_is_left_out_of_a_run_by_processor_time_and_peers_where_nobody_asked_for_them() -> None:
    apart = Python("m:f", interpreter=Interpreter.OWN)
    workload = Workload("w", side("one"), {BEAM: Beam("tell"), "peer": apart}, "u")
    measurement = Measurement([workload], beam=False)
    assert set(measurement.values) == {("w", OURS), ("w", "peer")}


def run_of(rows: list[Row], scale: float = 1.0, clock: str = "wall") -> str:
    run = {
        "machine": {"cpu": "one"},
        "rounds": 7,
        "scale": scale,
        "clock": clock,
        "rows": [r.as_json() for r in rows],
    }
    return json.dumps(run)


@pytest.mark.parametrize(
    ("ratio", "scale", "clock", "code"),
    [(0.9, 1.0, "wall", 0), (0.1, 1.0, "wall", 1), (0.1, 0.2, "wall", 0), (0.1, 1.0, "cpu", 0)],
)
def test_a_broken_floor_is_an_exit_code_and_a_line_but_not_in_a_quick_run(
    ratio: float, scale: float, clock: str, code: int, tmp_path: Path
) -> None:
    file = tmp_path / "bench.json"
    file.write_text(run_of([row("tell", RAW, ratio)], scale, clock))
    command = [sys.executable, "-m", "tests.benchmarks", "--read", str(file)]
    done = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert ("BELOW FLOOR: T1 tell" in done.stderr) is (ratio < 0.33)
    assert f"{ratio:.2f} [{ratio:.2f}..{ratio:.2f}]" in done.stdout


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (0.0, 1), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert measuring.percentile(range(1, 101), share) == value


def test_every_workload_names_functions_that_exist() -> None:
    erlang = (Path(harness.HERE) / "erl" / "bench.erl").read_text()
    for workload in harness.workloads():
        for peer in workload.sides().values():
            if isinstance(peer, Beam):
                assert f'run("{peer.function}")' in erlang
            elif peer.interpreter is Interpreter.OWN and peer.missing() is None:
                module, name = peer.function.split(":")
                assert callable(getattr(__import__(module, fromlist=[name]), name))
            else:
                source = (harness.ROOT / peer.function.split(":")[0].replace(".", "/")).with_suffix(".py")
                assert f"def {peer.function.split(':')[1]}(" in source.read_text()


def test_every_target_names_a_workload_one_of_its_measures_and_a_peer_of_it() -> None:
    known = {workload.name: workload for workload in harness.workloads()}
    for target in TARGETS:
        workload = known[target.workload]
        assert target.measure in [measure.name for measure in workload.figures()]
        assert target.absolute or target.peer == BEST or target.peer in workload.peers
        assert (
            target.floor is None
            or not target.reached(target.floor, target.goal)
            or target.floor == target.goal
        )


def test_names_of_workloads_are_told_apart() -> None:
    names = [workload.name for workload in harness.workloads()]
    assert len(set(names)) == len(names)
