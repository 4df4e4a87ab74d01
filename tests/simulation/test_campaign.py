"""Many seeds over several processes, and the command that runs them."""

import json
from pathlib import Path

import msgspec
import pytest

from allstop.actors.errors import BadInput
from allstop.supervisors.cli.group import invoke
from allstop.supervisors.config import Tree
from allstop.supervisors.simulation import campaign, failures
from allstop.supervisors.simulation.campaign import (
    Progress,
    run_campaign,
    seeds_of,
    summed_up,
    tree_named,
)
from allstop.supervisors.simulation.failures import written
from allstop.supervisors.simulation.hand import shape_of
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.replay import read_replay, replay_of, write_replay
from allstop.supervisors.simulation.run import Failure, Outcome, simulate
from allstop.supervisors.simulation.trees import busy

SHORT_S = 52.0


def test_seeds_are_a_range_with_both_ends_or_one() -> None:
    assert list(seeds_of("3..5")) == [3, 4, 5]
    assert list(seeds_of("7")) == [7]
    for wrong in ("", "5..3", "a..b", "1..", "-1"):
        with pytest.raises(BadInput, match=r"1\.\.1000"):
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
    keys = {"tree", "profile", "seeds", "failed", "virtual_s", "wall_s", "faults", "crashes", "restarts", "halts", "digest"}  # fmt: skip
    assert keys <= told.keys()
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
        (["--seed", "1", "--seeds", "1..2"], "one of the two"),
        (["--trace"], "--seed"),
        (["--faults", "tornado"], "no fault profile 'tornado'"),
        (["--hours", "0.001"], "too short"),
        (["--hours", "nan"], "--hours: nan"),
        (["--hours", "inf"], "--hours: inf"),
        (["--seed", "1", "--trace", "--json"], "--trace and --json"),
        (["nowhere.py"], "no such file"),
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


def test_an_out_that_cannot_be_written_is_named_and_the_failures_are_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = simulate(busy(), 3, duration_s=SHORT_S, profile="calm")
    broken = msgspec.structs.replace(outcome, failed=Failure(oracle="O1", at_s=1.0, why="for this test"))

    def that_fails(_tree: Tree, _seed: int, *, duration_s: float, profile: str) -> Outcome:
        assert (duration_s, profile) == (72.0, "calm")
        return broken

    monkeypatch.setattr(campaign, "simulate", that_fails)
    (tmp_path / "file").write_text("")
    asked = ["simulate", "busy", "--seed", "3", "--faults", "calm", "--hours", "0.02"]
    assert invoke([*asked, "--out", str(tmp_path / "file" / "below")]) == 1
    said = capsys.readouterr()
    assert f"--out: {tmp_path}/file/below: cannot be written: Not a directory" in said.err
    assert "FAILED seed 3: O1 at 1.000 s" in said.out
    assert "--faults calm --hours 0.02 --seed 3 --trace" in said.out


def test_replay_runs_what_is_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_replay(tmp_path / "run.json", replay_of(make_plan(3, "calm", SHORT_S), tree="busy"))
    assert invoke(["simulate", "--replay", str(file)]) == 0
    assert "every oracle held" in capsys.readouterr().out
    assert invoke(["simulate", "--replay", str(file), "--seed", "1"]) == 2


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
