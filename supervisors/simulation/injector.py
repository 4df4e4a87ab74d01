"""Carries a plan of faults out through the chaos hand: in a simulated world, or on real sockets.

Each fault is a task of its own: it waits for its time, acts, and takes back what it did when its time is over. What
this world cannot do is not tried; it is named, with the reason.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from allstop.actors.links.condition import DiskCondition, LinkCondition, Turned, Way
from allstop.supervisors.chaos.chaos import Chaos, ChaosError
from allstop.supervisors.simulation.faults import CATALOGUE, NOW, POINT_WAIT_S, Fault, Kind, Target, Value
from allstop.supervisors.simulation.plan import FaultPlan

# Orders and their protection travel on these: while one is away, so is the venue, whatever it thinks itself.
ORDER_LINKS = frozenset({"rest", "private"})


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one fault. `missed` says why nothing was done; empty: it was done."""

    fault: Fault
    missed: str = ""


class Injector:
    """One plan at a time. `counts` are the faults that were done, by kind; `cannot` the kinds of the plan that this
    world cannot do, with why; `injected` is everything in its order."""

    def __init__(self, chaos: Chaos, *, on_fault: Callable[[Injected], None] | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.cannot: dict[str, str] = {}
        self.injected: list[Injected] = []
        self._chaos = chaos
        self._on_fault = on_fault
        self._down = False  # a process that is dead cannot die

    async def run(self, plan: FaultPlan) -> None:
        """Returns when the plan is over, at `quiet_from_s` after the call, or as soon as the last fault is where that
        took longer; everything has healed then, and no fault is left in a venue. However it ends, it heals."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            async with asyncio.TaskGroup() as faults:
                for number, fault in enumerate(plan.faults):
                    lacking = self._lacking(CATALOGUE[fault.kind], fault)
                    if lacking:
                        self.cannot.setdefault(fault.kind, lacking)
                        self._told(fault, lacking)
                        continue
                    faults.create_task(self._one(number, fault, began_s), name=f"fault-{number}-{fault.kind}")
            await asyncio.sleep(max(0.0, began_s + plan.quiet_from_s - loop.time()))
        finally:
            await self._chaos.heal_all()
            await self._chaos.clear()

    def _lacking(self, kind: Kind, fault: Fault) -> str:
        """Why this fault cannot be done here; empty: it can."""
        chaos = self._chaos
        match kind.on:
            case Target.LINK if fault.target not in chaos.links:
                return f"there is no link {fault.target!r}"
            case Target.VENUE if fault.target not in chaos.venues:
                return f"no venue {fault.target!r} that does wrong on request"
            case _ if kind.not_in_real_time and not chaos.has_host:
                return kind.not_in_real_time
            case _:
                return ""

    async def _one(self, number: int, fault: Fault, began_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began_s + fault.at_s - loop.time()))
        kind = CATALOGUE[fault.kind]
        missed = await self._ACTS[kind.on](self, kind, fault, number)
        self._told(fault, missed)

    def _told(self, fault: Fault, missed: str) -> None:
        injected = Injected(fault=fault, missed=missed)
        self.injected.append(injected)
        if not missed:
            self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        if self._on_fault is not None:
            self._on_fault(injected)

    # -- one fault, from its beginning to its end; what it returns is why nothing was done ----------------------------

    async def _link(self, kind: Kind, fault: Fault, number: int) -> str:
        chaos, params = self._chaos, fault.params
        match kind.word:
            case "cut":
                await chaos.cut(fault.target)
                return ""
            case "cut_at_order":
                if why := await self._no_order(params):
                    return why
                await chaos.cut(fault.target)
                return ""
            case "cut_at_byte":
                way = Way(str(params["way"]))
                await chaos.cut_after(fault.target, int(params["bytes"]), way)
                await asyncio.sleep(fault.lasts_s)
                await chaos.cut_after(fault.target, None, way)
                return ""
            case _:
                pass
        if kind.away and fault.target in ORDER_LINKS:
            await self._away(fault.lasts_s)
        await chaos.lay(fault.target, number, _condition(kind.word, params))
        await asyncio.sleep(fault.lasts_s)
        await chaos.lift(fault.target, number)
        return ""

    async def _venue(self, kind: Kind, fault: Fault, _number: int) -> str:
        fields: dict[str, Any] = dict(fault.params)
        if kind.lasts is not None:
            fields["s"] = fault.lasts_s
        await self._chaos.fault(kind.word, venue=fault.target, **fields)
        await asyncio.sleep(fault.lasts_s)
        return ""

    async def _disk(self, kind: Kind, fault: Fault, number: int) -> str:
        chaos, chain, params = self._chaos, fault.target, fault.params
        match kind.word:
            case "slow":
                await chaos.lay_on_disk(chain, number, DiskCondition(commit_s=float(params["commit_s"])))
                await asyncio.sleep(fault.lasts_s)
                await chaos.lift_from_disk(chain, number)
            case "full":
                await chaos.lay_on_disk(chain, number, DiskCondition(full=True))
                await asyncio.sleep(fault.lasts_s)
                await chaos.lift_from_disk(chain, number)
            case "fsync":
                await chaos.fail_fsync(chain)
            case "torn":
                await chaos.tear(chain, float(params["keep"]))
                # Only while rows are on their way to the disk can half of them be on it.
                await chaos.moment(f"committing {chain}", POINT_WAIT_S)
                return await self._die(power=True, down_s=float(params["down_s"]))
            case _:
                if not await chaos.flip(chain, float(params["where"])):
                    return "no row was written yet"
                return await self._die(power=False, down_s=float(params["down_s"]))
        return ""

    async def _host(self, kind: Kind, fault: Fault, _number: int) -> str:
        chaos, params = self._chaos, fault.params
        match kind.name:
            case "process.stall":
                await chaos.stall(float(params["stall_s"]))
            case "clock.step":
                await chaos.step_clock(float(params["step_s"]))
                await asyncio.sleep(fault.lasts_s)
                await chaos.step_clock(-float(params["step_s"]))
            case "clock.drift":
                await chaos.drift_clock(float(params["ppm"]))
                await asyncio.sleep(fault.lasts_s)
                await chaos.drift_clock(0.0)
            case "operator.halt":
                await chaos.halt()
            case _:
                point = str(params["point"])
                if point != NOW:
                    await chaos.moment(point, POINT_WAIT_S)
                for _ in range(int(params["steps"])):
                    await asyncio.sleep(0)  # so many turns of the loop: the engine is that much further
                return await self._die(power=kind.word == "power_cut", down_s=float(params["down_s"]))
        return ""

    async def _actor(self, kind: Kind, fault: Fault, _number: int) -> str:
        chaos = self._chaos
        if kind.word == "kill_at_order" and (why := await self._no_order(fault.params)):
            return why
        among = chaos.matching(fault.target)
        if not among:
            return f"nobody runs at {fault.target}"
        path = among[int(float(fault.params["draw"]) * len(among))]
        match kind.word:
            case "kill" | "kill_at_order":
                await chaos.kill(path)
            case "crash":
                await chaos.crash(path)
            case _:
                if not await chaos.hold(path):
                    return f"{path} cannot be held now"
                await asyncio.sleep(fault.lasts_s)
                await chaos.release(path)
        return ""

    async def _no_order(self, params: dict[str, Value]) -> str:
        """Waits for the point of an order's way out, and so long and so many turns after it; why it is not there, or ""."""
        point = str(params["point"])
        if not await self._chaos.moment(point, POINT_WAIT_S):
            return f"nothing was {point}"
        if after_s := float(params["after_s"]):
            await asyncio.sleep(after_s)
        for _ in range(int(params["steps"])):
            await asyncio.sleep(0)
        return ""

    async def _die(self, *, power: bool, down_s: float) -> str:
        if self._down:
            return "the process is down already"
        self._down = True
        try:
            await self._away(down_s)  # who is not there reaches no venue
            await self._chaos.die(power=power, down_s=down_s)
        finally:
            self._down = False
        return ""

    async def _away(self, seconds: float) -> None:
        """The venue's truth counts this time as one in which nobody could reach it."""
        for venue in self._chaos.venues:
            if seconds > 0:
                await self._chaos.fault("unreachable", venue=venue, s=seconds)

    _ACTS: dict[Target, Callable[["Injector", Kind, Fault, int], Awaitable[str]]] = {
        Target.LINK: _link,
        Target.VENUE: _venue,
        Target.DISK: _disk,
        Target.HOST: _host,
        Target.ACTOR: _actor,
    }


def _condition(word: str, params: dict[str, Any]) -> LinkCondition:
    way = params.get("way")
    match word:
        case "delay":
            return LinkCondition(delay_s=float(params["delay_s"]), jitter_s=float(params["jitter_s"]))
        case "half_open":
            return LinkCondition(up_silent=True, down_silent=True)
        case "one_way":
            return LinkCondition(up_silent=way == Way.UP, down_silent=way == Way.DOWN)
        case "slow_reader":
            rate = float(params["bytes_per_s"])
            return (
                LinkCondition(up_bytes_per_s=rate) if way == Way.UP else LinkCondition(down_bytes_per_s=rate)
            )
        case "refused" | "dns" | "tls":
            return LinkCondition(turned=Turned(word))
        case _:
            raise ChaosError(f"no link does {word!r}")
