"""What stands at the addresses that a tree names: a simulated Kraken in memory, with keys for every account.

The tree is not changed: it is read. Its addresses are served, and the environment that it takes its keys from is made
of the venue's own.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from allstop.actors.clock import Clock
from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.simulated.kraken.counters import Tier
from allstop.actors.simulated.kraken.in_memory import InMemoryKraken
from allstop.actors.simulated.kraken.pairs import PAIRS
from allstop.actors.simulated.kraken.rest_private import CALLS
from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.slow_tape import slowed
from allstop.actors.simulated.kraken.tape import TapeFrame
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings
from allstop.supervisors.config import Tree

# A frame of each pair's book: what a pair of middling trade shows, and less than a busy one.
FRAME_EVERY_S = 1.0


@lru_cache(maxsize=8)
def recorded_tape(every_s: float = 0.0) -> tuple[TapeFrame, ...]:
    """The recording that comes with the package, with a frame every so many seconds, or (0) as it was recorded."""
    return slowed(recorded_tape(), every_s) if every_s > 0 else packaged_tape()


def settings_for(tree: Tree, seed: int | str, tape: tuple[TapeFrame, ...] = ()) -> Settings:
    """The venue that a tree needs: its accounts, and the tier that it believes to be in. Raises BadInput for a pair
    that the simulated Kraken does not have, nor the tape, and for accounts that name different tiers."""
    listed = [*PAIRS, *sorted({frame.symbol for frame in tape} - PAIRS.keys())]
    nodes = tree.accounts.children
    problems = [
        Problem(f"the simulated Kraken does not list {pair!r}; it has {', '.join(listed)}", node.where)
        for node in (*nodes, *tree.data.children)
        for pair in node.pairs
        if pair not in listed
    ]
    tiers = {node.tier: node.where for node in nodes}
    if len(tiers) > 1:
        said = f"the simulated Kraken has one tier for all accounts, and the tree names {', '.join(tiers)}"
        problems.append(Problem(said, next(iter(tiers.values()))))
    if problems:
        raise BadInput(*problems)
    accounts = tuple(node.account for node in nodes) or ("main",)
    tier = Tier(next(iter(tiers), "starter"))
    pairs = tuple(dict.fromkeys(pair for node in (*nodes, *tree.data.children) for pair in node.pairs))
    return Settings(seed=f"venue:{seed}", accounts=accounts, tier=tier, pairs=pairs)


class SimulatedVenue:
    """One Kraken behind every address of a tree: `async with SimulatedVenue(tree, network, clock, seed) as venue`.

    `kraken` is its shell, `kraken.venue` the model that keeps the truth; `environ` is what the tree reads.
    """

    def __init__(
        self,
        tree: Tree,
        network: MemoryNetwork,
        clock: Clock,
        *,
        seed: int | str,
        tape: tuple[TapeFrame, ...] | None = None,
        settings: Settings | None = None,
    ) -> None:
        tape = recorded_tape(FRAME_EVERY_S) if tape is None else tape
        settings = settings or settings_for(tree, seed, tape)
        self._clock = clock
        self.kraken = InMemoryKraken(KrakenVenue(settings, tape, wall_ns=clock.wall_ns()), clock=clock)
        self.links = urls_of(tree)
        for url in self.links["rest"]:
            network.serve_http(url, self.kraken.handle_http)
        for url in self.links["public"]:
            network.serve_websocket(url, self.kraken.handle, lambda: self.kraken.enter(private=False))
        for url in self.links["private"]:
            network.serve_websocket(url, self.kraken.handle, lambda: self.kraken.enter(private=True))
        self.environ = _environ(tree, self.kraken.venue)

    async def __aenter__(self) -> "SimulatedVenue":
        self.kraken.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kraken.end()

    def truth(self) -> dict[str, Any]:
        """Everything that really happened, as the venue knows it."""
        return self.kraken.venue.truth(self.kraken.at())

    async def fault(self, kind: str, **fields: object) -> None:
        """Has the venue do something wrong; the kinds are those of its own POST /faults. Raises BadFault."""
        self.kraken.venue.fault({"kind": kind, **fields}, self.kraken.at())
        self.kraken.flush()

    def come_to(self, client_id: str, qty: Decimal | None = None, *, account: str = "main") -> None:
        """The market comes to a resting order and takes so much of it, at its own price."""
        at = self.kraken.at()
        self.kraken.venue.engine.come_to(account, client_id, qty, at)
        self.kraken.venue.settle(at)
        self.kraken.flush()

    def by_hand(self, method: str, *, account: str = "main", **params: object) -> object:
        """What a person does on the venue's own page, past the engine: a private REST method and its parameters.
        Its result. Raises Refusal."""
        venue, at = self.kraken.venue, self.kraken.at()
        key = next(key for key in venue.keys.values() if key.account == account)
        venue.witness.by_hand = True
        try:
            said = CALLS[method].serve(venue, key, {name: str(value) for name, value in params.items()}, at)
        finally:
            venue.witness.by_hand = False
        venue.settle(at)
        self.kraken.flush()
        return said

    async def clear(self) -> None:
        """Takes back every fault that is set and has not come yet."""
        self.kraken.venue.faults.clear()


def urls_of(tree: Tree) -> dict[str, tuple[str, ...]]:
    """The addresses of a tree by the link that they are reached on, each once, in the tree's order."""
    accounts, public = tree.accounts.children, tree.data.children
    return {
        "rest": tuple(dict.fromkeys(node.rest_url for node in (*accounts, *public))),
        "public": tuple(dict.fromkeys(node.url for node in public)),
        "private": tuple(dict.fromkeys(node.private_url for node in accounts)),
    }


def _environ(tree: Tree, venue: KrakenVenue) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for node in tree.accounts.children:
        keys = {key.name: key for key in venue.keys.values() if key.account == node.account}
        found[node.api_key_env], found[node.api_secret_env] = keys["trade"].key, keys["trade"].secret
        if node.protect_key_env is not None and node.protect_secret_env is not None:
            protect = keys["protect"]
            found[node.protect_key_env], found[node.protect_secret_env] = protect.key, protect.secret
    return found
