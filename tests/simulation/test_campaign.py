"""Many seeds over several processes, and the command that runs them."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from allstop.actors.errors import BadInput
from allstop.supervisors.cli.group import invoke
from allstop.supervisors.config import Tree
from allstop.supervisors.simulation import campaign, failures
from allstop.supervisors.simulation.campaign import (
    Campaign,
    Progress,
    run_campaign,
    seeds_of,
    summed_up,
    tree_named,
)
from allstop.supervisors.simulation.failures import Interrupted, written
from allstop.supervisors.simulation.hand import shape_of
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.replay import read_replay, replay_of, write_replay
from allstop.supervisors.simulation.run import Failure, Outcome, simulate
from allstop.supervisors.simulation.trees import busy

SHORT_S = 52.0
# Those that were promised first, then three that say whether anything was tried at all.
KEYS = {"tree", "profile", "seeds", "failed", "virtual_s", "wall_s", "faults", "crashes", "crashed", "restarts", "halts", "digest"} | {
    "lives", "submitted", "executions",
}  # fmt: skip
FAILED_KEYS = {"seed", "oracle", "at_s", "file"} | {"why"}


def test_seeds_are_a_range_with_both_ends_or_one() -> None:
    assert list(seeds_of("3..5")) == [3, 4, 5]
    assert list(seeds_of("7")) == [7]
    for wrong in ("", "5..3", "a..b", "1..", "-1"):
        with pytest.raises(BadInput, match=r"write 1\.\.1000"):
            seeds_of(wrong)


def test_two_processes_and_one_give_the_same_digest_and_every_seed_runs_once() -> None:
    seen: list[int] = []
    alone = run_campaign("busy", range(1, 4), profile="calm", duration_s=SHORT_S, jobs=1)
    both = run_campaign(
        "busy", range(1, 4), profile="calm", duration_s=SHORT_S, jobs=2, on_outcome=lambda one: seen.append(one.seed)
    )  # fmt: skip
    assert sorted(seen) == [1, 2, 3]
    assert both.runs == 3
    assert both.digest == alone.digest
    assert both.virtual_s == alone.virtual_s >= 3 * (SHORT_S - 30)


def test_progress_tells_the_rate_and_what_is_left() -> None:
    progress = Progress(done=10, of=40, failed=1, virtual_s=1800.0, wall_s=6.0)
    assert progress.words == "10/40 seeds, 300 virtual s/s, 18 s left, 1 failed"


def test_the_command_prints_one_object_and_exits_by_what_held(capsys: pytest.CaptureFixture[str]) -> None:
    code = invoke(
        [
            "simulate",
            "--seeds",
            "1..2",
            "--faults",
            "none",
            "--hours",
            str(20 / 3600),
            "--jobs",
            "1",
            "--json",
        ]
    )
    told = json.loads(capsys.readouterr().out)
    assert set(told) == KEYS
    assert (code, told["failed"]) == (0, [])
    assert (told["tree"], told["profile"], told["seeds"]) == ("busy", "none", "1..2")


def test_a_trace_ends_with_its_digest_and_is_the_same_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", "--seed", "5", "--trace", "--faults", "none", "--hours", str(20 / 3600)]
    assert invoke(asked) == 0
    first = capsys.readouterr().out
    assert invoke(asked) == 0
    assert capsys.readouterr().out == first
    assert first.splitlines()[-1].startswith("digest ")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--seed", "1", "--seeds", "1..2"], "error: --seed: is one seed, and --seeds are many"),
        (["--trace"], "error: --trace: shows one run: name it with --seed"),
        (["--seeds", "5..1"], "--seeds: '5..1' ends before it begins"),
        (["--seeds", "-5..-1"], "--seeds: '-5..-1' begins below 0"),
        (["--seeds", "0..99999999"], "more than 10000000 seeds"),
        (["--seed", "-1"], "'--seed': -1 is not in the range"),
        (["--hours", "-1"], "'--hours': -1.0 is not in the range"),
        (["--faults", "tornado"], "no fault profile 'tornado'"),
        (
            ["--hours", "0.001"],
            "--hours: 0.001 (3.6 s) are too short: 5 s of faults and 45 s to recover are needed, so at least 0.0139",
        ),
        (["--hours", "nan"], "--hours: nan"),
        (["--hours", "inf"], "--hours: inf"),
        (
            ["--seed", "1", "--trace", "--json"],
            "--trace: a trace is lines, not one JSON object: leave --json away",
        ),
        (["nowhere.py"], "no such file"),
        (["--out", "/proc/here/below"], "--out: /proc/here: cannot be written"),
        *(
            (
                [name],
                f"no tree '{name}': there are busy, demo, quiet; your own is file.py:attribute or package.module:attribute",
            )
            for name in ("nowhere", "nowhere:tree", "./nowhere")
        ),
    ],
)
def test_wrong_input_is_named_and_nothing_is_run(
    asked: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["simulate", "--jobs", "1", *asked]) == 2
    assert says in capsys.readouterr().err


def test_a_users_own_tree_runs_at_the_addresses_and_keys_that_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from allstop.supervisors.config import accounts, data, halt_root, kraken, kraken_public\n"
        "tree = halt_root(accounts(kraken(account='main', pairs=['BTC/USD'])), data(kraken_public(['BTC/USD'])))\n"
    )
    code = invoke(
        ["simulate", str(file), "--seed", "1", "--faults", "none", "--hours", str(20 / 3600), "--json"]
    )
    assert (code, json.loads(capsys.readouterr().out)["failed"]) == (0, [])


def test_a_tree_that_places_no_order_is_said_to_have_tried_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "idle.py"
    tree.write_text("from allstop.supervisors.simulation.trees import bare\n\ntree = bare()\n")
    assert invoke(["simulate", str(tree), "--seed", "1", "--hours", "0.0145", "--faults", "none"]) == 0
    assert "no order was placed" in capsys.readouterr().out


def test_a_failed_seed_is_written_as_a_file_that_runs_again(tmp_path: Path) -> None:
    outcome = simulate(busy(), 3, duration_s=SHORT_S, profile="calm")
    broken = msgspec.structs.replace(outcome, failed=Failure(oracle="O1", at_s=1.0, why="for this test"))
    campaign = written(summed_up("busy", "calm", [3], {3: broken}, 1.0), tmp_path, SHORT_S, tries=0)
    assert campaign.failed[0].file == str(tmp_path / "calm-3.json")
    replay = read_replay(campaign.failed[0].file)
    again = simulate(tree_named(replay.tree), replay.seed, duration_s=replay.duration_s, plan=replay.plan)
    assert again.digest == outcome.digest


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Every run of a campaign comes to this: O1 did not hold."""
    outcome = simulate(busy(), 3, duration_s=SHORT_S, profile="calm")
    broken = msgspec.structs.replace(outcome, failed=Failure(oracle="O1", at_s=1.0, why="for this test"))

    def that_fails(_tree: Tree, seed: int, *, duration_s: float, profile: str) -> Outcome:
        assert (duration_s, profile) == (72.0, "calm")
        return msgspec.structs.replace(broken, seed=seed)

    monkeypatch.setattr(campaign, "simulate", that_fails)
    return broken


CALM = ["simulate", "busy", "--faults", "calm", "--hours", "0.02", "--jobs", "1"]


def test_an_out_that_cannot_be_written_is_named_before_anything_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert invoke([*CALM, "--seed", "3", "--out", str(tmp_path / "file" / "below")]) == 2
    assert f"--out: {tmp_path}/file/below: cannot be written: Not a directory" in capsys.readouterr().err


def test_an_out_in_which_nothing_came_to_be_written_is_not_made(tmp_path: Path) -> None:
    assert invoke([*CALM, "--seed", "3", "--out", str(tmp_path / "new" / "below")]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("failing")
def test_an_out_that_is_full_at_the_end_is_named_and_the_failures_are_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> Campaign:
        raise OSError(28, "No space left on device", "some.json")

    monkeypatch.setattr("allstop.supervisors.cli.simulate.written", full)
    assert invoke([*CALM, "--seed", "3", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "error: --out: some.json: cannot be written: No space left on device" in said.err
    assert "seed 3 FAILED O1 at 1.000 s: for this test" in said.err
    assert "FAILED seed 3: O1 at 1.000 s" in said.out
    assert "--faults calm --hours 0.02 --seed 3 --trace" in said.out


@pytest.mark.usefixtures("failing")
def test_a_failed_seed_of_the_report_has_these_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*CALM, "--seeds", "3..4", "--shrink", "0", "--json", "--out", str(tmp_path)]
    assert invoke(asked) == 1
    told = json.loads(capsys.readouterr().out)
    assert [set(one) for one in told["failed"]] == [FAILED_KEYS] * 2
    assert told["failed"][1]["file"] == str(tmp_path / "calm-4.json")


def test_the_page_on_simulation_tells_every_key_of_the_report() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()
    section = page.partition("## What it prints")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == KEYS | FAILED_KEYS


def test_ctrl_c_while_failures_are_made_smaller_leaves_them_all_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = simulate(busy(), 3, duration_s=SHORT_S)
    broken = msgspec.structs.replace(outcome, failed=Failure(oracle="O2", at_s=9.0, why="for this test"))
    tried: list[int] = []

    def interrupted(_tree: Tree, _seed: int, *, duration_s: float, plan: FaultPlan) -> Outcome:
        tried.append(len(plan.faults))
        if len(tried) == 2:
            raise KeyboardInterrupt
        return broken

    monkeypatch.setattr(failures, "simulate", interrupted)
    with pytest.raises(Interrupted) as cut:
        written(
            summed_up("busy", "hell", [3, 4], {3: broken, 4: msgspec.structs.replace(broken, seed=4)}, 1.0),
            tmp_path,
            180.0,
        )
    first, second = cut.value.campaign.failed
    assert len(tried) == 2
    assert len(read_replay(first.file).plan.faults) == tried[0] == first.faults
    shape = shape_of(busy(), ["rest", "public", "private"])
    assert read_replay(second.file).plan == make_plan(4, "hell", 180.0, shape)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A run that fell over O3 when it was written, and holds now."""
    replay = replay_of(make_plan(3, "calm", SHORT_S), tree="busy", oracle="O3", at_s=2.0, why="bare")
    return write_replay(tmp_path / "run.json", replay)


def test_replay_runs_what_is_in_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["simulate", "--replay", str(file)]) == 0
    said = capsys.readouterr()
    assert "every oracle held (when it was written, O3 did not)" in said.out
    assert said.err == ""


def test_the_report_of_a_replay_has_the_same_keys(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["simulate", "--json", "--replay", str(file)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == KEYS
    assert (told["tree"], told["profile"], told["seeds"], told["failed"]) == ("busy", "calm", "3", [])


def test_everything_else_beside_replay_is_refused_by_name(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [
        "quiet",
        "--seed",
        "1",
        "--seeds",
        "1..2",
        "--hours",
        "1",
        "--faults",
        "hell",
        "--jobs",
        "2",
        "--shrink",
        "3",
        "--out",
        "x",
    ]
    assert invoke(["simulate", "--replay", str(file), *others]) == 2
    refused = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert refused == ["TREE", "--seeds", "--seed", "--hours", "--faults", "--jobs", "--shrink", "--out"]


def test_what_a_trace_has_no_use_for_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["simulate", "--seed", "1", "--trace", "--jobs", "2", "--out", "x"]) == 2
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["--jobs", "--out"]


def test_a_file_of_another_version_is_run_and_said_to_be_of_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_replay(file, msgspec.structs.replace(read_replay(file), allstop="0.0.7"))
    assert invoke(["simulate", "--replay", str(file)]) == 0
    assert "note: written by allstop 0.0.7, and this is " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": 1', "is not JSON"),
        ('{"format": 2}', "is of format 2"),
        ('{"format": 1, "plan": 3}', "is not a run"),
    ],
)
def test_a_damaged_file_is_named(
    content: str, said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(content)
    assert invoke(["simulate", "--replay", str(file)]) == 2
    assert f"error: {file}: {said}" in capsys.readouterr().err


def test_a_failed_seed_is_shrunk_to_the_faults_that_the_same_oracle_minds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = simulate(busy(), 3, duration_s=SHORT_S)
    broken = msgspec.structs.replace(outcome, failed=Failure(oracle="O2", at_s=9.0, why="for this test"))
    shape = shape_of(busy(), ["rest", "public", "private"])
    minded = max(fault.kind for fault in make_plan(3, "hell", 180.0, shape).faults)
    tried: list[int] = []

    def engine_that_minds_one_kind(_tree: Tree, _seed: int, *, duration_s: float, plan: FaultPlan) -> Outcome:
        assert duration_s == plan.duration_s
        tried.append(len(plan.faults))
        if any(fault.kind == minded for fault in plan.faults):
            return broken
        raise RuntimeError("another trouble, which is not the one that is looked for")

    monkeypatch.setattr(failures, "simulate", engine_that_minds_one_kind)
    told: list[int] = []
    campaign = written(
        summed_up("busy", "hell", [3], {3: broken}, 1.0), tmp_path, 180.0,
        tries=40, on_try=lambda failed, now: told.append(len(now.plan.faults)),
    )  # fmt: skip
    (failed,) = campaign.failed
    replay = read_replay(failed.file)
    assert [fault.kind for fault in replay.plan.faults] == [minded]
    assert (failed.faults, told[-1], replay.oracle) == (1, 1, "O2")
    assert len(tried) <= 40
