"""The order gate: entries pass while every condition is proven, and their instrument is not frozen.

    session      the private connection is up and authenticated
    stream       each private subscription delivers, by its own cadence
    sequence     nothing is missing from the stream
    reconciled   orders, positions and balances were compared with the venue's after the last break
    clock        ours and the venue's are close enough
    budget       the venue's limits leave room
    guardian     the account's guardian can read the venue, and has audited every position's cover

Whoever knows tells the gate a `Proof`, with its time; it holds until the same name is told otherwise, or until the
actor that told it dies. The gate starts closed, and asks those who outlive it to tell it anew. Cancels, protection and
reductions do not pass it: they must not wait for proofs.

`GateBoard` is what others read, at once and without a message. The actor is its one writer for proofs; an order's own
tracker freezes and thaws the instrument, at the moment it knows, because a message would leave a gap.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from allstop.actors.commands import GateStatus, Proof, ProveAgain
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exits import Exit
from allstop.actors.levels import IntentKind
from allstop.actors.runtime import Actor, Down, Mailbox, MonitorRef, Overflow, Ref

PROOFS: Final = ("session", "stream", "sequence", "reconciled", "clock", "budget", "guardian")


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """The gate as it stands. `missing`: what is not proven. `freezes`: instrument -> reasons."""

    open: bool
    proofs: dict[str, Proof]
    missing: tuple[str, ...]
    freezes: dict[str, tuple[str, ...]]


class Evidence(msgspec.Struct, frozen=True):
    """The proofs that were told, by name. A value: each change makes a new one."""

    proofs: dict[str, Proof] = msgspec.field(default_factory=dict[str, Proof])

    def told(self, proof: Proof) -> "Evidence":
        """With this proof. An older word than the one that stands is left out. Raises ValueError for a name that is
        not one of PROOFS."""
        if proof.name not in PROOFS:
            raise ValueError(f"{proof.name!r} is none of {', '.join(PROOFS)}")
        known = self.proofs.get(proof.name)
        if known is not None and proof.at_s < known.at_s:
            return self
        return Evidence({**self.proofs, proof.name: proof})

    def without(self, by: str) -> "Evidence":
        """Without what `by` told: it is dead, and nobody knows whether it still holds."""
        return Evidence({name: proof for name, proof in self.proofs.items() if proof.by != by})

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in PROOFS if not (p := self.proofs.get(name)) or not p.holds)


class GateBoard:
    """One per account, made when the tree is built. Reading is a plain call on the loop. `commit_max_s`: how long an
    intent may wait for its row for its entry to be sent."""

    def __init__(self, commit_max_s: float = math.inf) -> None:
        self._commit_max_s = commit_max_s
        self._commit_s = 0.0
        self._evidence = Evidence()
        self._missing = PROOFS
        self._alive: Callable[[], bool] = lambda: False
        self._freezes: dict[str, dict[str, str]] = {}

    @property
    def open(self) -> bool:
        """Entries pass, on instruments that are not frozen."""
        return not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        return self._missing if self._alive() else PROOFS

    def refusal(self, kind: IntentKind, pair: str) -> Refused | None:
        """Why an intent may not pass now, or None."""
        if kind is not IntentKind.ENTRY:
            return None
        if missing := self.missing:
            return Refused(RefusalCode.GATE_CLOSED, f"not proven: {', '.join(missing)}", place=pair)
        if freezes := self._freezes.get(pair):
            return Refused(RefusalCode.INSTRUMENT_FROZEN, "; ".join(freezes.values()), place=pair)
        return None

    def wrote(self, waited_s: float) -> None:
        """By `orders`: so long its last intents waited for their rows."""
        self._commit_s = waited_s

    def late(self, kind: IntentKind) -> Refused | None:
        """Why a committed intent may not be sent now, or None. A stop that were missing would wait for several rows; who
        waited for one too long himself enters nothing. Each intent tries the disk anew."""
        if kind is not IntentKind.ENTRY or self._commit_s <= self._commit_max_s:
            return None
        why = f"the disk took {self._commit_s:.3f} s to commit it, over {self._commit_max_s:g}: its stop might be late"
        return Refused(RefusalCode.GATE_CLOSED, why)

    def freeze(self, pair: str, by: str, reason: str) -> None:
        """No entries on the instrument until `by` thaws it."""
        self._freezes.setdefault(pair, {})[by] = reason

    def thaw(self, pair: str, by: str) -> None:
        freezes = self._freezes.get(pair, {})
        freezes.pop(by, None)
        if not freezes:
            self._freezes.pop(pair, None)

    def frozen_by(self, by: str) -> set[str]:
        """The instruments that `by` has frozen."""
        return {pair for pair, freezes in self._freezes.items() if by in freezes}

    def thaw_all(self) -> None:
        """For `orders` when it starts: it folds the journal and finds anew what must be frozen."""
        self._freezes.clear()

    def view(self) -> GateView:
        return GateView(
            open=self.open,
            proofs=dict(self._evidence.proofs),
            missing=self.missing,
            freezes={pair: tuple(reasons.values()) for pair, reasons in self._freezes.items()},
        )

    def show(self, evidence: Evidence, alive: Callable[[], bool]) -> None:
        """By the gate's actor: what it knows, and whether it still lives to know better."""
        self._evidence, self._alive = evidence, alive
        self._missing = evidence.missing


class GateWord:
    """What one prover tells a gate: only what is news to the incarnation of it that runs. A gate that is down is told
    nothing; the next one asks, or is told with the prover's next word."""

    def __init__(self, gate: Ref) -> None:
        self._gate = gate
        self._told: tuple[int, bool, str] | None = None

    def knows(self, *, holds: bool, reason: str) -> bool:
        """Whether the incarnation that runs was told just this: no proof has to be made then."""
        return self._told == (self._gate.incarnation, holds, reason)

    def tell(self, proof: Proof) -> None:
        gate = self._gate
        word = (gate.incarnation, proof.holds, proof.reason)
        if word == self._told or not gate.is_alive():
            return
        # First: a gate that dies before it has read our word is another one, and is told.
        self._told = word
        gate.tell(proof)


class OrderGate(Actor):
    """Takes proofs in and keeps the board true. Told `Proof`, asked `GateStatus` (answered with a GateView)."""

    # Proofs are told at changes and by heartbeats of a few actors; a lost one could leave the gate wrongly open.
    mailbox = Mailbox(capacity=1000, overflow=Overflow.REFUSE)

    def __init__(self, board: GateBoard, provers: tuple[Ref, ...] = ()) -> None:
        """`provers`: those that outlive the gate, and are asked to tell a new one what they prove."""
        super().__init__()
        self._board = board
        self._provers = provers
        self._evidence = Evidence()
        self._tellers: dict[str, MonitorRef] = {}

    def on_start(self) -> None:
        self._show(Evidence())
        for prover in self._provers:
            if prover.is_alive():
                prover.tell(ProveAgain())

    def on_receive(self, message: object) -> object:
        match message:
            case Proof():
                self._show(self._evidence.told(message))
                self._follow(message.by)
                return None
            case Down(ref=ref):
                self._tellers.pop(ref.path, None)
                self._show(self._evidence.without(ref.path))
                return None
            case GateStatus():
                return self._board.view()
            case _:
                raise TypeError(f"the gate does not know {message!r}")

    def on_stop(self, exit_: Exit) -> None:
        self._show(Evidence())

    def _follow(self, path: str) -> None:
        if path not in self._tellers:
            self._tellers[path] = self.monitor(self.system.address(path))

    def _show(self, evidence: Evidence) -> None:
        before = self._board.missing
        self._evidence = evidence
        self._board.show(evidence, _living(self.ref))
        missing = self._board.missing
        if bool(before) != bool(missing):
            self.log.info("gate.opened" if not missing else "gate.closed", missing=missing)


def _living(ref: Ref) -> Callable[[], bool]:
    incarnation = ref.incarnation
    return lambda: ref.is_alive() and ref.incarnation == incarnation
