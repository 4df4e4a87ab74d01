"""The demo's tree, whose traders and guardian are written down by witnesses that a SIGKILL cannot silence.

What a strategy was promised dies with its process. The witness appends each promise to a file in one write as soon as
`submit` has returned: the bytes are the kernel's then, and outlive the process.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from allstop.actors.commands import CoverView, GetCover
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue
from allstop.supervisors.config import Tree, child, strategies
from allstop.supervisors.demo import tree as demo
from allstop.supervisors.demo.trader import DemoTrader

WITNESS = "ALLSTOP_KILL_WITNESS"
STALL = "ALLSTOP_KILL_STALL"  # a file: for how many seconds the loop is to stand still, once
LOOK_EVERY_S = 0.2
STALL_EVERY_S = 0.05


class Witness:
    """Appends lines to a file: each is one write, at the end, whoever else writes."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def say(self, at_ns: int, **told: Any) -> None:
        os.write(self._fd, msgspec.json.encode({"pid": os.getpid(), "at_ns": at_ns, **told}) + b"\n")

    def close(self) -> None:
        os.close(self._fd)


class WitnessedTrader(DemoTrader):
    """The demo's trader; what `orders` told it is on file before it does anything else."""

    def __init__(self, pair: str, witness: str) -> None:
        super().__init__(pair)
        self._witness = Witness(witness)

    async def _place(self) -> bool:
        refused = len(self._refused)
        placed = await super()._place()
        if placed:
            self._witness.say(self.clock.wall_ns(), submitted=self._submitted[-1])
        elif len(self._refused) > refused:
            self._witness.say(self.clock.wall_ns(), refused=self._refused[-1])
        return placed

    def on_stop(self, exit_: object) -> None:
        self._witness.close()


class CoverWitness(Actor):
    """Writes down which positions the guardian believes in, whenever that changes, and that it still looks."""

    def __init__(self, witness: str, account: str = "kraken.main") -> None:
        self._witness = Witness(witness)
        self._guardian_path = f"/accounts/{account}/guardian"

    def on_start(self) -> Continue:
        return Continue(None)

    async def on_continue(self, argument: object) -> None:
        self.send_after(LOOK_EVERY_S, "look")

    async def on_receive(self, message: object) -> None:
        try:
            cover: CoverView = await self.system.address(self._guardian_path).call(GetCover(), timeout_s=1.0)
        except (ActorDead, CallTimeout):
            pass  # restarting; the next look finds it
        else:
            positions = {one.pair: str(one.net) for one in cover.pairs if one.net}
            self._witness.say(self.clock.wall_ns(), positions=positions, audited=cover.audited)
        self.send_after(LOOK_EVERY_S, "look")

    def on_stop(self, exit_: object) -> None:
        self._witness.close()


class Staller(Actor):
    """A strategy that forgets to await: it holds the loop, with everything on it, when a file says so."""

    def __init__(self, witness: str, orders: str) -> None:
        self._witness = Witness(witness)
        self._orders = Path(orders)

    def on_start(self) -> None:
        self.send_after(STALL_EVERY_S, "look")

    def on_receive(self, message: object) -> None:
        if self._orders.exists():
            seconds = float(self._orders.read_text())
            self._orders.unlink()
            time.sleep(seconds)
            self._witness.say(self.clock.wall_ns(), stalled=seconds)
        self.send_after(STALL_EVERY_S, "look")

    def on_stop(self, exit_: object) -> None:
        self._witness.close()


def tree() -> Tree:
    """Reads what the demo's tree reads, the witness's file, and where the loop is told to stand still."""
    witness = str(Path(os.environ[WITNESS]).absolute())
    actors = [
        child(f"trader.{pair.replace('/', '-')}", WitnessedTrader, pair=pair, witness=witness)
        for pair in demo.PAIRS
    ]
    watching = [child("witness", CoverWitness, witness=witness)]
    if STALL in os.environ:
        watching.append(child("staller", Staller, witness=witness, orders=os.environ[STALL]))
    return replace(demo.tree(), strategies=strategies(*actors, *watching, max_restarts=20))
