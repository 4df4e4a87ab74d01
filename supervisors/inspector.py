"""What a running engine tells people of its actors. It reads, and changes nothing: who wants to suspend an actor or
replace its state does that from code (`allstop.actors.runtime.inspection`), where it can be reviewed."""

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.events import CrashReport, Event
from allstop.actors.links.secrets import Redactor
from allstop.actors.rendering import fitted, shown
from allstop.actors.runtime import ActorDead, ActorSystem, DeadLetter, Ref, Statistics, Step, inspection

Message = dict[str, Any]

CRASHES_KEPT_MAX: Final = (
    64  # the latest of so many addresses: each keeps its exception, and so its frames, alive
)
TRACE_MAX_S: Final = 20.0  # the control socket waits 30 s for an answer
STEPS_MAX: Final = 500  # of a trace, with VALUE_CHARS_MAX each: an answer is at most 1 MiB
ACTORS_MAX: Final = 2_000
CHILDREN_MAX: Final = 100
LETTERS_MAX: Final = 200
VALUE_DEPTH: Final = 6
VALUE_CHARS_MAX: Final = 500
REPORT_CHARS_MAX: Final = 20_000
NEAR_MAX: Final = 5


class Inspector:
    """Of one system, from its start: it remembers the latest crash report of each address."""

    def __init__(self, system: ActorSystem, redactor: Redactor) -> None:
        self._system = system
        self._redactor = redactor
        self._crashes: OrderedDict[str, CrashReport] = OrderedDict()
        system.subscribe(self._note)

    def _note(self, event: Event) -> None:
        if isinstance(event, CrashReport):
            self._crashes[event.path] = event
            self._crashes.move_to_end(event.path)
            if len(self._crashes) > CRASHES_KEPT_MAX:
                self._crashes.popitem(last=False)

    # -- answers ---------------------------------------------------------------------------------------------------
    def actors(self) -> Message:
        """All that run, in the order they started."""
        found = self._system.actors()
        return {
            "actors": [
                {
                    "path": info.path,
                    "incarnation": info.incarnation,
                    "state": info.state,
                    "mailbox_len": info.mailbox_len,
                    "class": info.actor_class.__qualname__,
                }
                for info in found[:ACTORS_MAX]
            ],
            "more": max(0, len(found) - ACTORS_MAX),
        }

    async def actor(self, path: str, trace_s: float | None = None) -> Message:
        """One actor: what it is doing, its redacted state, its last crash; and its steps for the next `trace_s`.

        Raises BadInput, with addresses that look alike, where nothing ever ran, or for a trace out of bounds.
        """
        path = "/" + path.strip("/")
        if trace_s is not None and not 0 < trace_s <= TRACE_MAX_S:
            raise BadInput(
                Problem(f"a trace takes more than 0 and at most {TRACE_MAX_S:g} s, not {trace_s:g}")
            )
        running = {info.path for info in self._system.actors()}
        ref = self._system.address(path)
        if path not in running and path not in self._crashes and ref.last_exit is None:
            raise BadInput(Problem(f"nothing runs at {path}{alike(path, running)}"))
        traced = await self._traced(ref, trace_s) if trace_s is not None and path in running else {}
        crash = self._crashes.get(path)
        return self._hidden(
            {
                "path": path,
                "running": ref.is_alive(),
                "incarnation": ref.incarnation,
                "last_exit": str(ref.last_exit) if ref.last_exit is not None else None,
                **(await self._status(ref) if ref.is_alive() else {}),
                "last_crash": _crash(crash) if crash is not None else None,
                **traced,
            }
        )

    def dead_letters(self) -> Message:
        """The latest, oldest first, and how many there ever were, by cause."""
        letters = self._system.dead_letters
        return self._hidden(
            {
                "count": letters.count,
                "counts": letters.counts,
                "letters": [_letter(letter) for letter in letters.recent()[-LETTERS_MAX:]],
            }
        )

    # -- looking ---------------------------------------------------------------------------------------------------
    async def _status(self, ref: Ref) -> Message:
        status = await inspection.get_status(ref)
        return {
            "class": status.actor_class,
            "state": status.state,
            "suspended": status.suspended,
            "handling": status.handling,
            "mailbox_len": status.mailbox_len,
            "waiting": list(status.waiting),
            "control_len": status.control_len,
            "parent": status.parent,
            "children": list(status.children[:CHILDREN_MAX]),
            "children_count": len(status.children),
            "links": list(status.links[:CHILDREN_MAX]),
            "monitored_by": list(status.monitored_by[:CHILDREN_MAX]),
            "status": _value(status.shown) if status.shown is not None else None,
            "statistics": _statistics(status.statistics),
            "log": [_step(step) for step in status.log[-STEPS_MAX:]],
        }

    async def _traced(self, ref: Ref, trace_s: float) -> Message:
        steps: list[Step] = []
        seen = 0

        def hook(step: Step) -> None:
            nonlocal seen
            seen += 1
            if len(steps) < STEPS_MAX:
                steps.append(step)

        pinned = ref.pinned()
        counting = await inspection.statistics(pinned) is not None
        measured: Statistics | None = None
        try:
            await inspection.install(pinned, hook)
            measured = await inspection.statistics(pinned, None if counting else True)
            try:
                await asyncio.sleep(trace_s)
            finally:
                await inspection.remove(pinned, hook)
                measured = await inspection.statistics(pinned, None if counting else False)
        except ActorDead:  # it ended meanwhile: what was seen is worth the more
            pass
        return {
            "trace": [_step(step) for step in steps],
            "trace_more": seen - len(steps),
            "trace_statistics": _statistics(measured),
        }

    def _hidden(self, value: Any) -> Any:
        """Every text with the known secrets hidden: what actors show of themselves is theirs, and they may be wrong."""
        match value:
            case str():
                return self._redactor.text(value)
            case dict():
                return {self._hidden(name): self._hidden(part) for name, part in value.items()}
            case list():
                return [self._hidden(part) for part in value]
            case _:
                return value


def alike(path: str, paths: Iterable[str]) -> str:
    """The known addresses that somebody may have meant by `path`, as the end of a sentence; empty without any."""
    known = sorted(paths)
    name = path.rsplit("/", 1)[-1]
    near = difflib.get_close_matches(path, known, n=NEAR_MAX)
    near += [other for other in known if name and name in other.rsplit("/", 1)[-1] and other not in near]
    return f"; did you mean {', '.join(near[:NEAR_MAX])}?" if near else ""


def _value(value: Any) -> str:
    return fitted(shown(value, VALUE_DEPTH), VALUE_CHARS_MAX)


def _step(step: Step) -> Message:
    return {
        "at_ns": step.at_ns,
        "kind": step.kind.value,
        "called": step.called,
        "message": _value(step.message),
        "result": _value(step.result) if step.result is not None else None,
        "took_s": step.took_s,
    }


def _statistics(statistics: Statistics | None) -> Message | None:
    return None if statistics is None else msgspec.to_builtins(statistics)


def _crash(report: CrashReport) -> Message:
    return {
        "at_ns": report.at_ns,
        "incarnation": report.incarnation,
        "error": f"{type(report.error).__name__}: {report.error}",
        "report": report.render(depth=VALUE_DEPTH, chars_limit=REPORT_CHARS_MAX),
    }


def _letter(letter: DeadLetter) -> Message:
    return {
        "at_ns": letter.at_ns,
        "recipient": letter.recipient,
        "incarnation": letter.incarnation,
        "kind": letter.kind,
        "cause": fitted(str(letter.cause), VALUE_CHARS_MAX, single_line=True),
        "message": _value(letter.message),
    }
