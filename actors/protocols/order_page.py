"""The page `docs/order-life.md`, made from the table. `python -m allstop.actors.protocols.order_page` prints it."""

import sys

from allstop.actors.protocols.order_table import TABLE, Act, Event, State

_HEAD = """# The life of an order

<!-- Made from `actors/protocols/order_table.py`; a test compares them. -->

A cell says where an event leads; a dot leaves the state alone, a dash is illegal (a bug, which crashes the tracker).
Marks: `S` send if it may, `L` look up, `F` freeze the instrument, `T` thaw it, `E` the order is over,
`!` contradiction: freeze, and vote HALTED.

"""
_MARKS = {Act.SEND: "S", Act.LOOK_UP: "L", Act.FREEZE: "F", Act.THAW: "T", Act.END: "E", Act.SHOUT: "!"}


def page() -> str:
    """The whole page, one row per event and one column per state."""
    head = "| event | " + " | ".join(State) + " |\n"
    rule = "|---" * (len(State) + 1) + "|\n"
    rows = (f"| {event} | " + " | ".join(_shown(state, event) for state in State) + " |\n" for event in Event)
    return _HEAD + head + rule + "".join(rows)


def _shown(state: State, event: Event) -> str:
    cell = TABLE[state].get(event)
    if cell is None:
        return "-"
    marks = "".join(_MARKS[act] for act in cell.acts)
    if cell.state is state and not marks:
        return "."
    return f"{cell.state} {marks}".strip()


if __name__ == "__main__":
    sys.stdout.write(page())
