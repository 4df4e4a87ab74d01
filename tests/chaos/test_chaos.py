"""Chaos scripts: what they can do, that the seed decides, that all of it is written down, and that links heal."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.exits import ExitKind
from allstop.actors.links.condition import WHOLE, LinkCondition, Way
from allstop.actors.runtime import Actor, ActorSystem, Down
from allstop.actors.spec import ChildSpec, Start, Strategy, SupervisorFlags
from allstop.supervisors.chaos import (
    Chaos,
    ChaosError,
    ChaosInjected,
    Link,
    NotTrading,
    SystemEngine,
    load_script,
    run_script,
)
from allstop.supervisors.chaos.victims import candidates, chosen, matching
from allstop.supervisors.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
PATHS = (
    "/",
    "/infrastructure",
    "/infrastructure/journal",
    "/accounts",
    "/accounts/kraken.main",
    "/accounts/kraken.main/trading",
    "/accounts/kraken.main/trading/session",
    "/anonymous/7",
)


# -- whom chance may hit


def test_chance_spares_the_root_its_children_and_what_no_tree_holds() -> None:
    assert candidates(PATHS, "/") == (
        "/accounts/kraken.main",
        "/accounts/kraken.main/trading",
        "/accounts/kraken.main/trading/session",
        "/infrastructure/journal",
    )


def test_a_named_subtree_is_hit_strictly_below_its_name() -> None:
    assert candidates(PATHS, "/accounts/kraken.main") == (
        "/accounts/kraken.main/trading",
        "/accounts/kraken.main/trading/session",
    )
    assert candidates(("/accounts2/x", "/accounts/x"), "/accounts") == ("/accounts/x",)


def test_what_is_spared_is_spared_with_all_below_it() -> None:
    assert candidates(PATHS, "/", ["/accounts/kraken.main/trading", "/infrastructure"]) == (
        "/accounts/kraken.main",
    )


def test_the_draw_decides_and_every_candidate_can_be_drawn() -> None:
    assert [chosen("abc", d) for d in (0.0, 0.34, 0.67, 0.999999)] == ["a", "b", "c", "c"]
    assert chosen((), 0.5) is None


# -- a puppet of everything that can be broken


class PuppetEngine:
    def __init__(self, paths: Sequence[str] = PATHS) -> None:
        self.alive = list(paths)
        self.killed: list[str] = []
        self.crashed: list[tuple[str, Exception]] = []
        self.in_the_way: list[str] = []

    def paths(self) -> Sequence[str]:
        return self.alive

    def kill(self, path: str) -> bool:
        self.killed.append(path)
        return path in self.alive

    def crash(self, path: str, error: Exception) -> bool:
        self.crashed.append((path, error))
        return path in self.alive

    async def hold(self, path: str) -> bool:
        return path in self.alive

    async def release(self, path: str) -> None:
        del path

    def stall(self, seconds: float) -> None:
        del seconds

    def obstacles(self) -> Sequence[str]:
        return self.in_the_way


class PuppetLink:
    def __init__(self) -> None:
        self.did: list[object] = []

    def cut(self) -> int:
        self.did.append("cut")
        return 2

    def cut_after(self, count: int | None, way: Way) -> None:
        self.did.append((count, way))

    async def become(self, condition: LinkCondition) -> None:
        self.did.append(condition)


class PuppetVenue:
    def __init__(self) -> None:
        self.faults: list[tuple[str, dict[str, object]]] = []

    async def fault(self, kind: str, **fields: object) -> None:
        self.faults.append((kind, fields))

    async def clear(self) -> None:
        self.faults.append(("clear", {}))


class Scene:
    def __init__(self, clock: object, seed: int = 1) -> None:
        self.engine = PuppetEngine()
        self.link = PuppetLink()
        self.venue = PuppetVenue()
        self.chaos = Chaos(
            self.engine,
            links={"private": self.link},
            venues={"kraken": self.venue},
            clock=clock,  # type: ignore[arg-type]
            seed=seed,
        )


@asynccontextmanager
async def scene(seed: int = 1) -> AsyncGenerator[Scene]:
    async with ActorSystem() as system:
        yield Scene(system.clock, seed)


pytestmark = pytest.mark.virtual


async def test_the_same_seed_kills_the_same_actors_and_another_seed_others() -> None:
    async def kills(seed: int) -> list[str]:
        async with scene(seed) as s:
            for _ in range(20):
                await s.chaos.kill_random()
            return s.engine.killed

    assert await kills(7) == await kills(7)
    assert await kills(7) != await kills(8)


async def test_chance_that_finds_nobody_says_so_and_goes_on() -> None:
    async with scene() as s:
        s.engine.alive.clear()
        assert await s.chaos.kill_random() is None
        assert s.chaos.acts[-1].detail == "nobody there"


async def test_naming_an_actor_that_does_not_run_is_an_error_of_the_script() -> None:
    async with scene() as s:
        with pytest.raises(ChaosError, match="/nowhere"):
            await s.chaos.kill("/nowhere")
        with pytest.raises(ChaosError, match="/nowhere"):
            await s.chaos.crash("/nowhere")


async def test_the_roots_own_children_are_hit_when_they_are_named() -> None:
    async with scene() as s:
        await s.chaos.kill("/infrastructure")
        assert s.engine.killed == ["/infrastructure"]


async def test_a_link_that_is_not_there_is_named_with_those_that_are() -> None:
    async with scene() as s:
        with pytest.raises(ChaosError, match="'rest'; there are private"):
            await s.chaos.cut("rest")


async def test_faults_of_the_venue_travel_under_their_own_names() -> None:
    async with scene() as s:
        await s.chaos.drop_reply("add_order")
        await s.chaos.corrupt_frame("book", 2)
        await s.chaos.fault("silence", channel="executions", s=3)
        assert s.venue.faults == [
            ("drop_reply", {"method": "add_order", "n": 1}),
            ("corrupt_frame", {"channel": "book", "n": 2}),
            ("silence", {"channel": "executions", "s": 3}),
        ]


async def test_everything_done_is_written_down_with_its_time() -> None:
    async with scene() as s:
        await s.chaos.sleep(1.5)
        await s.chaos.cut("private")
        await s.chaos.delay("private", 0.2, 0.1)
        assert [(a.at_s, a.verb, a.target, a.detail) for a in s.chaos.acts] == [
            (1.5, "cut", "private", "2 connections"),
            (1.5, "delay", "private", "0.2 s, jitter 0.1 s"),
        ]


async def test_waiting_for_trading_tells_how_long_it_took() -> None:
    async with scene() as s:
        s.engine.in_the_way = ["session"]
        asyncio.get_running_loop().call_later(2.0, s.engine.in_the_way.clear)
        assert 2.0 <= await s.chaos.wait_until_trading(5.0) < 2.1


async def test_waiting_in_vain_tells_what_was_in_the_way() -> None:
    async with scene() as s:
        s.engine.in_the_way = ["reconciled is not proven"]
        with pytest.raises(NotTrading, match="reconciled is not proven"):
            await s.chaos.wait_until_trading(3.0)


async def test_links_are_whole_again_when_a_script_ends_in_an_error() -> None:
    async def script(chaos: Chaos) -> None:
        await chaos.half_open("private")
        raise RuntimeError("the script is wrong")

    async with scene() as s:
        with pytest.raises(RuntimeError, match="the script is wrong"):
            await run_script(script, s.chaos)
        assert (s.link.did[0], s.link.did[-1]) == (LinkCondition(up_silent=True, down_silent=True), WHOLE)


async def test_a_link_that_was_only_cut_needs_no_healing() -> None:
    async with scene() as s:
        await run_script(lambda chaos: chaos.cut("private"), s.chaos)  # type: ignore[arg-type,return-value]
        assert s.link.did == ["cut"]


async def test_troubles_of_a_link_lie_above_each_other_and_heal_one_by_one() -> None:
    async with scene() as s:
        await s.chaos.lay("private", "a", LinkCondition(delay_s=0.1, up_silent=True))
        await s.chaos.lay("private", "b", LinkCondition(delay_s=0.2, down_bytes_per_s=100.0))
        await s.chaos.lift("private", "a")
        await s.chaos.lift("private", "a")  # once is enough
        await s.chaos.lift("private", "b")
        assert s.link.did == [
            LinkCondition(delay_s=0.1, up_silent=True),
            LinkCondition(delay_s=pytest.approx(0.3), up_silent=True, down_bytes_per_s=100.0),  # type: ignore[arg-type]
            LinkCondition(delay_s=0.2, down_bytes_per_s=100.0),
            WHOLE,
        ]


async def test_healing_a_link_takes_back_a_cut_that_has_not_come() -> None:
    async with scene() as s:
        await s.chaos.cut_after("private", 100, Way.UP)
        await s.chaos.heal_all()
        assert s.link.did == [(100, Way.UP), (None, Way.UP), (None, Way.DOWN), WHOLE]


async def test_a_real_machine_is_not_to_be_hurt() -> None:
    async with scene() as s:
        assert not s.chaos.has_host
        with pytest.raises(ChaosError, match="only a simulated one can be hurt"):
            await s.chaos.step_clock(1.0)


def test_a_pattern_names_paths_of_as_many_names() -> None:
    assert matching(PATHS, "/accounts/*/trading/*") == ("/accounts/kraken.main/trading/session",)
    assert matching(PATHS, "/*") == ("/", "/accounts", "/infrastructure")
    assert matching(PATHS, "/accounts/kraken.*") == ("/accounts/kraken.main",)


# -- on a running system


class Worker(Actor):
    def on_receive(self, message: object) -> object:
        return message


class Witness(Actor):
    def __init__(self, heard: list[Down]) -> None:
        self._heard = heard

    def on_receive(self, message: object) -> None:
        if isinstance(message, Down):
            self._heard.append(message)
        else:
            self.monitor(message)  # type: ignore[arg-type]


def tree() -> tuple[SupervisorFlags, tuple[ChildSpec, ...]]:
    worker = ChildSpec(id="worker", start=Start(Worker))
    inner = SupervisorFlags(Strategy.ONE_FOR_ONE, 10, 60)
    branch = ChildSpec(id="branch", start=Start(Supervisor, (inner, (worker,))))
    return SupervisorFlags(Strategy.ONE_FOR_ONE, 10, 60), (branch,)


async def ended_by(act: str, path: str) -> tuple[Down, int]:
    """What ends the actor at `path`, told by its monitor, and the incarnation that runs a second later."""
    heard: list[Down] = []
    async with ActorSystem(on_event=lambda _event: None) as system:
        await system.spawn(Supervisor, *tree(), path="/top")
        chaos = Chaos(SystemEngine(system, lambda: ()), clock=system.clock)
        witness = await system.spawn(Witness, heard)
        victim = system.address(path)
        witness.tell(victim)
        await asyncio.sleep(0.1)
        await (chaos.kill(path) if act == "kill" else chaos.crash(path))
        await asyncio.sleep(1)
        return heard[0], victim.incarnation


@pytest.mark.parametrize("path", ["/top/branch", "/top/branch/worker"])
async def test_a_crash_is_raised_inside_actor_or_supervisor_and_its_own_supervisor_restarts_it(
    path: str,
) -> None:
    down, incarnation = await ended_by("crash", path)
    assert isinstance(down.exit.error, ChaosInjected)
    assert incarnation == 2


async def test_a_kill_is_seen_as_a_kill() -> None:
    down, incarnation = await ended_by("kill", "/top/branch/worker")
    assert (down.exit.kind, incarnation) == (ExitKind.KILLED, 2)


async def test_an_actor_that_is_held_answers_when_it_is_released() -> None:
    async with ActorSystem() as system:
        await system.spawn(Supervisor, *tree(), path="/top")
        chaos, worker = Chaos(SystemEngine(system, lambda: ()), clock=system.clock), "/top/branch/worker"
        assert await chaos.hold(worker)
        asking = asyncio.create_task(system.address(worker).call("hello", timeout_s=5.0))
        await asyncio.sleep(1.0)
        assert not asking.done()
        await chaos.release(worker)
        assert await asking == "hello"
        assert not await chaos.hold("/nowhere")
        await chaos.release("/nowhere")


async def test_a_stall_moves_the_clock_and_runs_nothing() -> None:
    ran: list[float] = []
    async with ActorSystem() as system:
        chaos = Chaos(SystemEngine(system, lambda: ()), clock=system.clock)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        loop.call_later(0.1, lambda: ran.append(loop.time() - began_s))
        await chaos.stall(0.7)
        assert (ran, loop.time() - began_s) == ([], 0.7)
        await asyncio.sleep(1e-6)
        assert ran == [pytest.approx(0.7, abs=1e-3)]


async def test_the_engine_of_a_system_lists_what_runs() -> None:
    async with ActorSystem() as system:
        await system.spawn(Supervisor, *tree(), path="/top")
        assert set(SystemEngine(system, lambda: ()).paths()) == {"/top", "/top/branch", "/top/branch/worker"}
        assert not SystemEngine(system, lambda: ()).kill("/nowhere")


# -- scripts in files


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("x = 1", "no function"),
        ("def chaos(chaos): pass", "not an `async def`"),
        ("async def chaos(): pass", "one argument"),
        ("async def chaos(chaos) pass", "SyntaxError"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
    ],
)
async def test_a_script_that_is_wrong_is_refused_with_its_name(tmp_path: Path, text: str, wrong: str) -> None:
    file = tmp_path / "bad_script.py"
    file.write_text(text)
    with pytest.raises(BadInput, match=wrong) as refused:
        load_script(file)
    assert "bad_script.py" in str(refused.value)


async def test_a_script_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="nowhere"):
        load_script("nowhere.py")


@pytest.mark.parametrize("name", ["chaos_demo.py", "chaos_storm.py"])
async def test_the_example_scripts_run_to_their_end_and_do_the_same_for_the_same_seed(name: str) -> None:
    async def acts(seed: int) -> list[tuple[str, str]]:
        async with ActorSystem() as system:
            engine = PuppetEngine(
                (*PATHS, "/accounts/kraken.main/guardian", "/accounts/kraken.main/trading/orders")
            )
            links: dict[str, Link] = {name: PuppetLink() for name in ("rest", "public", "private")}
            chaos = Chaos(
                engine, links=links, venues={"kraken": PuppetVenue()}, clock=system.clock, seed=seed
            )
            await run_script(load_script(ROOT / "examples" / name), chaos)
            return [(a.verb, a.target) for a in chaos.acts]

    once = await acts(3)
    assert len(once) >= 10
    assert once == await acts(3) != await acts(4)
