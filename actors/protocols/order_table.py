"""The life of an order as one table: state x event -> next state and what to do.

    INTENT     durable, no bytes under way: it may be sent (for the first time, or again after a proven NO)
    SENT       one attempt is under way and not answered
    CHECKING   the venue said NO in a way that one search must confirm
    UNKNOWN    bytes left and no usable answer came: never sent again, looked up
    NEW, PARTIALLY_FILLED     the venue has it open
    FROZEN     the venue told a status that we do not know: looked up until it tells one that we do
    FILLED, CANCELED, EXPIRED, REJECTED     over, by the venue's word
    NOT_PLACED over, by proof that the venue never had it

What the rows make true, and the tests prove over every cell:

- an attempt starts from INTENT only: at most one is live, and nothing is sent again from UNKNOWN;
- a state is terminal only by a report, a proven NO, a proof of absence, or because nothing was ever sent;
- Inconclusive changes nothing;
- an execution may come before the answer to the submit; the answer, later, changes nothing;
- what the venue tells beats what we concluded: a report on an order that we hold for NOT_PLACED or REJECTED brings
  it back, freezes its instrument and is a contradiction to be shouted about.
"""

from enum import StrEnum
from typing import Final

import msgspec

from allstop.actors.reports import OrderStatus


class State(StrEnum):
    INTENT = "INTENT"
    SENT = "SENT"
    CHECKING = "CHECKING"
    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FROZEN = "FROZEN"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    NOT_PLACED = "NOT_PLACED"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL

    @property
    def open(self) -> bool:
        """The venue has it open, as far as we know."""
        return self in (State.NEW, State.PARTIALLY_FILLED)


TERMINAL: Final = frozenset({State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED, State.NOT_PLACED})
# In these the venue may hold more than we know: no increase on the instrument meanwhile.
UNSURE: Final = frozenset({State.UNKNOWN, State.CHECKING, State.FROZEN})


class Event(StrEnum):
    ATTEMPT = "attempt starts"
    ACCEPTED = "accepted"
    NO_FINAL = "proven NO"
    NO_AGAIN = "proven NO, may be sent again"
    NO_CHECK = "NO, to be confirmed"
    NOT_SENT = "not one byte sent"
    LOST = "outcome unknown"
    TOLD_NEW = "told: new"
    TOLD_PARTIAL = "told: partially filled"
    TOLD_FILLED = "told: filled"
    TOLD_CANCELED = "told: canceled"
    TOLD_EXPIRED = "told: expired"
    TOLD_REJECTED = "told: rejected"
    TOLD_STRANGE = "told: unknown status"
    ABSENT = "proven absent"
    CHECKED_AGAIN = "NO confirmed, may be sent again"
    CHECKED_FINAL = "NO confirmed"
    INCONCLUSIVE = "inconclusive"
    WITHHELD = "not to be sent"


class Act(StrEnum):
    """What the order's tracker does when it enters a cell."""

    SEND = "send, if it may"
    LOOK_UP = "look up"
    FREEZE = "freeze the instrument"
    THAW = "thaw the instrument"
    END = "end"
    SHOUT = "contradiction: vote HALTED"


class Cell(msgspec.Struct, frozen=True):
    """Where an event leads and what it asks for."""

    state: State
    acts: tuple[Act, ...] = ()


_TOLD: Final = {
    Event.TOLD_NEW: State.NEW,
    Event.TOLD_PARTIAL: State.PARTIALLY_FILLED,
    Event.TOLD_FILLED: State.FILLED,
    Event.TOLD_CANCELED: State.CANCELED,
    Event.TOLD_EXPIRED: State.EXPIRED,
    Event.TOLD_REJECTED: State.REJECTED,
    Event.TOLD_STRANGE: State.FROZEN,
}
EVENT_OF_STATUS: Final = {
    # pending_new: the venue has it and has not yet decided; it exists, so it is adopted like a new one.
    OrderStatus.PENDING_NEW: Event.TOLD_NEW,
    OrderStatus.NEW: Event.TOLD_NEW,
    OrderStatus.PARTIALLY_FILLED: Event.TOLD_PARTIAL,
    OrderStatus.FILLED: Event.TOLD_FILLED,
    OrderStatus.CANCELED: Event.TOLD_CANCELED,
    OrderStatus.EXPIRED: Event.TOLD_EXPIRED,
    OrderStatus.REJECTED: Event.TOLD_REJECTED,
    OrderStatus.UNRECOGNISED: Event.TOLD_STRANGE,
}


def _stays(state: State) -> dict[Event, Cell]:
    """Every event but a new attempt leaves the state alone; the rows below say where that is not so."""
    return {event: Cell(state) for event in Event if event is not Event.ATTEMPT}


def _adopts(leaving: State) -> dict[Event, Cell]:
    """The venue tells of the order while we wait: its word decides."""
    row: dict[Event, Cell] = {}
    for event, state in _TOLD.items():
        thaw = (Act.THAW,) if leaving in UNSURE and state is not State.FROZEN else ()
        freeze = (Act.FREEZE, Act.LOOK_UP) if state is State.FROZEN and leaving is not State.FROZEN else ()
        end = (Act.END,) if state.terminal else ()
        row[event] = Cell(state, (*thaw, *freeze, *end))
    return row


def _brought_back() -> dict[Event, Cell]:
    """The venue tells of an order that we held for never placed: it is right, and we were badly wrong."""
    row: dict[Event, Cell] = {}
    for event, state in _TOLD.items():
        if state is not State.REJECTED:
            look = (Act.LOOK_UP,) if state is State.FROZEN else ()
            row[event] = Cell(state, (Act.SHOUT, Act.FREEZE, *look, *((Act.END,) if state.terminal else ())))
    return row


TABLE: Final[dict[State, dict[Event, Cell]]] = {
    State.INTENT: {
        **_stays(State.INTENT),
        **_adopts(State.INTENT),
        Event.ATTEMPT: Cell(State.SENT),
        Event.WITHHELD: Cell(State.NOT_PLACED, (Act.END,)),
    },
    State.SENT: {
        **_stays(State.SENT),
        **_adopts(State.SENT),
        Event.ACCEPTED: Cell(State.NEW),
        Event.NO_FINAL: Cell(State.REJECTED, (Act.END,)),
        Event.NO_AGAIN: Cell(State.INTENT, (Act.SEND,)),
        Event.NO_CHECK: Cell(State.CHECKING, (Act.FREEZE, Act.LOOK_UP)),
        Event.NOT_SENT: Cell(State.INTENT, (Act.SEND,)),
        Event.LOST: Cell(State.UNKNOWN, (Act.FREEZE, Act.LOOK_UP)),
    },
    State.CHECKING: {
        **_stays(State.CHECKING),
        **_adopts(State.CHECKING),
        Event.CHECKED_AGAIN: Cell(State.INTENT, (Act.THAW, Act.SEND)),
        Event.CHECKED_FINAL: Cell(State.NOT_PLACED, (Act.THAW, Act.END)),
    },
    State.UNKNOWN: {
        **_stays(State.UNKNOWN),
        **_adopts(State.UNKNOWN),
        Event.ABSENT: Cell(State.NOT_PLACED, (Act.THAW, Act.END)),
    },
    State.NEW: {**_stays(State.NEW), **_adopts(State.NEW)},
    State.PARTIALLY_FILLED: {
        **_stays(State.PARTIALLY_FILLED),
        **_adopts(State.PARTIALLY_FILLED),
        Event.TOLD_NEW: Cell(State.PARTIALLY_FILLED),  # an older word, overtaken
    },
    State.FROZEN: {**_stays(State.FROZEN), **_adopts(State.FROZEN)},
    State.FILLED: _stays(State.FILLED),
    State.CANCELED: _stays(State.CANCELED),
    State.EXPIRED: _stays(State.EXPIRED),
    State.REJECTED: {**_stays(State.REJECTED), **_brought_back()},
    State.NOT_PLACED: {**_stays(State.NOT_PLACED), **_brought_back()},
}
