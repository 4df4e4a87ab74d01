"""Which order frames may leave: a frame answers to a committed record, once. Pure; `egress` asks it before each send.

The book learns only from what the journal has committed. A submit is cleared by an attempt that was journalled and
has not ended, a cancel or an amend by a command that was journalled. Clearing is used up: a second frame of the same
attempt, and a second amend of the same command, is refused (a cancel may be split into batches, and repeated it does
no harm). Attempts and commands of an earlier incarnation are never cleared: nobody here knows whether they were sent.

A refusal is `loud` when no bug-free engine can produce it (Knight's dead code sending orders): it halts. It is quiet
when it is this check doing its daily work: an attempt that was given up while its frame still waited in a queue.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from allstop.actors.errors import RefusalCode
from allstop.actors.levels import IntentKind, Origin, Scope
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    CommandEnded,
    CommandIntended,
    IntentCommitted,
    LookupDone,
    Opaque,
    Record,
    Terminal,
    Withheld,
)

# A frame of an order that is over is late, not stray, if the order ended among the last so many: at 20 orders a
# second this is nearly an hour, and a frame waits seconds.
OVER_MAX: Final = 65_536


class OrderFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender is about to send. `subject` is the intent's id and `attempt` counts from 1; for a cancel or an
    amend, `subject` is the command's id and `attempt` is 0."""

    kind: IntentKind
    subject: str
    scope: Scope
    attempt: int = 0
    origin: Origin = Origin.STRATEGY
    deadline_s: float = 0.0


class Refusal(msgspec.Struct, frozen=True):
    code: RefusalCode
    message: str
    loud: bool = False
    uncommitted: bool = False  # nothing like it was ever committed


class _Intent(msgspec.Struct):
    kind: IntentKind
    origin: Origin
    scope: Scope
    clear: set[int] = msgspec.field(default_factory=set[int])  # started, not ended, not used
    known: int = 0  # the highest attempt ever started


class _Command(msgspec.Struct):
    verb: str
    kind: IntentKind
    origin: Origin
    scope: Scope
    clear: bool = True


class Clearances:
    """The committed facts that frames answer to, of orders that are not over."""

    def __init__(self) -> None:
        self._intents: dict[str, _Intent] = {}
        self._commands: dict[str, _Command] = {}
        self._over: OrderedDict[str, None] = OrderedDict()

    def learn(self, record: Record | Opaque) -> None:
        """Takes in a committed record."""
        match record:
            case IntentCommitted(intent=intent):
                self._intents.setdefault(intent.id, _Intent(intent.kind, record.origin, record.scope))
            case AttemptStarted(intent_id=intent_id, attempt=attempt) if intent_id in self._intents:
                known = self._intents[intent_id]
                if attempt > known.known:
                    known.known = attempt
                    known.clear = {attempt}
            case AttemptEnded(intent_id=intent_id, attempt=attempt) if intent_id in self._intents:
                self._intents[intent_id].clear.discard(attempt)
            case CommandIntended(command_id=command_id):
                self._commands[command_id] = _Command(record.verb, record.kind, record.origin, record.scope)
            case CommandEnded(command_id=command_id):
                if self._commands.pop(command_id, None) is not None:
                    self._ended(command_id)
            case (
                Terminal(intent_id=intent_id)
                | Withheld(intent_id=intent_id)
                | LookupDone(intent_id=intent_id, verdict="absent")
            ):
                if self._intents.pop(intent_id, None) is not None:
                    self._ended(intent_id)
            case _:
                pass

    def start_afresh(self) -> None:
        """What was under way before now may have been sent or not: none of it is cleared any more."""
        for intent in self._intents.values():
            intent.clear.clear()
        for command in self._commands.values():
            command.clear = False

    def about(self, subject: str) -> tuple[IntentKind, Origin, Scope] | None:
        """Of what kind, by whom and where a committed intent or command is; None when it is not known or over."""
        known = self._intents.get(subject) or self._commands.get(subject)
        return None if known is None else (known.kind, known.origin, known.scope)

    def refusal(self, frame: OrderFrame) -> Refusal | None:
        """Why the frame may not leave, or None. Asking uses nothing up."""
        if frame.subject in self._over:
            return Refusal(RefusalCode.EXPIRED, f"{frame.subject} is over")
        if frame.attempt == 0:
            return self._command_refusal(frame)
        intent = self._intents.get(frame.subject)
        if intent is None:
            return _stray(f"no committed intent {frame.subject!r}", uncommitted=True)
        if (frame.kind, frame.origin, frame.scope) != (intent.kind, intent.origin, intent.scope):
            return _stray(f"{frame.subject}: the frame is not what was committed")
        if frame.attempt > intent.known:
            return _stray(f"{frame.subject}: attempt {frame.attempt} was never committed", uncommitted=True)
        if frame.attempt not in intent.clear:
            return Refusal(
                RefusalCode.FENCED, f"{frame.subject}: attempt {frame.attempt} was used or given up"
            )
        return None

    def use(self, frame: OrderFrame) -> None:
        """The frame leaves now."""
        if frame.attempt:
            self._intents[frame.subject].clear.discard(frame.attempt)
        elif (command := self._commands[frame.subject]).verb != "cancel":
            command.clear = False

    def _command_refusal(self, frame: OrderFrame) -> Refusal | None:
        command = self._commands.get(frame.subject)
        if command is None:
            return _stray(f"no committed command {frame.subject!r}", uncommitted=True)
        if (frame.kind, frame.origin, frame.scope) != (command.kind, command.origin, command.scope):
            return _stray(f"{frame.subject}: the frame is not what was committed")
        if not command.clear:
            return Refusal(RefusalCode.FENCED, f"command {frame.subject} was used or given up")
        return None

    def _ended(self, subject: str) -> None:
        self._over[subject] = None
        if len(self._over) > OVER_MAX:
            self._over.popitem(last=False)


def _stray(message: str, *, uncommitted: bool = False) -> Refusal:
    return Refusal(RefusalCode.NOT_COMMITTED, message, loud=True, uncommitted=uncommitted)
