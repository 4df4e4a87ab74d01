"""A running actor and whatever anybody may tell it: acts are played in their order, and three things must hold.

An end has a reason that somebody wrote: a refusal of ours, or the sentence with which an actor says that it does not know
a message. A call is answered, if only by an error, within a time that has a bound. And what is told again leaves nothing
behind: the actor holds as much as before.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from allstop.actors.errors import AllstopError
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, CallTimeout, MailboxFull, Ref
from allstop.actors.runtime.inspection.status import status_of

ANSWER_S: Final = 60.0  # longer than any deadline, turn or search of ours
MAILBOX_MAX: Final = 10_000  # the largest that an actor of the product has
AGAIN: Final = 20
GROWTH_MAX: Final = (
    60  # entries: counters by name, a window of recent faults, answers that are still kept for a while
)
DEEP: Final = 7
# How an actor says that it does not know a message, and the runtime that a question was told and not asked.
KNOWN_WORDS: Final = ("takes no", "does not know", "defer() is for the handler of a call")


class Stray(msgspec.Struct, frozen=True):
    """A message that nobody knows."""

    word: str = "hello"


GARBAGE: Final[tuple[object, ...]] = (None, 7, "halt", b"", (), {"kind": "halt"}, Stray(), object, 1.5, ["x"])


class DyingAsker(Actor):
    """Asks, and is dead before it is answered."""

    def __init__(self, target: Ref) -> None:
        super().__init__()
        self._target = target

    async def on_receive(self, message: object) -> object:
        return await self._target.call(message, timeout_s=ANSWER_S)


class Theatre:
    """`system` and the address of the actor; `again` starts it as its supervisor would, when it has ended."""

    def __init__(self, system: ActorSystem, ref: Ref, again: Callable[[], Awaitable[object]]) -> None:
        self.system = system
        self.ref = ref
        self.told: list[object] = []
        self.ends: list[BaseException | None] = []
        self.answers: list[object] = []
        self._again = again
        self._calls: list[asyncio.Task[None]] = []
        self._killed = False

    # -- what anybody may do ----------------------------------------------------------------------------------

    async def tell(self, message: object) -> None:
        self.told.append(message)
        try:
            self.ref.tell(message)
        except (MailboxFull, ActorDead) as refused:
            self.answers.append(refused)
        await self.settle()

    async def call(self, message: object) -> None:
        """Asked beside everything else: the next act does not wait for the answer."""
        self._calls.append(asyncio.get_running_loop().create_task(self._asked(message)))
        await self.settle()

    async def call_and_die(self, message: object) -> None:
        """Somebody asks who is dead when the answer comes."""
        asker = await self.system.spawn(
            DyingAsker, self.ref, path=f"/asker-{len(self.answers)}-{id(message) % 997}"
        )
        asker.tell(message)
        await asyncio.sleep(0)
        self.system.kill(asker)
        await self.settle()

    async def kill(self) -> None:
        self._killed = True
        self.system.kill(self.ref)
        await self.settle()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.settle()

    async def flood(self, message: object, count: int) -> None:
        """So many at once, before anybody can handle one."""
        for _ in range(count):
            try:
                self.ref.tell(message)
            except (MailboxFull, ActorDead) as refused:
                self.answers.append(refused)
                break
        self.bounded()
        await self.settle()

    # -- what must hold -----------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Everything that is due now happens; an actor that ended has a reason, and is started again."""
        await asyncio.sleep(0.001)
        self.bounded()
        if self.ref.is_alive():
            return
        ended = self.ref.last_exit
        assert ended is not None, "it ended, and nobody knows how"
        error = ended.error
        if not self._killed:
            said = isinstance(error, AllstopError) or any(words in str(error) for words in KNOWN_WORDS)
            assert said, f"ended by {error!r}, and nobody wrote that as a reason; told {self.told[-3:]}"
        self._killed = False
        self.ends.append(error)
        await self._again()

    def bounded(self) -> None:
        status = status_of(self.ref)
        assert status is None or status.mailbox_len <= MAILBOX_MAX

    async def curtain(self) -> None:
        """Every call was answered; what was told is told again and again, and nothing grows."""
        if self._calls:
            _, silent = await asyncio.wait(self._calls, timeout=ANSWER_S + 1.0)
            assert not silent
        await self.settle()
        tellable = [message for message in self.told if not isinstance(message, tuple(map(type, GARBAGE)))]
        for message in tellable:
            await self.tell(message)
        await self.wait(30.0)
        held = entries(self.actor())
        for _ in range(AGAIN):
            for message in tellable:
                await self.tell(message)
        await self.wait(30.0)
        grown = entries(self.actor()) - held
        assert grown <= GROWTH_MAX, f"{grown} entries more after the same was told {AGAIN} times again"

    def actor(self) -> Any:
        return self.ref.cell.actor

    async def _asked(self, message: object) -> None:
        try:
            self.answers.append(await self.ref.call(message, timeout_s=ANSWER_S))
        except CallTimeout as silence:
            raise AssertionError(f"no answer to {message!r} in {ANSWER_S} s") from silence
        except (AllstopError, TypeError) as answer:
            self.answers.append(answer)


def entries(value: Any, deep: int = DEEP, seen: set[int] | None = None) -> int:
    """How many things an actor holds in its containers, and in those of what it owns."""
    seen = set() if seen is None else seen
    if deep == 0 or id(value) in seen or isinstance(value, (str, bytes, int, float, type, Ref, ActorSystem)):
        return 0
    seen.add(id(value))
    match value:
        case Mapping():
            return len(value) + sum(entries(one, deep - 1, seen) for one in value.values())
        case set() | frozenset() | deque():
            return len(value)
        case Sequence():
            return len(value) + sum(entries(one, deep - 1, seen) for one in value)
        case msgspec.Struct():
            return sum(entries(getattr(value, name), deep - 1, seen) for name in value.__struct_fields__)
        case _ if (
            type(value).__module__.startswith("allstop.actors") and ".runtime" not in type(value).__module__
        ):
            return sum(entries(one, deep - 1, seen) for one in parts(value))
        case _:
            return 0


def parts(value: Any) -> list[Any]:
    """The attributes of an object, by dictionary or by slots, without what belongs to everybody."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        found |= {
            name: getattr(value, name) for name in getattr(kind, "__slots__", ()) if hasattr(value, name)
        }
    return [
        one for name, one in found.items() if name not in ("system", "cell", "ref", "log", "world", "_world")
    ]
