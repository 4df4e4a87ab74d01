"""`allstop chaos SCRIPT TREE`: what it starts, what it tells, and how it exits."""

import json
from pathlib import Path

import pytest
from tests.cli import engine

from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.cli import main

ROOT = Path(__file__).resolve().parents[2]
HEAD = "async def chaos(chaos):\n    await chaos.wait_until_trading(20.0)\n"
KILL = HEAD + (
    "    await chaos.kill('/accounts/kraken.main/trading/session')\n    await chaos.wait_until_trading(20.0)\n"
)


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one error of a command that started nothing."""
    with pytest.raises(SystemExit) as ended:
        main(["chaos", *arguments])
    assert ended.value.code == 2
    (error,) = engine.errors(capsys.readouterr().err)
    return error


def test_an_unknown_script_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, f"{tmp_path}/none.py", "demo") == f"error: no such file: {tmp_path}/none.py"


def test_a_script_without_its_function_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, script(tmp_path, "x = 1\n"), "demo")
    assert error == f"error: {tmp_path}/script.py: it has no function `async def chaos(chaos)`"


def test_a_script_with_a_syntax_error_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, script(tmp_path, "x = 1\nasync def chaos(chaos:\n"), "demo")
    assert error.startswith(f"error: {tmp_path}/script.py:2: SyntaxError")


def test_an_unknown_tree_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, script(tmp_path, KILL), f"{tmp_path}/none.py")
    assert error == f"error: no such file: {tmp_path}/none.py"


def test_a_tree_on_a_real_venue_is_hurt_only_when_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KRAKEN_API_KEY", "KRAKEN_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tree.py").write_text(
        "from allstop.supervisors.config import *\n"
        "tree = halt_root(accounts(kraken(account='main', pairs=['BTC/USD'])), state_dir='state')\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["chaos", script(tmp_path, KILL), "tree.py"])
    told = engine.errors(capsys.readouterr().err)
    assert (ended.value.code, len(told)) == (2, 2)
    assert (
        "tree.py:2: chaos would hurt an engine that trades at https://api.kraken.com; say --real-venue"
        in told[0]
    )
    assert not (tmp_path / "state").exists()


@pytest.mark.loopback
@pytest.mark.slow
async def test_a_tree_of_yours_is_started_hurt_and_recovers(tmp_path: Path) -> None:
    async with KrakenServer() as venue:
        tree, environ = engine.tree_file(tmp_path, venue), engine.keys(venue)
        code, out, _ = await engine.allstop(
            "chaos", script(tmp_path, KILL), str(tree), "--json", "--seed", "5", environ=environ
        )
    told = json.loads(out)
    assert (code, told["seed"], told["recovered"], told["failed"], told["leaked"]) == (0, 5, True, None, [])
    kinds = [(act["verb"], act["target"]) for act in told["acts"] if act["verb"] != "trading"]
    assert kinds == [("kill", "/accounts/kraken.main/trading/session")]
    assert not (tmp_path / "state" / "control.sock").exists()


@pytest.mark.loopback
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        (HEAD + "    await chaos.cut('private')\n", (), "no link 'private'; there are none"),
        (HEAD + "    await chaos.kill('/nobody')\n", (), "no actor runs at /nobody"),
        (HEAD + "    1 / 0\n", (), "script.py:3: ZeroDivisionError: division by zero"),
        (HEAD + "    await chaos.sleep(60)\n", ("--timeout", "3"), "the script did not end within 3 s"),
    ],
)
async def test_a_script_that_fails_is_told_and_the_tree_is_stopped(
    text: str, options: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    async with KrakenServer() as venue:
        tree, environ = engine.tree_file(tmp_path, venue), engine.keys(venue)
        code, out, _ = await engine.allstop(
            "chaos", script(tmp_path, text), str(tree), *options, "--json", environ=environ
        )
    told = json.loads(out)
    assert (code, told["leaked"]) == (1, [])
    assert why in told["failed"]
    assert not (tmp_path / "state" / "control.sock").exists()


@pytest.mark.loopback
@pytest.mark.slow
async def test_the_demos_tree_comes_with_its_venue_and_links(tmp_path: Path) -> None:
    text = HEAD + (
        "    await chaos.cut('private')\n    await chaos.drop_reply('add_order')\n    await chaos.wait_until_trading(20.0)\n"
    )
    code, out, _ = await engine.allstop("chaos", script(tmp_path, text), "demo")
    assert code == 0, out
    lines = out.splitlines()
    assert any("cut           private" in line for line in lines)
    assert any("drop_reply    kraken method=add_order" in line for line in lines)
    assert lines[-1].endswith("the engine trades")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("demo",), "a chaos run needs a SCRIPT and a TREE, or --faults PROFILE and a TREE"),
        (("--faults", "heaven", "demo"), "no fault profile 'heaven'; there are calm, bad-day, hell"),
        (
            ("--faults", "calm", "x.py", "demo"),
            "with --faults there is no script: name the TREE alone, not x.py",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], wrong: str
) -> None:
    assert wrong in refused(capsys, *arguments)


@pytest.mark.loopback
@pytest.mark.slow
async def test_faults_by_plan_on_real_sockets_and_what_cannot_be_done_is_named() -> None:
    code, out, _ = await engine.allstop(
        "chaos", "--faults", "process-journal", "--seed", "7", "--for", "20", "demo", "--json"
    )
    run = json.loads(out)
    assert (code, run["recovered"], run["profile"]) == (0, True, "process-journal"), run
    assert run["faults"]
    assert any(kind.startswith(("disk.", "process.")) for kind in run["cannot"])
    assert not set(run["faults"]) & set(run["cannot"])
