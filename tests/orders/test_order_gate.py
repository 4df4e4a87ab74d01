"""The order gate: open on proof only, closed by the death of whoever proved it."""

import asyncio
from typing import Any

import pytest
from tests.infrastructure.recorder import Recorder

from allstop.actors.commands import GateStatus, Proof, ProveAgain
from allstop.actors.errors import RefusalCode
from allstop.actors.levels import IntentKind
from allstop.actors.order_gate import PROOFS, Evidence, GateBoard, GateView, GateWord, OrderGate
from allstop.actors.runtime import Actor, ActorSystem, Ref

pytestmark = pytest.mark.virtual
PAIR = "BTC/USD"


def proof(name: str, *, holds: bool = True, at_s: float = 1.0, by: str = "/x") -> Proof:
    return Proof(name=name, holds=holds, at_s=at_s, by=by)


class Prover(Actor):
    """Tells the gate what it is told to tell."""

    def on_receive(self, message: Any) -> None:
        gate, names = message
        for name in names:
            gate.tell(proof(name, by=self.path))


class Gate:
    async def __aenter__(self) -> "Gate":
        self.system = ActorSystem()
        await self.system.__aenter__()
        self.board = GateBoard()
        self.ref = await self.system.spawn(OrderGate, self.board, path="/gate")
        self.session = await self.prover("/session", ["session"])
        self.others = await self.prover("/others", [name for name in PROOFS if name != "session"])
        return self

    async def prover(self, path: str, names: list[str]) -> Ref:
        ref = await self.system.spawn(Prover, path=path)
        ref.tell((self.ref, names))
        await asyncio.sleep(0.01)
        return ref

    async def __aexit__(self, *_exc: object) -> None:
        await self.system.__aexit__(None, None, None)


def code(board: GateBoard, kind: IntentKind = IntentKind.ENTRY) -> RefusalCode | None:
    refused = board.refusal(kind, PAIR)
    return None if refused is None else refused.code


def test_an_older_word_does_not_undo_a_newer_one() -> None:
    evidence = Evidence().told(proof("session", holds=False, at_s=2.0)).told(proof("session", at_s=1.0))
    assert "session" in evidence.missing


def test_a_proof_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="moon"):
        Evidence().told(proof("moon"))


def test_what_the_dead_told_is_forgotten_and_nothing_else() -> None:
    evidence = Evidence().told(proof("session", by="/s")).told(proof("stream", by="/t")).without("/s")
    assert list(evidence.proofs) == ["stream"]


async def test_a_gate_opens_when_everything_is_proven() -> None:
    async with Gate() as gate:
        assert code(gate.board) is None


@pytest.mark.parametrize("name", PROOFS)
async def test_one_proof_that_no_longer_holds_closes_the_gate_for_entries_only(name: str) -> None:
    async with Gate() as gate:
        gate.ref.tell(proof(name, holds=False, at_s=2.0, by="/others"))
        await asyncio.sleep(0.01)
        assert code(gate.board) is RefusalCode.GATE_CLOSED
        for kind in (IntentKind.REDUCE, IntentKind.PROTECT, IntentKind.CANCEL):
            assert code(gate.board, kind) is None


async def test_the_death_of_a_prover_drops_its_proofs_until_it_proves_again() -> None:
    async with Gate() as gate:
        gate.system.kill(gate.session)
        await asyncio.sleep(0.01)
        assert gate.board.missing == ("session",)
        await gate.prover("/session", ["session"])
        assert gate.board.open


async def test_a_dead_gate_is_closed_and_a_new_one_starts_closed() -> None:
    async with Gate() as gate:
        gate.system.kill(gate.ref)
        assert gate.board.missing == PROOFS
        await gate.system.spawn(OrderGate, gate.board, path="/gate")
        assert gate.board.missing == PROOFS


async def test_a_new_gate_asks_those_who_outlive_it_to_prove_again() -> None:
    async with Gate() as gate:
        asked: list[Any] = []
        outlives = await gate.system.spawn(Recorder, asked, path="/outlives")
        down = gate.system.address("/down")
        gate.system.kill(gate.ref)
        await gate.system.spawn(OrderGate, gate.board, (outlives, down), path="/gate")
        await asyncio.sleep(0.01)
        assert asked == [ProveAgain()]


async def test_a_word_is_told_once_to_each_gate_and_again_when_it_is_another() -> None:
    async with ActorSystem() as system:
        heard: list[Any] = []
        word = GateWord(system.address("/gate"))
        word.tell(proof("clock"))  # nobody there: it is told to the next gate
        for _ in range(2):
            ref = await system.spawn(Recorder, heard, path="/gate")
            word.tell(proof("clock", at_s=1.0))
            word.tell(proof("clock", at_s=2.0))
            word.tell(proof("clock", at_s=3.0, holds=False))
            await asyncio.sleep(0.01)
            assert [(told.at_s, told.holds) for told in heard] == [(1.0, True), (3.0, False)]
            heard.clear()
            system.kill(ref)


async def test_what_the_running_gate_was_told_it_knows_and_the_next_gate_does_not() -> None:
    async with ActorSystem() as system:
        word = GateWord(system.address("/gate"))
        ref = await system.spawn(Recorder, [], path="/gate")
        assert not word.knows(holds=True, reason="")
        word.tell(proof("clock", at_s=1.0))
        assert word.knows(holds=True, reason="")
        assert not word.knows(holds=False, reason="")
        assert not word.knows(holds=True, reason="another")
        system.kill(ref)
        await system.spawn(Recorder, [], path="/gate")
        assert not word.knows(holds=True, reason="")


async def test_a_frozen_instrument_refuses_entries_until_everyone_thawed_it() -> None:
    async with Gate() as gate:
        gate.board.freeze(PAIR, "one", "order a is unknown")
        gate.board.freeze(PAIR, "two", "order b is unknown")
        assert code(gate.board) is RefusalCode.INSTRUMENT_FROZEN
        assert gate.board.refusal(IntentKind.ENTRY, "ETH/USD") is None
        gate.board.thaw(PAIR, "one")
        assert code(gate.board) is RefusalCode.INSTRUMENT_FROZEN
        gate.board.thaw(PAIR, "two")
        assert code(gate.board) is None


async def test_the_status_lists_each_proof_with_its_time() -> None:
    async with Gate() as gate:
        gate.board.freeze(PAIR, "one", "because")
        view = await gate.ref.call(GateStatus())
        assert isinstance(view, GateView)
        assert {name: p.at_s for name, p in view.proofs.items()} == dict.fromkeys(PROOFS, 1.0)
        assert (view.open, view.missing, view.freezes) == (True, (), {PAIR: ("because",)})
