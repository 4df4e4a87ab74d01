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
from allstop.supervisors.chaos.ports import Engine, Link, Venue
from allstop.supervisors.chaos.victims import candidates, chosen

T = TypeVar("T")

# How often `wait_until_trading` looks, and how long it first leaves the engine to notice what was done to it.
LOOK_S = 0.02
NOTICE_S = 0.05
# A script of an hour that does ten things a second; what comes later is done and not written down.
ACTS_MAX = 36_000


class ChaosError(AllstopError):
    """The script asked for something that is not there: a link, a venue, a path."""


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
        self._clock = clock
        self._began_s = clock.now_s()
        self._on_act = on_act
        self._hurt: set[str] = set()  # links that are not whole

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

    # -- links -----------------------------------------------------------------------------------------------

    async def cut(self, link: str) -> int:
        """Resets the link's open connections. The number cut."""
        count = self._link(link).cut()
        self._did("cut", link, f"{count} connections")
        return count

    async def half_open(self, link: str) -> None:
        """Nothing passes on the link any more, and no one is told. Until `heal`."""
        self._link(link).half_open()
        self._hurt.add(link)
        self._did("half_open", link)

    async def delay(self, link: str, delay_s: float, jitter_s: float = 0.0) -> None:
        """Everything on the link comes later, by chance up to `jitter_s` more. Until `heal`."""
        self._link(link).delay(delay_s, jitter_s)
        self._hurt.add(link)
        self._did("delay", link, f"{delay_s} s, jitter {jitter_s} s")

    async def heal(self, link: str) -> None:
        """The link is whole again; what it held back passes first."""
        self._link(link).heal()
        self._hurt.discard(link)
        self._did("heal", link)

    async def heal_all(self) -> None:
        """Every link is whole again. Run for you when the script ends, however it ends."""
        for link in sorted(self._hurt):
            await self.heal(link)

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
