"""The hand that breaks things: what a chaos script is given.

```python
async def chaos(chaos: Chaos) -> None:
    await chaos.wait_until_trading(10.0)
    await chaos.kill("/accounts/kraken.main/trading/session")
    await chaos.wait_until_trading(10.0)
```

Every act is written down with its time, so that a report can set what happened beside what was done. Chance comes
from one seeded dice: the same seed draws the same numbers, and in a simulated world does the same things.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from allstop.actors.clock import Clock, Dice, SeededDice
from allstop.actors.errors import AllstopError
from allstop.actors.links.condition import DiskCondition, LinkCondition, Way, worst_disk, worst_of
from allstop.supervisors.chaos.ports import Engine, Host, Link, Venue
from allstop.supervisors.chaos.victims import candidates, chosen, matching

T = TypeVar("T")

# How often `wait_until_trading` looks, and how long it first leaves the engine to notice what was done to it.
LOOK_S = 0.02
NOTICE_S = 0.05
# A script of an hour that does ten things a second; what comes later is done and not written down.
ACTS_MAX = 36_000


class ChaosError(AllstopError):
    """The script asked for something that is not there: a link, a venue, a machine, a path."""


class NotTrading(AllstopError):
    """The engine did not trade again in time; `obstacles` says what was in the way."""

    def __init__(self, timeout_s: float, obstacles: Sequence[str]) -> None:
        super().__init__(
            f"not trading after {timeout_s} s: {'; '.join(obstacles) or 'nothing is in the way'}"
        )
        self.timeout_s = timeout_s
        self.obstacles = tuple(obstacles)


class ChaosInjected(AllstopError):
    """The error that `crash` raises inside its victim."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done: when (seconds since the script began), what, to whom, and how."""

    at_s: float
    verb: str
    target: str
    detail: str = ""


class Chaos:
    """One script's hand on one engine. `links` and `venues` are what may be broken, by name."""

    def __init__(
        self,
        engine: Engine,
        *,
        links: Mapping[str, Link] | None = None,
        venues: Mapping[str, Venue] | None = None,
        host: Host | None = None,
        clock: Clock,
        seed: int | str = 0,
        on_act: Callable[[Act], None] | None = None,
    ) -> None:
        self.seed = seed
        self.dice: Dice = SeededDice(f"chaos:{seed}")
        self.acts: list[Act] = []
        self.unwritten = 0  # acts beyond ACTS_MAX
        self._engine = engine
        self._links = dict(links or {})
        self._venues = dict(venues or {})
        self._host = host
        self._clock = clock
        self._began_s = clock.now_s()
        self._on_act = on_act
        # What is wrong, in layers: several troubles at once, each of which heals by itself.
        self._layers: dict[str, dict[object, LinkCondition]] = {}
        self._disk_layers: dict[str, dict[object, DiskCondition]] = {}

    # -- actors ----------------------------------------------------------------------------------------------

    async def kill(self, path: str) -> None:
        """Ends the actor at this path by force; its supervisor sees a kill. Raises ChaosError when none runs there."""
        if not self._engine.kill(path):
            raise ChaosError(f"no actor runs at {path}")
        self._did("kill", path)
        await asyncio.sleep(0)

    async def kill_random(self, *, under: str = "/", spare: Collection[str] = ()) -> str | None:
        """Ends an actor below `under`, by the dice. Never the root or one of its own children, and nothing at or below
        a path in `spare`. The path, or None when nobody is there: chance may find an engine between two restarts."""
        draw = self.dice.draw()
        path = chosen(candidates(self._engine.paths(), under, spare), draw)
        if path is None or not self._engine.kill(path):
            self._did("kill_random", under, "nobody there")
            return None
        self._did("kill_random", path, f"draw {draw:.6f}")
        await asyncio.sleep(0)
        return path

    async def crash(self, path: str, message: str = "on request") -> None:
        """Raises ChaosInjected inside the actor or supervisor at this path. Raises ChaosError when none runs there."""
        if not self._engine.crash(path, ChaosInjected(message)):
            raise ChaosError(f"no actor runs at {path}")
        self._did("crash", path, message)
        await asyncio.sleep(0)

    def matching(self, pattern: str) -> Sequence[str]:
        """The running actors that a pattern names, sorted; `*` stands for one name in a path."""
        return matching(self._engine.paths(), pattern)

    async def hold(self, path: str) -> bool:
        """The actor at this path handles no message until `release`. False when none runs there that can be held."""
        held = await self._engine.hold(path)
        self._did("hold", path, "" if held else "nobody there")
        return held

    async def release(self, path: str) -> None:
        """Whoever runs at this path handles messages again."""
        await self._engine.release(path)
        self._did("release", path)

    async def stall(self, seconds: float) -> None:
        """Nothing runs for this long: the event loop stands still."""
        self._did("stall", "", f"{seconds} s")
        self._engine.stall(seconds)

    # -- links -----------------------------------------------------------------------------------------------

    @property
    def links(self) -> Sequence[str]:
        """The links there are, by name."""
        return sorted(self._links)

    async def cut(self, link: str) -> int:
        """Resets the link's open connections. The number cut."""
        count = self._link(link).cut()
        self._did("cut", link, f"{count} connections")
        return count

    async def half_open(self, link: str) -> None:
        """Nothing passes on the link any more, and no one is told. Until `heal`."""
        await self._lay(link, "half_open", LinkCondition(up_silent=True, down_silent=True))
        self._did("half_open", link)

    async def delay(self, link: str, delay_s: float, jitter_s: float = 0.0) -> None:
        """Everything on the link comes later, by chance up to `jitter_s` more. Until `heal`."""
        await self._lay(link, "delay", LinkCondition(delay_s=delay_s, jitter_s=jitter_s))
        self._did("delay", link, f"{delay_s} s, jitter {jitter_s} s")

    async def heal(self, link: str) -> None:
        """The link is whole again; what it held back passes first."""
        wire = self._link(link)
        self._layers.pop(link, None)
        for way in Way:
            wire.cut_after(None, way)
        await wire.become(LinkCondition())
        self._did("heal", link)

    async def heal_all(self) -> None:
        """Every link and disk is whole again. Run for you when the script ends, however it ends."""
        for link in sorted(self._layers):
            await self.heal(link)
        for chain in sorted(self._disk_layers):
            await self.heal_disk(chain)

    async def lay(self, link: str, key: object, condition: LinkCondition) -> None:
        """One more trouble on the link, beside those that it has, until `lift` with the same key."""
        await self._lay(link, key, condition)
        self._did("lay", link, _told(condition))

    async def lift(self, link: str, key: object) -> None:
        """One trouble less; the others go on. None of this key, or healed meanwhile: nothing is done."""
        layers = self._layers.get(link, {})
        if key in layers:
            del layers[key]
            await self._link(link).become(worst_of(*layers.values()))
            self._did("lift", link, _told(worst_of(*layers.values())))

    async def cut_after(self, link: str, count: int | None, way: Way) -> None:
        """The connection on which so many more bytes have passed in this direction is reset, in the middle of a frame
        if need be. None takes that back, and so does `heal`."""
        self._link(link).cut_after(count, way)
        self._layers.setdefault(link, {})
        self._did("cut_after", link, "taken back" if count is None else f"{count} bytes {way}")

    # -- venues ----------------------------------------------------------------------------------------------

    async def drop_reply(self, method: str, n: int = 1, *, venue: str | None = None) -> None:
        """The venue carries out the next `n` calls of this method and does not answer."""
        await self.fault("drop_reply", venue=venue, method=method, n=n)

    async def corrupt_frame(self, channel: str, n: int = 1, *, venue: str | None = None) -> None:
        """The next `n` frames of this channel arrive damaged."""
        await self.fault("corrupt_frame", venue=venue, channel=channel, n=n)

    async def fault(self, kind: str, *, venue: str | None = None, **fields: object) -> None:
        """Any other fault that the venue knows, by its own name and fields."""
        name, target = self._venue(venue)
        await target.fault(kind, **fields)
        self._did(kind, name, ", ".join(f"{k}={v}" for k, v in fields.items()))

    async def clear(self) -> None:
        """No venue has a fault set any more that has not come yet."""
        for name, venue in self._venues.items():
            await venue.clear()
            self._did("clear", name)

    @property
    def venues(self) -> Sequence[str]:
        """The venues there are, by name."""
        return sorted(self._venues)

    # -- the machine -----------------------------------------------------------------------------------------

    @property
    def has_host(self) -> bool:
        """Whether the machine below the engine can be hurt: only a simulated one can."""
        return self._host is not None

    async def moment(self, point: str, timeout_s: float) -> bool:
        """Waits until the engine is at this point of its work (ports.py names them). False: it did not come there."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._machine().moment(point)
        except TimeoutError:
            return False
        return True

    async def die(self, *, power: bool = False, down_s: float = 0.0) -> None:
        """The engine's process ends at whatever it waits for, and starts again on the same disk after `down_s`.
        `power`: what was not flushed is lost."""
        machine = self._machine()
        self._did("power_cut" if power else "kill_process", "", f"down {down_s} s")
        await machine.die(power=power, down_s=down_s)
        self._did("started", "")

    async def lay_on_disk(self, chain: str, key: object, condition: DiskCondition) -> None:
        """One more trouble with the disk under this chain, until `lift_from_disk` with the same key."""
        layers = self._disk_layers.setdefault(chain, {})
        layers[key] = condition
        self._machine().set_disk(chain, worst_disk(*layers.values()))
        self._did("disk", chain, _told(condition))

    async def lift_from_disk(self, chain: str, key: object) -> None:
        """One trouble less; the others go on."""
        layers = self._disk_layers.get(chain, {})
        if key in layers:
            del layers[key]
            self._machine().set_disk(chain, worst_disk(*layers.values()))
            self._did("disk", chain, _told(worst_disk(*layers.values())))

    async def heal_disk(self, chain: str) -> None:
        """The disk under this chain works again."""
        self._disk_layers.pop(chain, None)
        self._machine().set_disk(chain, DiskCondition())
        self._did("heal_disk", chain)

    async def fail_fsync(self, chain: str) -> None:
        """The next commit of this chain fails."""
        self._machine().fail_fsync(chain)
        self._did("fail_fsync", chain)

    async def tear(self, chain: str, keep: float) -> None:
        """At the next power cut, this part (0 to 1) of what was not flushed is on the disk, and the rest is not."""
        self._machine().tear(chain, keep)
        self._did("tear", chain, f"keep {keep}")

    async def flip(self, chain: str, where: float) -> bool:
        """One bit of a row that was written is another: `where` of all rows, 0 to 1. False: there is no row."""
        flipped = self._machine().flip(chain, where)
        self._did("flip", chain, f"at {where} of its rows" if flipped else "no row there")
        return flipped

    async def step_clock(self, seconds: float) -> None:
        """Sets the wall clock forward, or back."""
        self._machine().step_clock(seconds)
        self._did("step_clock", "", f"{seconds} s")

    async def drift_clock(self, ppm: float) -> None:
        """From now on the wall clock runs so many parts per million too fast. 0 ends that."""
        self._machine().drift_clock(ppm)
        self._did("drift_clock", "", f"{ppm} ppm")

    async def halt(self, by: str = "operator", reason: str = "on request") -> None:
        """Somebody at this machine halts, whether the engine runs or not."""
        self._did("halt", "", f"by {by}: {reason}")
        await self._machine().halt(by, reason)

    # -- time and chance -------------------------------------------------------------------------------------

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait_until_trading(self, timeout_s: float) -> float:
        """Waits until entries pass; the seconds that it took. Raises NotTrading. The engine is first left a moment to
        notice what was done to it: a gate that nobody has told yet still looks open."""
        began_s = self._clock.now_s()
        await asyncio.sleep(NOTICE_S)
        while obstacles := self._engine.obstacles():
            if self._clock.now_s() - began_s >= timeout_s:
                raise NotTrading(timeout_s, obstacles)
            await asyncio.sleep(LOOK_S)
        took_s = self._clock.now_s() - began_s
        self._did("trading", "", f"after {took_s:.3f} s")
        return took_s

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high`, by the dice."""
        return low + (high - low) * self.dice.draw()

    def choose(self, among: Sequence[T]) -> T:
        """One of them, by the dice. Raises ChaosError for none."""
        if not among:
            raise ChaosError("nothing to choose from")
        return among[int(self.dice.draw() * len(among))]

    # -- inside ----------------------------------------------------------------------------------------------

    def _link(self, name: str) -> Link:
        if name not in self._links:
            raise ChaosError(f"no link {name!r}; there are {_names(self._links)}")
        return self._links[name]

    async def _lay(self, link: str, key: object, condition: LinkCondition) -> None:
        wire = self._link(link)
        layers = self._layers.setdefault(link, {})
        layers[key] = condition
        await wire.become(worst_of(*layers.values()))

    def _machine(self) -> Host:
        if self._host is None:
            raise ChaosError("the machine of this engine is a real one: only a simulated one can be hurt")
        return self._host

    def _venue(self, name: str | None) -> tuple[str, Venue]:
        if name is None and len(self._venues) == 1:
            return next(iter(self._venues.items()))
        if name is None or name not in self._venues:
            raise ChaosError(f"which venue? {name!r} is none of {_names(self._venues)}")
        return name, self._venues[name]

    def _did(self, verb: str, target: str, detail: str = "") -> None:
        act = Act(at_s=self._clock.now_s() - self._began_s, verb=verb, target=target, detail=detail)
        if len(self.acts) < ACTS_MAX:
            self.acts.append(act)
        else:
            self.unwritten += 1
        if self._on_act is not None:
            self._on_act(act)


def _names(things: Mapping[str, object]) -> str:
    return ", ".join(sorted(things)) or "none"


def _told(condition: LinkCondition | DiskCondition) -> str:
    """What differs from a thing that works."""
    whole = type(condition)()
    wrong = {
        name: getattr(condition, name)
        for name in condition.__struct_fields__
        if getattr(condition, name) != getattr(whole, name)
    }
    return ", ".join(f"{name}={value}" for name, value in wrong.items()) or "whole"
