"""`allstop inspect` at a running engine: what it prints, and its exit codes."""

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

from allstop.actors.links.control import ControlServer
from allstop.actors.links.secrets import Redactor
from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors import Supervisor
from allstop.supervisors.control import Control

pytestmark = pytest.mark.loopback


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[ActorSystem]:
    """Two actors and a control socket in tmp_path, without the rest of an engine."""
    async with ActorSystem(on_event=lambda event: None) as system:
        runtime: Any = SimpleNamespace(system=system, redactor=Redactor(), root=None)
        server = ControlServer(tmp_path, Control(runtime).answer)
        await server.start()
        await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("keeper", Start(Keeper))], path="/top")
        yield system
        await server.close()


async def inspect(tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    return await allstop("inspect", "--state-dir", str(tmp_path), *arguments)


async def test_an_actor_is_shown_to_people_and_to_programs(tmp_path: Path, system: ActorSystem) -> None:
    await system.address("/top/keeper").call("one")
    code, out, _err = await inspect(tmp_path, "/top/keeper")
    assert code == 0
    assert out.splitlines()[0] == "/top/keeper#1  running"
    assert "state      {'count': 1}" in out
    code, out, _err = await inspect(tmp_path, "/top/keeper", "--json")
    assert code == 0
    assert json.loads(out)["status"] == "{'count': 1}"
    assert "hunter2" not in out


async def test_the_last_crash_report_is_printed(tmp_path: Path, system: ActorSystem) -> None:
    system.address("/top/keeper").tell(fails(KeyError("crash")))
    await asyncio.sleep(0)
    code, out, _err = await inspect(tmp_path, "/top/keeper")
    assert code == 0
    assert "Keeper at /top/keeper (incarnation 1, lived " in out
    assert "KeyError: 'crash'" in out


async def test_without_a_path_the_actors_are_listed(tmp_path: Path, system: ActorSystem) -> None:
    code, out, _err = await inspect(tmp_path)
    assert (code, out) == (0, "/top#1  running  Supervisor\n/top/keeper#1  running  Keeper\n")


async def test_a_trace_prints_each_step(tmp_path: Path, system: ActorSystem) -> None:
    async def talk() -> None:
        while True:
            await system.address("/top/keeper").call("hello")
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    code, out, _err = await inspect(tmp_path, "/top/keeper", "--trace", "0.3")
    talking.cancel()
    assert code == 0
    assert "trace      in      'hello'" in out
    assert "trace      out     'hello' -> " in out
    assert "received" in next(line for line in out.splitlines() if line.startswith("traced"))


async def test_dead_letters_are_printed_with_their_causes(tmp_path: Path, system: ActorSystem) -> None:
    system.address("/nobody").tell("lost")
    code, out, _err = await inspect(tmp_path, "--dead-letters")
    assert code == 0
    assert "/nobody#0  'lost'  (nothing runs at this address)" in out
    assert "     1 nothing runs at this address" in out


async def test_an_unknown_path_is_wrong_input_and_one_that_looks_alike_is_named(
    tmp_path: Path, system: ActorSystem
) -> None:
    code, _out, err = await inspect(tmp_path, "/top/kepper")
    assert code == 2
    assert errors(err) == ["error: nothing runs at /top/kepper; did you mean /top/keeper?"]


async def test_an_actor_that_is_down_is_exit_code_one(tmp_path: Path, system: ActorSystem) -> None:
    top = system.address("/top")
    await system.stop(top)
    code, out, _err = await inspect(tmp_path, "/top")
    assert code == 1
    assert out.splitlines() == ["/top#1  down", "last exit  shutdown"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--trace", "5"], "--trace goes with a PATH"),
        (["/top", "--dead-letters"], "--dead-letters without one"),
        (["/top", "--trace", "21"], "at most 20 s, not 21"),
        (["/top", "--trace", "-1"], "more than 0"),
        (["/top", "--trace", "nan"], "more than 0"),
        (["/top", "--trace", "inf"], "at most 20 s, not inf"),
    ],
)
async def test_wrong_input_is_named(
    tmp_path: Path, system: ActorSystem, arguments: list[str], problem: str
) -> None:
    code, _out, err = await inspect(tmp_path, *arguments)
    assert code == 2
    assert problem in errors(err)[0]


async def test_wrong_input_is_wrong_without_an_engine_as_well(tmp_path: Path) -> None:
    code, _out, err = await inspect(tmp_path, "/top", "--trace", "21")
    assert (code, len(errors(err))) == (2, 1)


async def test_without_an_engine_it_says_so(tmp_path: Path) -> None:
    code, out, err = await inspect(tmp_path)
    assert (code, out) == (1, "")
    assert "no engine is running" in err
    code, out, _err = await inspect(tmp_path, "--json")
    assert (code, json.loads(out)["error"]) == (1, "NoEngine")
