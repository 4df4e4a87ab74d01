"""A story: the engine trades, is killed again and again, is killed while it halts, and is judged by what the venue knows.

The venue and the proxies live here; the engine is a process of its own on one state directory. Everything that this
starts ends with it.
"""

import asyncio
import json
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from tests.kill.engine import ROOT, EngineProcess, NotInTime
from tests.kill.plan import Kill, Moment, Trouble, plan_kills
from tests.kill.tree import STALL, WITNESS
from tests.kill.verdict import (
    Life,
    UncoveredTime,
    caught,
    cover_in_time,
    entries_before_cover,
    entries_of_the_halted,
    in_doubt,
    uncovered_time,
)

from allstop.actors.clock import SeededDice, SystemClock
from allstop.actors.links.fault_proxy import Way
from allstop.actors.links.latch import read_latch
from allstop.supervisors.demo.report import unprotected_open
from allstop.supervisors.demo.rig import Rig
from allstop.supervisors.demo.run import MARKET_FALL
from allstop.supervisors.demo.tree import PAIRS
from allstop.supervisors.oracles import (
    Evidence,
    Journal,
    PositionsAgree,
    Verdict,
    chain_fault,
    judge,
    lost_orders,
    read_journal,
)

ACCOUNT = "main"
COVER_S = 2.0
RTO_S = 30.0  # from a start to the first entry that may pass
SLOW_REST_S = 0.1  # each way: a remedy takes half a second or more then
STALL_S = 0.8  # at most: well under the two seconds in which cover must stand
FRAME_BYTES = 400  # of an order on its way: a cut after fewer falls into one
BARE_WAIT_S = 4.0  # for a fill: the traders cross every second or so
HALT_WAIT_S = 15.0
# Until nothing is in doubt any more. A search is two calls, an absence takes two searches, and lives of a few seconds
# leave the key's counter full: then the venue gives one call a second, for all that is being looked up.
SETTLE_S = 30.0
AGREE_S = 8.0  # for the guardian's next look, when nothing trades any more
CALM_S = 1.0  # trading undisturbed before the halt


class StoryFailed(Exception):
    """What did not hold, with the seed; the evidence is where it says."""


@dataclass
class Told:
    """What a story has to tell."""

    seed: int
    kills: int = 0
    orders: int = 0
    executions: int = 0
    promises: int = 0
    starts_ms: list[float] = field(default_factory=list[float])  # from a spawn to open gates
    troubles: Counter[Trouble] = field(default_factory=Counter[Trouble])  # that were really made
    caught: Counter[str] = field(
        default_factory=Counter[str]
    )  # where between its steps a kill caught an intent
    uncovered: UncoveredTime = field(default_factory=UncoveredTime)
    verdicts: Sequence[Verdict] = ()
    broken: list[str] = field(default_factory=list[str])


Say = Callable[[str], None]


def _silent(_: str) -> None:
    return


async def run_story(
    seed: int, kills: int | Sequence[Kill], *, say: Say = _silent, keep: Path | None = None
) -> Told:
    """Runs one story, with so many kills of its seed or with these, and judges it. Raises StoryFailed; then the evidence is left in `keep`, when given."""
    home = Path(tempfile.mkdtemp(prefix="allstop-kill-"))
    failed = True
    try:
        async with Rig("--seed", f"kill-{seed}") as rig:
            story = Story(seed, rig, home, say)
            try:
                told = await story.run(plan_kills(seed, kills) if isinstance(kills, int) else kills)
            except NotInTime as error:
                raise StoryFailed(f"seed {seed}: {error}") from error
            finally:
                await story.end()
        if told.broken:
            raise StoryFailed(f"seed {seed}: " + "; ".join(told.broken))
        failed = False
        return told
    finally:
        if failed and keep is not None:
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(home, keep, ignore=shutil.ignore_patterns("*.sock"))
        shutil.rmtree(home, ignore_errors=True)


class Story:
    """One rig, one state directory, life after life."""

    def __init__(self, seed: int, rig: Rig, home: Path, say: Say) -> None:
        self.seed = seed
        self.rig = rig
        self.state_dir = home / "state"
        self.witness = home / "witness.ndjson"
        self.log = home / "engine.log"
        self.home = home
        self.environ = {
            **rig.environ,
            "ALLSTOP_DEMO_STATE_DIR": str(self.state_dir),
            WITNESS: str(self.witness),
            STALL: str(home / "stall"),
        }
        self.told = Told(seed)
        self.lives: list[Life] = []
        self.engine: EngineProcess | None = None
        self.dice = SeededDice(f"kill story:{seed}")
        self.say = say
        self.halt_said = ""

    async def run(self, kills: Sequence[Kill]) -> Told:
        for number, kill in enumerate(kills, start=1):
            self.say(f"kill {number} of {len(kills)}: {kill}")
            await self._live_and_die(kill)
        await self._trade_on()
        await self._killed_while_halting()
        await self._starts_halted_and_is_killed()
        await self._starts_halted_and_stops()
        await self._judge()
        return self.told

    async def end(self) -> None:
        """Whatever happened: no engine is left, and the venue's truth stands beside the rest."""
        if self.engine is not None and not self.engine.ended:
            await self.engine.kill()
        (self.home / "truth.json").write_bytes(msgspec.json.encode(await self.rig.venue.truth()))
        (self.home / "lives.json").write_bytes(msgspec.json.encode(self.lives))

    # -- lives ---------------------------------------------------------------------------------------------------

    async def _start(self) -> EngineProcess:
        self.engine = await EngineProcess.start(self.state_dir, self.environ, self.log)
        return self.engine

    async def _kill(self, engine: EngineProcess, *, halted: bool = False) -> None:
        if engine.ended:
            raise NotInTime("the engine had ended by itself before it was killed")
        await engine.kill()
        self.told.kills += 1
        self._lived(engine, halted=halted)
        for journal in self._journals():
            self.told.caught += caught(journal.rows, self.lives[-1])

    def _lived(self, engine: EngineProcess, *, halted: bool = False) -> None:
        """Writes the life down. What a killed writer left must be a whole chain, before anybody repairs it."""
        self.lives.append(Life(engine.spawned_ns, engine.ended_ns, engine.pid, halted))
        for journal in self._journals():
            if fault := chain_fault(journal):
                self.told.broken.append(f"after kill {self.told.kills}, journal {journal.chain}: {fault}")

    async def _live_and_die(self, kill: Kill) -> None:
        engine = await self._start()
        if kill.moment is Moment.ANSWERING:
            await engine.wait_answering(RTO_S)
        elif kill.moment is not Moment.SPAWNED:
            await self._wait_trading(engine)
            await self._trouble(kill.trouble, engine)
            self.told.troubles[kill.trouble] += 1
        if kill.moment is Moment.BARE:
            await self._wait_bare()
        await asyncio.sleep(kill.delay_s)
        await self._kill(engine)
        for link in self.rig.links.values():
            link.heal()
        if kill.falls:
            await self._market_falls()
        await asyncio.sleep(kill.dead_s)

    async def _wait_trading(self, engine: EngineProcess) -> None:
        await engine.wait_trading(RTO_S)
        self.told.starts_ms.append((SystemClock().wall_ns() - engine.spawned_ns) / 1e6)

    async def _trouble(self, trouble: Trouble, engine: EngineProcess) -> None:
        fault, private = self.rig.venue.fault, self.rig.links["private"]
        match trouble:
            case Trouble.NONE:
                return
            case Trouble.LOST_ANSWER:
                await fault("drop_reply", method="add_order", n=1, executed=True)
            case Trouble.SLOW_ANSWER:
                executed = self.dice.draw() < 0.5
                await fault("delay", method="add_order", s=0.35, n=3, executed=executed)
            case Trouble.NO_STOP:
                await fault("refuse_closes", n=1 if self.dice.draw() < 0.6 else 2)
                self.rig.links["rest"].delay(
                    SLOW_REST_S
                )  # the guardian is quick: most kills would come too late
            case Trouble.STALL:
                await self._stall()
            case Trouble.STOPPED:
                await engine.stand_still(self.dice.draw() * STALL_S)
            case Trouble.CUT:
                if not sum(link.cut() for link in self.rig.links.values()):
                    raise NotInTime("an engine that trades had no connection to cut")
            case Trouble.CUT_AT_BYTE:
                private.cut_after(int(self.dice.draw() * FRAME_BYTES), Way.UP)
            case Trouble.HALF_OPEN:
                private.half_open()

    async def _stall(self) -> None:
        """Returns when the loop has stood still: a strategy of the tree does it, and a witness says so."""
        told = len(self._heard(None, "stalled"))
        partial = self.home / "stall.part"
        partial.write_text(str(self.dice.draw() * STALL_S))
        partial.rename(self.environ[STALL])
        try:
            async with asyncio.timeout(STALL_S + HALT_WAIT_S):
                while len(self._heard(None, "stalled")) == told:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NotInTime("the loop was not held") from None

    async def _wait_bare(self) -> None:
        """Until a fill stands without a stop. Without one in time the kill falls somewhere else: also a moment."""
        try:
            async with asyncio.timeout(BARE_WAIT_S):
                while not _bare_now(await self.rig.venue.truth()):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            self.say("no fill came; killed all the same")

    async def _market_falls(self) -> None:
        truth = await self.rig.venue.truth()
        for pair in PAIRS:
            prices = [Decimal(one["price"]) for one in truth["executions"] if one["symbol"] == pair]
            if prices:
                price = (min(prices) * MARKET_FALL).quantize(prices[0])
                await self.rig.venue.fault("print", symbol=pair, price=str(price))

    async def _trade_on(self) -> None:
        """The last life that trades: it reaches the same truth as after every kill, undisturbed."""
        await self._wait_trading(await self._start())
        await asyncio.sleep(CALM_S)

    # -- halting ---------------------------------------------------------------------------------------------------

    async def _killed_while_halting(self) -> None:
        """The latch is on disk before anything else; the engine is killed somewhere between that and the proof."""
        engine = self.engine
        assert engine is not None
        halting = await self._halt_command()
        try:
            async with asyncio.timeout(HALT_WAIT_S):
                while not read_latch(self.state_dir).latched:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(self.dice.draw() * 0.4)
            await self._kill(engine)
            async with asyncio.timeout(HALT_WAIT_S + 10.0):
                out, _ = await halting.communicate()
        except TimeoutError:
            raise NotInTime("`allstop halt` did not latch or did not come back") from None
        finally:
            if halting.returncode is None:
                halting.kill()
                await halting.communicate()
        self.halt_said = out.decode()

    async def _halt_command(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from allstop.supervisors.cli import main; main()", "halt", "--state-dir", str(self.state_dir),
            "--by", "kill", "--reason", "the story is over", "--wait", "5", "--json", cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    async def _starts_halted_and_is_killed(self) -> None:
        engine = await self._start()
        status = await engine.wait_answering(RTO_S)
        if not status.get("halted"):
            self.told.broken.append("halted, killed while halting, and started again unhalted")
        await asyncio.sleep(self.dice.draw() * 1.0)
        await self._kill(engine, halted=True)

    async def _starts_halted_and_stops(self) -> None:
        """Killed after the halt: halted again, it proves it by itself, refuses entries, and knows the positions."""
        engine = await self._start()
        status = await engine.wait_answering(RTO_S)
        try:
            async with asyncio.timeout(RTO_S):
                while not (status.get("halted") and status.get("proven")):
                    status = await engine.wait_answering(RTO_S)
                while not self._heard(engine.pid, "refused"):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotInTime(
                f"a halted engine did not prove it and refuse an entry in {RTO_S:.0f} s: {status}"
            ) from None
        await self._wait_settled()
        await self._wait_agreement(engine)
        code = await engine.stop()
        self._lived(engine, halted=True)
        if code != 0:
            self.told.broken.append(f"SIGTERM ended the halted engine with {code}: {_tail(self.log)}")
        if promised := self._heard(engine.pid, "submitted"):
            self.told.broken.append(f"a halted engine took entries: {promised}")

    async def _wait_settled(self) -> None:
        """Until every durable intent has come to its end or to the venue: one whose bytes were lost with a connection is
        UNKNOWN until two searches found nothing, and each kill makes its tracker begin again. What is in doubt after that
        is judged as it stands, and O6 says that it is not accounted for."""
        doubt: list[str] = []
        try:
            async with asyncio.timeout(SETTLE_S):
                while doubt := await self._in_doubt():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self.say(f"still in doubt after {SETTLE_S:.0f} s: {doubt}")

    async def _in_doubt(self) -> list[str]:
        truth = await self.rig.venue.truth()
        return [intent for journal in self._journals() for intent in in_doubt(truth, journal.rows)]

    async def _wait_agreement(self, engine: EngineProcess) -> None:
        """Until the guardian believes in the venue's positions. Judged afterwards; here it only gets its time."""
        try:
            async with asyncio.timeout(AGREE_S):
                while (
                    judge(self._evidence(await self.rig.venue.truth(), engine.pid), [PositionsAgree])[0].holds
                    is not True
                ):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self.say("the guardian's positions are not the venue's")

    # -- judging ---------------------------------------------------------------------------------------------------

    def _journals(self) -> list[Journal]:
        """Those that were made: a kill may have come between the file and its tables."""
        return [read_journal(path) for path in sorted(self.state_dir.glob("journal-*.db")) if _made(path)]

    def _heard(self, pid: int | None, what: str) -> list[Any]:
        """What the witnesses wrote down, of one life or of all. A line cut off by a kill cannot be: it is one write."""
        if not self.witness.exists():
            return []
        lines = map(json.loads, self.witness.read_text().splitlines())
        return [line[what] for line in lines if what in line and pid in (None, line["pid"])]

    def _positions(self, pid: int) -> dict[str, Decimal] | None:
        found = self._heard(pid, "positions")
        return {pair: Decimal(net) for pair, net in found[-1].items()} if found else None

    def _evidence(self, truth: Mapping[str, Any], pid: int) -> Evidence:
        journals = self._journals()
        outputs = {
            f"journal {one.chain}": "\n".join(row.body.decode() for row in one.rows) for one in journals
        }
        outputs |= {"log": self.log.read_text(), "halt": self.halt_said, "witness": self.witness.read_text()}
        secrets = [value for name, value in self.environ.items() if name.endswith(("_KEY", "_SECRET"))]
        return Evidence(
            truth=truth, account=ACCOUNT, journals=journals, submitted=self._heard(None, "submitted"), refused=self._heard(None, "refused"),
            positions=self._positions(pid), cover_s=COVER_S, outputs=outputs, secrets=secrets, leaked=[],
        )  # fmt: skip

    async def _judge(self) -> None:
        truth, told, lives = await self.rig.venue.truth(), self.told, self.lives
        evidence = self._evidence(truth, lives[-1].pid)
        # Beside what was promised to the traders: every intent that any life made durable must come to an end.
        intents = [row.key for journal in evidence.journals for row in journal.of("intent")]
        every = replace(evidence, submitted=list(dict.fromkeys([*evidence.submitted, *intents])))
        cover = cover_in_time(truth, ACCOUNT, lives, COVER_S)
        told.verdicts = tuple(cover if verdict.oracle == "O3" else verdict for verdict in judge(every))
        told.uncovered = uncovered_time(truth, ACCOUNT, lives)
        told.orders, told.executions = len(truth["orders"]), len(truth["executions"])
        told.promises = len(evidence.submitted)
        told.broken += [f"{v.oracle}: {v.why}" for v in told.verdicts if v.holds is False]
        for what, found in (
            ("lost orders", lost_orders(every)),
            ("open after a proven halt, and no protection", unprotected_open(truth)),
            ("entries of a halted engine", entries_of_the_halted(truth, lives)),
            ("entries before cover", entries_before_cover(truth, ACCOUNT, lives)),
        ):
            if found:
                told.broken.append(f"{what}: {list(found)[:5]}")


def _bare_now(truth: Mapping[str, Any]) -> bool:
    meters = truth["cover"].get(ACCOUNT, {}).values()
    return any(interval["end_ns"] is None for meter in meters for interval in meter["intervals"])


def _made(path: Path) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('about', 'record')"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query).fetchone() == (2,)


def _tail(path: Path) -> str:
    return path.read_text()[-500:]
