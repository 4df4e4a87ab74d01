"""`allstop demo`, the main job: the whole tree against the simulated Kraken; it trades, is hurt, recovers and halts.

Everything is real but the venue: sockets on loopback, SQLite with fsync, the command line that halts. The venue is a
process of its own, and what it says of the run afterwards is what the oracles go by.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec

from allstop.actors.clock import Clock, SeededDice, SystemClock
from allstop.actors.commands import CoverView, GetOrders, OrderView
from allstop.actors.errors import AllstopError, BadInput, Problem, Refused
from allstop.actors.intents import OrderIntent, Side, StopLoss
from allstop.actors.levels import Level
from allstop.actors.links.latch import read_latch
from allstop.actors.ports import World
from allstop.actors.runtime import ActorDead, CallTimeout, MailboxFull
from allstop.supervisors.build import Runtime, real_world
from allstop.supervisors.chaos import Act, NotTrading, load_script, run_script
from allstop.supervisors.chaos.running import chaos_on
from allstop.supervisors.cli.logs import log_to
from allstop.supervisors.demo.report import EventCount, Report, make_report, unprotected_open
from allstop.supervisors.demo.rig import Rig
from allstop.supervisors.demo.tap import Tap
from allstop.supervisors.demo.trader import GetTrades, Trades
from allstop.supervisors.demo.tree import PAIRS, tree
from allstop.supervisors.oracles import Evidence, Verdict, judge, read_journal

COVER_S = 2.0
HALT_WAIT_S = 10.0
SETTLE_S = 3.0  # for tasks that end after their owner: closing sockets
DEMO_MAX_S = 55.0  # the promise is under 60 s; the chaos script gets what is left of it
AFTER_CHAOS_S = 12.0  # halting, proving, stopping, starting halted, judging
# Finding out what became of an order takes a deadline and two complete searches, on a key that may have few calls left.
# It is waited for at the end, but not beyond what stopping and judging need of the demo's time.
DOUBT_S = 15.0
STOPPING_S = 6.0
IN_DOUBT = frozenset({"SENT", "UNKNOWN", "CHECKING"})
LOOK_S = 0.1
MARKET_FALL = Decimal("0.99")  # deep enough to trigger every stop of the demo's trader
INJURIES_SPARED = ("trading", "heal")  # acts of a script that hurt nothing


OVER = ("stopped", "judging", "done")  # phases in which the tree no longer runs


class DemoFailed(AllstopError):
    """The demo could not be carried through: what did not happen, and when."""


@dataclass
class Demo:
    """A run under way: what a view shows of it."""

    seed: int
    clock: Clock
    began_s: float
    runtime: Runtime | None = None  # once it runs
    events: EventCount = field(default_factory=EventCount)
    acts: list[Act] = field(default_factory=list[Act])
    phase: str = "starting"
    injuries_ns: list[int] = field(default_factory=list[int])
    trades: dict[str, Trades] = field(default_factory=dict[str, Trades])
    cover: CoverView | None = None
    truth: dict[str, Any] = field(default_factory=dict[str, Any])
    orders: Counter[str] = field(default_factory=Counter[str])  # by state; kept only while somebody watches


Watch = Callable[[Demo], None]


def chaos_script_path() -> Path:
    """The demo's chaos script: in the package when it is installed, in examples/ beside the code in a checkout."""
    here = Path(__file__).resolve()
    for path in (here.with_name("chaos_demo.py"), here.parents[2] / "examples" / "chaos_demo.py"):
        if path.is_file():
            return path
    raise BadInput(Problem("the demo's chaos script is missing: examples/chaos_demo.py"))


async def run_demo(
    seed: int, *, watch: Watch | None = None, keep: Path | None = None
) -> tuple[Report, Sequence[Verdict]]:
    """One demo. `watch` is called whenever there is something new to show; `keep` is a directory to leave the
    journals, the latch and the log in. Raises DemoFailed when it cannot be carried through."""
    clock = SystemClock()
    began_s = clock.now_s()
    demo = Demo(seed, clock, began_s)
    show = watch or _nobody
    state_dir = Path(tempfile.mkdtemp(prefix="allstop-demo-"))
    logs = StringIO()
    try:
        async with AsyncExitStack() as stack:
            show(demo)
            rig = await stack.enter_async_context(Rig("--seed", f"demo-{seed}"))
            environ = {**rig.environ, "ALLSTOP_DEMO_STATE_DIR": str(state_dir)}
            tap, world = _tapped(real_world(state_dir), seed)
            before = asyncio.all_tasks()
            runtime = Runtime(tree(environ), world=world, environ=environ)
            log_to(logs, "info", runtime.redactor)
            async with runtime:
                demo.runtime = runtime
                runtime.system.subscribe(demo.events)
                show(demo)
                try:
                    await _hurt(demo, rig, show, DEMO_MAX_S - AFTER_CHAOS_S - (clock.now_s() - began_s))
                finally:
                    demo.truth = await rig.venue.truth()
                demo.phase = "halting"
                show(demo)
                said = await _halt_by_command(state_dir)
                await _beyond_doubt(
                    runtime, clock, min(clock.now_s() + DOUBT_S, began_s + DEMO_MAX_S - STOPPING_S)
                )
                demo.trades = await _trades(runtime)
                demo.cover = await _cover(runtime)
            demo.phase = "stopped"
            show(demo)
            leaked = [*runtime.leaked, *await _left_over(before)]
            latched_at_ns = read_latch(state_dir).at_ns
            demo.truth = await rig.venue.truth()
            refusal = await _starts_halted(environ, world)
            demo.phase = "judging"
            show(demo)
            truth = demo.truth = await rig.venue.truth()
            evidence = _evidence(
                demo,
                truth,
                state_dir,
                environ,
                {"log": logs.getvalue(), "halt": said, "refusal": refusal},
                leaked,
            )
            verdicts = judge(evidence)
            report = make_report(
                seed=seed, duration_s=clock.now_s() - began_s, evidence=evidence, verdicts=verdicts, events=demo.events,
                frames_in=tap.frames_in, checksums=_checksums(tap, environ), injuries_ns=demo.injuries_ns, latched_at_ns=latched_at_ns,
            )  # fmt: skip
            if left := unprotected_open(truth):
                raise DemoFailed(f"halted, and yet open without being protection: {left}")
            demo.phase = "done"
            show(demo)
            return report, verdicts
    finally:
        _put_away(
            state_dir,
            keep,
            {"log.ndjson": logs.getvalue(), "truth.json": msgspec.json.encode(demo.truth).decode()},
        )


def _put_away(state_dir: Path, keep: Path | None, files: Mapping[str, str]) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copytree(state_dir, keep, dirs_exist_ok=True)
        for name, text in files.items():
            (keep / name).write_text(text)
    shutil.rmtree(state_dir, ignore_errors=True)


def _tapped(real: World, seed: int) -> tuple[Tap, World]:
    tap = Tap(real.connect_websocket)
    world = replace(real, dice=SeededDice(f"demo:{seed}"), connect_websocket=tap)
    return tap, world


def _nobody(_: Demo) -> None:
    """Nobody watches."""


async def _hurt(demo: Demo, rig: Rig, show: Watch, budget_s: float) -> None:
    """Trades while the chaos script does its worst, lets the market fall through the stops, and trades once more."""
    runtime = demo.runtime
    assert runtime is not None

    def acted(act: Act) -> None:
        demo.acts.append(act)
        if act.verb not in INJURIES_SPARED and act.detail != "nobody there":
            demo.injuries_ns.append(runtime.system.clock.wall_ns())
        show(demo)

    chaos = chaos_on(runtime, seed=demo.seed, links=rig.links, venues={"kraken": rig.venue}, on_act=acted)
    demo.phase = "trading, under chaos"
    showing = asyncio.ensure_future(_keep_showing(demo, show)) if show is not _nobody else None
    try:
        async with asyncio.timeout(budget_s):
            await run_script(load_script(chaos_script_path()), chaos)
            demo.phase = "the market falls"
            await _market_falls(rig)
            await chaos.wait_until_trading(10.0)
    except TimeoutError:
        raise DemoFailed(
            f"the chaos script did not end within {budget_s:.0f} s; last: {demo.acts[-1:]}"
        ) from None
    except NotTrading as error:
        raise DemoFailed(str(error)) from error
    finally:
        if showing is not None:
            showing.cancel()


async def _market_falls(rig: Rig) -> None:
    """A public trade far below: every stop triggers, at the venue, without us."""
    truth = await rig.venue.truth()
    for pair in PAIRS:
        prices = [Decimal(one["price"]) for one in truth["executions"] if one["symbol"] == pair]
        if prices:
            price = (min(prices) * MARKET_FALL).quantize(prices[0])
            await rig.venue.fault("print", symbol=pair, price=str(price))


async def _keep_showing(demo: Demo, show: Watch) -> None:
    """Something to look at, four times a second; the orders are counted once a second, by their own actor."""
    assert demo.runtime is not None
    while True:
        demo.orders = await _order_counts(demo.runtime) or demo.orders
        for _ in range(4):
            await asyncio.sleep(0.25)
            show(demo)


async def _order_counts(runtime: Runtime) -> Counter[str]:
    """How many orders are in which state; empty while `orders` is down or has better things to do."""
    try:
        views: list[OrderView] = await runtime.orders().call(GetOrders(open_only=False), timeout_s=0.5)
    except (ActorDead, CallTimeout, MailboxFull):
        return Counter()
    return Counter(str(view.state) for view in views)


async def _beyond_doubt(runtime: Runtime, clock: Clock, until_s: float) -> None:
    """Until it is known of every order whether the venue has it. What is still in doubt then is judged as it stands."""
    while clock.now_s() < until_s:
        counts = await _order_counts(runtime)
        if counts and not counts.keys() & IN_DOUBT:
            return
        await asyncio.sleep(LOOK_S)


async def _halt_by_command(state_dir: Path) -> str:
    """As an operator would: `allstop halt` in a process of its own. What it printed, which must say "proven"."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from allstop.supervisors.cli import main; main()", "halt", "--state-dir", str(state_dir),
        "--by", "demo", "--reason", "the demo is over", "--wait", str(HALT_WAIT_S), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(HALT_WAIT_S + 10.0):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise DemoFailed("`allstop halt` did not come back") from None
    said = out.decode()
    if process.returncode != 0 or json.loads(said).get("proven") is not True:
        raise DemoFailed(f"the halt was not proven: {said}{err.decode()}")
    return said


async def _trades(runtime: Runtime) -> dict[str, Trades]:
    found: dict[str, Trades] = {}
    for pair in PAIRS:
        trader = runtime.address(f"/strategies/trader.{pair.replace('/', '-')}")
        try:
            found[pair] = await trader.call(GetTrades(), timeout_s=5.0)
        except (ActorDead, CallTimeout) as error:
            raise DemoFailed(f"the trader of {pair} does not answer: {error}") from error
    return found


async def _cover(runtime: Runtime) -> CoverView:
    return await runtime.cover("kraken.main")


async def _left_over(before: set["asyncio.Task[Any]"]) -> list[str]:
    """Tasks and threads of the engine that are still there after it stopped. Closing sockets get a moment."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + SETTLE_S
    while True:
        current = asyncio.current_task()
        tasks = [t for t in asyncio.all_tasks() - before if t is not current and not _of_the_rig(t)]
        threads = [
            t.name
            for t in threading.enumerate()
            if t is not threading.main_thread() and not t.daemon and not t.name.startswith("asyncio_")
        ]
        if (not tasks and not threads) or loop.time() > deadline_s:
            return [*(repr(task.get_coro()) for task in tasks), *threads]
        await asyncio.sleep(0.05)


def _of_the_rig(task: "asyncio.Task[Any]") -> bool:
    """The fault proxies stand outside of the engine, in this process: their tasks are not the engine's."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and (
        "fault_proxy" in code.co_filename or code.co_filename.endswith("asyncio/streams.py")
    )


async def _starts_halted(environ: Mapping[str, str], world: World) -> str:
    """A new engine on the same state directory: it must be halted, and refuse an entry. The refusal, in words."""
    async with Runtime(tree(environ), world=world, environ=environ) as runtime:
        if runtime.levels.effective(()) is not Level.HALTED:
            raise DemoFailed("the engine was halted, and started again unhalted")
        instrument = runtime.instruments[PAIRS[0]]
        intent = OrderIntent(
            pair=PAIRS[0], side=Side.BUY, qty=instrument.min_qty, limit_price=instrument.tick_size * 1000,
            stop=StopLoss(trigger_price=instrument.tick_size * 900),
        )  # fmt: skip
        try:
            await runtime.submit(intent)
        except Refused as refused:
            return str(refused)
        raise DemoFailed("a halted engine took an entry")


def _evidence(
    demo: Demo, truth: Mapping[str, Any], state_dir: Path, environ: Mapping[str, str], outputs: dict[str, str], leaked: list[str]
) -> Evidence:  # fmt: skip
    journals = [read_journal(path) for path in sorted(state_dir.glob("journal-*.db"))]
    for journal in journals:
        outputs[f"journal {journal.chain}"] = "\n".join(row.body.decode() for row in journal.rows)
    outputs["halt.json"] = (state_dir / "halt.json").read_text()
    outputs["truth of the engine"] = msgspec.json.encode(demo.cover).decode()
    assert demo.cover is not None
    return Evidence(
        truth=truth,
        account="main",
        journals=journals,
        submitted=[one for trades in demo.trades.values() for one in trades.submitted],
        refused=[one for trades in demo.trades.values() for one in trades.refused],
        positions={cover.pair: cover.net for cover in demo.cover.pairs if cover.net},
        cover_s=COVER_S,
        outputs=outputs,
        secrets=[value for name, value in environ.items() if name.endswith(("_KEY", "_SECRET"))],
        leaked=leaked,
    )


def _checksums(tap: Tap, environ: Mapping[str, str]) -> tuple[int, int]:
    verdicts = tap.verdicts(environ["ALLSTOP_DEMO_PUBLIC_URL"])
    return sum(v.checksums_ok for v in verdicts), sum(v.checksums_bad for v in verdicts)
