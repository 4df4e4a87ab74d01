"""Wiring: from a declared tree to a running one. What stands in it, `branches` says.

`Runtime` is what an engine embeds:

```python
async with Runtime(tree) as runtime:
    order = await runtime.submit(OrderIntent(...))
```
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from allstop.actors.clock import SystemClock, SystemDice, SystemIds
from allstop.actors.commands import UNNAMED, GetCover, GetOrder, GetOrders, OrderView, Place
from allstop.actors.errors import BadInput, Problem
from allstop.actors.exits import Exit
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent
from allstop.actors.ledger import AccountKey
from allstop.actors.levels import LevelBoard
from allstop.actors.links.host import FileHost
from allstop.actors.links.http import open_http
from allstop.actors.links.journal_sqlite import journal_opener
from allstop.actors.links.secrets import Redactor
from allstop.actors.links.websocket import connect_websocket
from allstop.actors.market_data import Freshness
from allstop.actors.order_gate import GateBoard
from allstop.actors.ports import ControlPort, World
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.store_board import StoreBoard
from allstop.actors.venue_clock import VenueClock
from allstop.supervisors.branches import ROOT_PATH, Branches, rest_url
from allstop.supervisors.checking import check_tree
from allstop.supervisors.config import KrakenAccount, Tree
from allstop.supervisors.control import Control
from allstop.supervisors.coordinated_shutdown import CoordinatedShutdown, Phase, ShutdownAborted, TaskOutcome
from allstop.supervisors.halt import HaltRoot
from allstop.supervisors.held_loop import HeldLoop
from allstop.supervisors.keys import read_pair, secret_problem_in
from allstop.supervisors.kraken_account import (
    SETTINGS,
    AccountParts,
    account_path,
    make_checkpoint,
    missing,
)
from allstop.supervisors.lasting import declare_gates
from allstop.supervisors.preflight import Keys, learn_instruments, probe_keys, wanted_pairs
from allstop.supervisors.standing_down import OnStop, stand_down
from allstop.supervisors.submitted import SUBMIT_TIMEOUT_S, Order
from allstop.supervisors.sync_runtime import SyncRuntime

# Of cover_s: an intent whose row took longer is not sent. A stop that were missing would wait for up to eight such rows.
COMMIT_SHARE = 0.125
STOP_TIMEOUT_S = 30.0  # the sum of a tree's shutdown timeouts, one after the other
PHASES = {
    "before_stop": Phase(timeout_s=10.0),  # yours: the tree runs and trades
    "stop_tree": Phase(("before_stop",), timeout_s=STOP_TIMEOUT_S + 10.0),
    "after_stop": Phase(("stop_tree",)),  # yours: no actor runs any more
}


def standing_down(on_stop: OnStop) -> dict[str, Phase]:
    """The phases that an orderly stop has beside these, or in their place."""
    if on_stop is OnStop.KEEP:
        return {}
    return {
        "stand_down": Phase(("before_stop",), timeout_s=on_stop.lasts_s + 5.0),
        "stop_tree": Phase(("before_stop", "stand_down"), timeout_s=STOP_TIMEOUT_S + 10.0),
    }


def real_world(state_dir: str | Path) -> World:
    """Sockets, a disk and the machine's own clocks and dice."""
    clock = SystemClock()
    return World(
        clock=clock, dice=SystemDice(), ids=SystemIds(), connect_websocket=connect_websocket, open_http=open_http,
        open_journal=journal_opener(state_dir, clock), host=FileHost(state_dir, clock),
    )  # fmt: skip


class Runtime:
    """A running tree. Entering starts it, or raises BadInput (nothing started, nothing sent) or VenueUnreachable.

    `world` and `environ` are the real ones unless given. Leaving runs `shutdown`: your tasks of the phase before_stop,
    then the tree stops in reverse order of its start, then those of after_stop. `phases` adds phases to these three,
    or replaces them. `on_system` is called with the actor system before the first actor of the tree starts: for whoever
    wants to see every event. With `on_stop=OnStop.CANCEL` an orderly leaving cancels all entries first, and with
    `OnStop.FLATTEN` it leaves all positions, too. After leaving, `leaked` names what could not be stopped, and `unproven`
    where entries may still rest or positions be held.
    """

    def __init__(
        self,
        tree: Tree,
        *,
        world: World | None = None,
        environ: Mapping[str, str] | None = None,
        phases: Mapping[str, Phase] | None = None,
        on_system: Callable[[ActorSystem], None] | None = None,
        on_stop: OnStop = OnStop.KEEP,
    ) -> None:
        self.tree = tree
        self._on_system = on_system
        self._on_stop = on_stop
        self.shutdown = CoordinatedShutdown(PHASES | standing_down(on_stop) | dict(phases or {}))
        if on_stop is not OnStop.KEEP:
            self.shutdown.add_task("stand_down", "entries and positions", self._stand_down)
        self.unproven: list[str] = []
        self.shutdown.add_task("stop_tree", "tree", self._stop_tree)
        self.levels = LevelBoard()
        self.fresh = Freshness()
        self.gates: dict[str, GateBoard] = {}
        self.instruments: dict[str, Instrument] = {}
        self.redactor = Redactor()
        self._environ = os.environ if environ is None else environ
        self._given_world = world
        self._system: ActorSystem | None = None
        self._stack = AsyncExitStack()
        self._accounts_parts: list[AccountParts] = []
        self._control: ControlPort | None = None
        self.leaked: list[str] = []

    @property
    def system(self) -> ActorSystem:
        assert self._system is not None, "the runtime is not started: `async with Runtime(tree) as runtime`"
        return self._system

    @property
    def root(self) -> Ref:
        return self.system.address(ROOT_PATH)

    def address(self, path: str) -> Ref:
        """The address of any actor of the tree."""
        return self.system.address(path)

    def orders(self, account: str | None = None) -> Ref:
        """The `orders` of an account ("kraken.main"), or of the only one. Raises BadInput when that is not clear."""
        names = {node.id: node for node in self.tree.accounts.children}
        if account is None and len(names) == 1:
            account = next(iter(names))
        if account not in names:
            raise BadInput(
                Problem(f"which account? {account!r} is none of {', '.join(names) or 'none at all'}")
            )
        return self.address(f"{account_path(names[account])}/trading/orders")

    # -- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._system is not None or self.shutdown.reason is not None:
            raise BadInput(Problem("a Runtime runs once: make another one of the same tree", self.tree.where))
        problems = check_tree(self.tree, secret_problem=lambda name: secret_problem_in(name, self._environ))
        if problems:
            raise BadInput(*problems)
        try:
            await self._start()
        except BaseException:
            await self._leave("it did not start", from_phase="stop_tree")
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave("left" if error is None else f"left by {type(error).__name__}: {error}")

    async def _leave(self, reason: str, *, from_phase: str | None = None) -> None:
        try:
            report = await self.shutdown.run(reason, from_phase=from_phase)
        finally:  # what is left when a phase ended the shutdown early, and the locks
            await self._stack.aclose()
        for failure in report.failures:
            if failure.phase == "stop_tree" and failure.outcome is TaskOutcome.TIMED_OUT:
                raise ShutdownAborted(
                    failure.phase, report
                )  # its own error is our cancellation: nobody's here
            if failure.phase == "stop_tree" and failure.error is not None:
                raise failure.error

    async def _start(self) -> None:
        world = self._given_world or real_world(self.tree.state_dir)
        keys = {node.id: self._locked_keys(node, world) for node in self.tree.accounts.children}
        self.instruments = await self._instruments(world)
        for node in self.tree.accounts.children:
            await probe_keys(world, node, keys[node.id], SETTINGS[node.timing])
        system = ActorSystem(clock=world.clock, dice=world.dice, ids=world.ids)
        await self._stack.enter_async_context(system)
        self._system = system
        if self._on_system is not None:
            self._on_system(system)
        held_loop = HeldLoop(system, self.levels, self.root)
        self._stack.callback(held_loop.close)
        self._stack.callback(system.subscribe(held_loop))
        answering = Control(self)  # from now on it remembers crashes
        declare_gates(system, *self.tree.gates)
        venue_clock = VenueClock(world.clock)
        parts = [self._parts(node, world, keys[node.id], venue_clock) for node in self.tree.accounts.children]
        self._accounts_parts = parts
        branches = Branches(self.tree, system, world, parts, self.instruments, self.fresh)
        await system.spawn(
            HaltRoot, self.levels, world.host.latch, branches.specs(),
            path=ROOT_PATH, halters={p.node.id: p.at("guardian") for p in parts}, ready_to_resume=self._missing,
            start_timeout_s=120.0,
        )  # fmt: skip
        system.freeze()
        control = world.host.control(answering.answer)
        await control.start()
        self._control = control
        self._stack.push_async_callback(control.close)

    async def _stand_down(self) -> None:
        guardians = [(parts.node.id, parts.at("guardian")) for parts in self._accounts_parts]
        reason = self.shutdown.reason or "the engine is stopped"
        flatten = self._on_stop is OnStop.FLATTEN
        self.unproven = await stand_down(self.root, guardians, reason, flatten=flatten)

    async def _stop_tree(self) -> None:
        """Stops the tree in reverse order of its start. Orders and stops at the venue stay as they are."""
        if self._control is not None:
            await self._control.close()
        if self._system is not None:
            await self.system.stop(self.root, timeout_s=STOP_TIMEOUT_S)
            await self.system.close()
            self.leaked = list(self.system.leaked)

    def _locked_keys(self, node: KrakenAccount, world: World) -> Keys:
        key, secret = read_pair(node, node.api_key_env, node.api_secret_env, self._environ)
        found = [(key, secret)]
        if node.protect_key_env is not None and node.protect_secret_env is not None:
            found.append(read_pair(node, node.protect_key_env, node.protect_secret_env, self._environ))
        keys: list[AccountKey] = []
        for key, secret in found:
            self.redactor.add(key)
            self.redactor.add(secret)
            held = world.host.hold_key(node.venue, node.account, key.reveal())
            self._stack.callback(held.release)
            keys.append(AccountKey(key.reveal(), secret.reveal()))
        return Keys(trade=keys[0], protect=keys[-1])

    async def _instruments(self, world: World) -> dict[str, Instrument]:
        pairs = wanted_pairs(self.tree.accounts.children, self.tree.data.children)
        return await learn_instruments(world, rest_url(self.tree), pairs) if pairs else {}

    def _parts(self, node: KrakenAccount, world: World, keys: Keys, venue_clock: VenueClock) -> AccountParts:
        gate_board = self.gates[node.id] = GateBoard(commit_max_s=node.cover_s * COMMIT_SHARE)
        store = StoreBoard()
        checkpoint = make_checkpoint(node, venue_clock, self.levels, self.fresh, self.root, store)
        instruments = {pair: self.instruments[pair] for pair in node.pairs}
        return AccountParts(
            node,
            self.system,
            world,
            keys,
            instruments,
            self.levels,
            self.fresh,
            gate_board,
            checkpoint,
            store,
        )

    async def ended(self) -> Exit:
        """Waits until the root ends and gives its exit. It ends when it is stopped, or when it fails: then trading is
        halted, nothing runs any more, and the process should end, too."""
        return await self.system.ended(self.root)

    async def _missing(self) -> list[str]:
        """What stands between a halt and a resume: who is down, and which conditions of a gate are not proven."""
        return [what for parts in self._accounts_parts for what in missing(parts)]

    # -- use -------------------------------------------------------------------------------------------------------

    async def submit(
        self,
        intent: OrderIntent,
        *,
        account: str | None = None,
        by: str = UNNAMED,
        timeout_s: float = SUBMIT_TIMEOUT_S,
    ) -> Order:
        """An Order once the intent is durable, or Refused with nothing sent. The same id and content gives the same
        order, also after a restart. Giving up the wait never cancels the order: `order.cancel()` does. `by` names the
        strategy, whose entries are counted by that name."""
        orders = self.orders(account)
        view: OrderView = await orders.call(Place(intent=intent, by=by), timeout_s=timeout_s)
        return Order(orders, view)

    async def order(self, intent_id: str, *, account: str | None = None) -> Order | None:
        """The order of an intent, also of an earlier run; None for an id that was never committed."""
        orders = self.orders(account)
        view: OrderView | None = await orders.call(GetOrder(intent_id=intent_id), timeout_s=5.0)
        return None if view is None else Order(orders, view)

    async def open_orders(self, *, account: str | None = None) -> list[OrderView]:
        return await self.orders(account).call(GetOrders(open_only=True), timeout_s=5.0)

    def untraded(self, account: str) -> dict[str, str]:
        """The account's pairs that take no entries now, each with its status at the venue."""
        return next(parts.listing.untraded() for parts in self._accounts_parts if parts.node.id == account)

    async def cover(self, account: str) -> Any:
        """The guardian's view of an account's positions and their stops: a CoverView."""
        return await self.address(f"/accounts/{account}/guardian").call(GetCover(), timeout_s=5.0)

    @property
    def sync(self) -> "SyncRuntime":
        """The same for other threads: each call blocks the calling thread until it is answered."""
        return SyncRuntime(self, self.system.scheduler.loop)
