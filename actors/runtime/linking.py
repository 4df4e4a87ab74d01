"""Links: incarnations that end together, as OTP's processes do.

A link has no direction and belongs to two incarnations; a restart does not bring it back. When one of them ends, the
other ends at once with the same exit, as by a kill (no hook of it runs), and so do those that it is linked to. NORMAL
passes nobody on. An actor with `trap_exits` gets an ExitSignal instead, for every kind of end, by the control lane.

Whoever links has an entry in its belongings under each peer; whoever does not, has none and pays nothing. The entry
goes when its signal is handled, so a signal that waits when `unlink` comes finds no entry and is dropped.

Everything here runs on the loop's thread, except the forgetting.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.exits import Exit, ExitKind
from allstop.actors.runtime.messages import ExitSignal, LinkEnded
from allstop.actors.runtime.states import ENDED

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref


class Nobody:
    """Stands in the belongings for the peer of a link to an address where nothing ran."""

    __slots__ = ("path",)
    belongings: Final = None

    def __init__(self, path: str) -> None:
        self.path = path


def link(cell: "Cell", ref: "Ref") -> None:
    """Links to the incarnation that runs at `ref`. Where none runs, the link ends at once, with NOPROC."""
    if cell.ended:
        return
    peer = ref.cell
    if peer is cell:
        return
    if peer.ended:
        nobody = Nobody(ref.path)
        _links(cell)[nobody] = None
        pass_on([(cell, nobody, ExitSignal(ref, ref.incarnation, Exit(ExitKind.NOPROC, detail=ref.path)))])
        return
    _links(cell)[peer] = None
    _links(peer)[cell] = None


def forget(cell: "Cell", ref: "Ref") -> list[Any]:
    """Drops my side of every link to this address, and so the signals that wait. Gives the other sides. From my own
    thread."""
    links = cell.belongings.links if cell.belongings is not None else None
    if not links:
        return []
    peers = [peer for peer in tuple(links) if peer.path == ref.path]
    for peer in peers:
        links.pop(peer, None)
    return peers


def unlink(cell: "Cell", ref: "Ref", peers: list[Any]) -> None:
    """Drops the other sides. `peers` were forgotten before; a link that was under way meanwhile is dropped, too."""
    for peer in (*peers, *forget(cell, ref)):
        if peer.belongings is not None and peer.belongings.links is not None:
            peer.belongings.links.pop(cell, None)


def end_links(cell: "Cell", links: dict[Any, None], exit_: Exit) -> None:
    """This incarnation ended: its peers are told."""
    peers = tuple(links)
    links.clear()
    signal = ExitSignal(cell.ref, cell.incarnation, exit_)
    pass_on([(peer, cell, signal) for peer in peers if not peer.ended])


def pass_on(signals: "list[tuple[Cell, Any, ExitSignal]]") -> None:
    """One after the other: a kill that these cause adds its own to the end, so a long chain is no deep recursion."""
    if not signals:
        return
    system = signals[0][0].system
    if system.exit_signals is not None:
        system.exit_signals.extend(signals)
        return
    waiting = system.exit_signals = deque(signals)
    try:
        while waiting:
            _tell(*waiting.popleft())
    finally:
        system.exit_signals = None


def _tell(peer: "Cell", ended: Any, signal: ExitSignal) -> None:
    if peer.state is ENDED:
        return
    if peer.actor.trap_exits:
        peer.post(LinkEnded(ended, signal))
        return
    _links(peer).pop(ended, None)
    if signal.exit.kind is not ExitKind.NORMAL:
        peer.kill(peer.exit or signal.exit)  # what is winding down keeps its own exit


def received(cell: "Cell", message: LinkEnded) -> ExitSignal | None:
    """The signal to hand to the actor; None if the link was given up meanwhile."""
    links = cell.belongings.links if cell.belongings is not None else None
    if links is None or message.peer not in links:
        return None
    links.pop(message.peer, None)
    return message.signal


def _links(cell: "Cell") -> dict[Any, None]:
    belongings = cell.own()
    if belongings.links is None:
        belongings.links = {}
    return belongings.links
