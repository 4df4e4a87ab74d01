"""Bad input: one clear error that names the thing and the place, exit code 2, nothing sent, nothing half-started."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cli import engine

from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.build import Runtime
from allstop.supervisors.cli import main
from allstop.supervisors.loading import load_tree

HEAD = """from allstop.actors.runtime import Actor
from allstop.actors.spec import Backoff
from allstop.supervisors.config import *

class Mine(Actor):
    def on_receive(self, message): ...

"""
# What is wrong -> the last line of the tree file (line 8), and what the error must name.
TREES = {
    "an unknown key": (
        "tree = halt_root(accounts(kraken(account='main', pairs=['BTC/USD'], colour='red')))",
        "tree.py:8: TypeError: kraken() got an unexpected keyword argument 'colour'",
    ),
    "an unknown key of the root": (
        "tree = halt_root(speed=3)",
        "tree.py:8: TypeError: halt_root() got an unexpected keyword argument 'speed'",
    ),
    "a duplicate child id": (
        "tree = halt_root(strategies(child('a', Mine), child('a', Mine)))",
        "tree.py:8: duplicate id 'a', first at ",
    ),
    "a window that its own backoff can never fill": (
        "tree = halt_root(data(kraken_public(['BTC/USD'], max_restarts=5, max_seconds=100, backoff=Backoff(30., 30.))))",
        "tree.py:8: kraken.public: child 'connection': 5 restarts take at least 150 s of backoff",
    ),
    "a budget beyond the venue's connect limit": (
        "tree = halt_root(data(kraken_public(['BTC/USD'], max_restarts=50, max_seconds=60, backoff=Backoff())))",
        "tree.py:8: kraken.public: restarts could open ",
    ),
    "a pair that is none": (
        "tree = halt_root(data(kraken_public(['BTCUSD'])))",
        "tree.py:8: 'BTCUSD' is not a pair: write BASE/QUOTE, as in BTC/USD",
    ),
}


@pytest.mark.parametrize("command", ["check", "run", "tree"])
@pytest.mark.parametrize("what", ["file", "attribute", "module"])
def test_an_unknown_tree_is_one_error(
    what: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree.py").write_text(HEAD + "tree = halt_root()\n")
    target, told = {
        "file": ("nowhere.py", "error: no such file: nowhere.py"),
        "attribute": ("tree.py:other", "error: tree.py: tree.py has no attribute 'other'; it has tree"),
        "module": ("nowhere:tree", "error: no module named 'nowhere'"),
    }[what]
    with pytest.raises(SystemExit) as ended:
        main([command, target])
    assert (ended.value.code, capsys.readouterr().err.strip()) == (2, told)
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["tree.py"]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("what", TREES)
def test_a_wrong_tree_is_one_error_with_its_line(
    what: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    line, told = TREES[what]
    (tmp_path / "tree.py").write_text(HEAD + line + "\n")
    with pytest.raises(SystemExit) as ended:
        main([command, "tree.py"])
    (error,) = engine.errors(capsys.readouterr().err)
    assert ended.value.code == 2
    assert told in error
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["tree.py"]


def test_check_tells_its_problems_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree.py").write_text(HEAD + TREES["a duplicate child id"][0])
    with pytest.raises(SystemExit) as ended:
        main(["check", "--json", str(tmp_path / "tree.py")])
    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["ok"], len(told["problems"])) == (2, False, 1)
    assert told["problems"][0]["where"] == f"{tmp_path / 'tree.py'}:8"


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("key", "secret", "told"),
    [
        ("short", "c2VjcmV0" * 11, "KRAKEN_API_KEY: the Kraken key has 5 characters"),
        ("K" * 56, "not base64!", "KRAKEN_API_SECRET: the Kraken secret is not base64"),
        ("K" * 56, "c2VjcmV0", "KRAKEN_API_SECRET: the Kraken secret is only 6 bytes long"),
        ("K" * 56, None, "no secret: set KRAKEN_API_SECRET"),
    ],
)
def test_a_malformed_key_is_named_by_its_variable_and_never_shown(
    key: str, secret: str | None, told: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name, value in (("KRAKEN_API_KEY", key), ("KRAKEN_API_SECRET", secret)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    (tmp_path / "tree.py").write_text(
        HEAD + "tree = halt_root(accounts(kraken(account='main', pairs=['BTC/USD'])), state_dir='state')\n"
    )
    with pytest.raises(SystemExit) as ended:
        main([command, "tree.py"])
    (error,) = engine.errors(capsys.readouterr().err)
    assert ended.value.code == 2
    assert "tree.py:8: account 'main': " in error
    assert told in error
    assert all(value not in error for value in (key, secret) if value)
    assert not (tmp_path / "state").exists()


@pytest_asyncio.fixture
async def venue() -> AsyncIterator[KrakenServer]:
    async with KrakenServer() as server:
        yield server


@pytest.mark.loopback
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "revoke_key", "role": "trade"}, "the venue refuses the trade key: "),
        ({"kind": "grant", "role": "trade", "permission": "withdraw-funds"}, "this key can withdraw"),
        ({"kind": "deny", "role": "trade", "permission": "modify-trades"}, "modify-trades"),
    ],
)
async def test_a_key_that_may_not_work_or_may_withdraw_starts_nothing(
    fault: dict[str, str], told: str, venue: KrakenServer, tmp_path: Path
) -> None:
    environ, tree = engine.keys(venue), engine.tree_file(tmp_path, venue)
    engine.fault(venue, **fault)
    code, _, err = await engine.allstop("run", str(tree), environ=environ)
    (error,) = engine.errors(err)
    assert code == 2
    assert f"{tree}:{engine.ACCOUNT_LINE}: account 'main': " in error
    assert told in error
    assert all(secret not in err for secret in environ.values())
    assert engine.half_started(tmp_path / "state") == []
    assert engine.truth(venue)["orders"] == {}


@pytest.mark.loopback
@pytest.mark.slow
async def test_a_wrong_secret_is_the_venues_refusal(venue: KrakenServer, tmp_path: Path) -> None:
    environ, tree = engine.keys(venue), engine.tree_file(tmp_path, venue)
    environ["KRAKEN_API_SECRET"] = engine.keys(venue, "watchdog")["KRAKEN_API_SECRET"]
    code, _, err = await engine.allstop("run", str(tree), environ=environ)
    (error,) = engine.errors(err)
    assert (code, "account 'main': the venue refuses the trade key: " in error) == (2, True)
    assert engine.half_started(tmp_path / "state") == []


@pytest.mark.loopback
@pytest.mark.slow
async def test_a_pair_that_the_venue_does_not_list_is_named(venue: KrakenServer, tmp_path: Path) -> None:
    tree = engine.tree_file(tmp_path, venue)
    tree.write_text(tree.read_text().replace('pairs=["BTC/USD"]', 'pairs=["BTC/USD", "NOPE/USD"]'))
    code, _, err = await engine.allstop("run", str(tree), environ=engine.keys(venue))
    assert (code, err.strip()) == (
        2,
        f"error: {tree}:{engine.ACCOUNT_LINE}: the venue does not list 'NOPE/USD'",
    )
    assert engine.half_started(tmp_path / "state") == []


@pytest.mark.loopback
@pytest.mark.slow
async def test_a_second_engine_on_the_same_key_is_refused_and_the_first_stays(
    venue: KrakenServer, tmp_path: Path
) -> None:
    environ, tree = engine.keys(venue), engine.tree_file(tmp_path, venue)
    async with Runtime(load_tree(str(tree)), environ=environ) as first:
        code, _, err = await engine.allstop("run", str(tree), environ=environ)
        (error,) = engine.errors(err)
        assert code == 2
        assert f"the key of kraken.main is in use by process {os.getpid()} since " in error
        assert str(tmp_path / "state" / "locks") in error
        assert first.root.is_alive()
        status, out, _ = await engine.allstop("status", "--state-dir", str(tmp_path / "state"), "--json")
        assert (status, json.loads(out)["engine"]) == (0, True)


@pytest.mark.loopback
@pytest.mark.slow
async def test_a_venue_that_does_not_answer_is_no_bad_input(venue: KrakenServer, tmp_path: Path) -> None:
    tree = engine.tree_file(tmp_path, venue)
    await venue.stop()
    code, _, err = await engine.allstop("run", str(tree), environ=engine.keys(venue))
    (error,) = engine.errors(err)
    assert (code, "did not list its pairs" in error) == (1, True)
    assert engine.half_started(tmp_path / "state") == []
