"""`allstop reset` at a running engine: a latched breaker, and its vote, end by a person's hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.engine import allstop, errors
from tests.runtime.keepers import Keeper
from tests.runtime.puppet import fails

from allstop.actors.errors import Fatal
from allstop.actors.events import BreakerChanged, Event
from allstop.actors.levels import Level, LevelBoard
from allstop.actors.links.control import ControlServer
from allstop.actors.links.latch import FileLatch
from allstop.actors.links.secrets import Redactor
from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import ChildSpec, ChildType, OnExceeded, Pause, Start, SupervisorFlags
from allstop.supervisors import Supervisor
from allstop.supervisors.control import Control
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.halt import HaltRoot
from allstop.supervisors.supervisor import breaker_state, report_probe
from allstop.supervisors.votes import Votes

pytestmark = pytest.mark.loopback
SCOPE = ("kraken", "main")
PATIENCE_S = 20.0


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Any]:
    """A root, a trading supervisor whose breaker one probe closes, and a control socket in tmp_path."""
    board, events = LevelBoard(), list[Event]()
    async with ActorSystem(on_event=events.append) as system:
        runtime: Any = SimpleNamespace(system=system, redactor=Redactor(), root=system.address("/"), gates={})
        server = ControlServer(tmp_path, Control(runtime).answer)
        await server.start()
        flags = SupervisorFlags(on_exceeded=OnExceeded.PAUSE, pause=Pause(probes=1))
        votes = Votes(system.address("/"), SCOPE, Level.READ_ONLY, Level.READ_ONLY)
        trading = Start(Supervisor, (flags, (ChildSpec("keeper", Start(Keeper)),)), {"votes": votes})
        await system.spawn(
            HaltRoot, board, FileLatch(tmp_path), (ChildSpec("trading", trading, type=ChildType.SUPERVISOR),), path="/"
        )  # fmt: skip
        yield SimpleNamespace(system=system, board=board, events=events, trading=system.address("/trading"))
        await server.close()


async def reset(tmp_path: Path, path: str, *arguments: str) -> tuple[int, str, str]:
    return await allstop("reset", path, "--state-dir", str(tmp_path), "--by", "ann", *arguments)


async def level_is(board: LevelBoard, level: Level) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while board.effective(SCOPE) is not level:
            await asyncio.sleep(0.01)


async def test_a_latched_breaker_is_tried_again_and_its_vote_goes_when_it_closes(
    tmp_path: Path, engine: Any
) -> None:
    engine.system.address("/trading/keeper").tell(fails(Fatal("KEY_REFUSED", "no such key")))
    await level_is(engine.board, Level.READ_ONLY)
    assert (await breaker_state(engine.trading)).state is BreakerState.LATCHED
    code, out, _err = await reset(tmp_path, "/trading", "--reason", "a new key", "--json")
    assert (code, json.loads(out)["breaker"]) == (0, "half_open")
    assert engine.board.effective(SCOPE) is Level.READ_ONLY
    report_probe(engine.trading, ok=True)
    await level_is(engine.board, Level.NONE)
    changes = [(event.state, event.reason) for event in engine.events if isinstance(event, BreakerChanged)]
    assert changes[1:] == [("half_open", "tried again by ann: a new key"), ("closed", "")]


@pytest.mark.parametrize(
    ("path", "reason", "problem"),
    [
        ("/tradign", "typo", "no supervisor runs at /tradign; did you mean /trading?"),
        ("/trading/keeper", "no supervisor", "no supervisor runs at /trading/keeper"),
        ("/", "the root", "`allstop resume` lifts a halt"),
        ("/trading", " ", "a reset needs a name and a reason"),
    ],
)
async def test_wrong_input_is_named(
    tmp_path: Path, engine: Any, path: str, reason: str, problem: str
) -> None:
    code, out, err = await reset(tmp_path, path, "--reason", reason)
    assert (code, out) == (2, "")
    assert problem in errors(err)[0]


async def test_without_an_engine_there_is_nothing_to_reset(tmp_path: Path) -> None:
    code, out, err = await reset(tmp_path, "/trading", "--reason", "why not")
    assert (code, out) == (1, "")
    assert "no engine is running" in err
