"""A supervision tree as plain values: importing a tree file starts nothing.

```python
tree = halt_root(
    accounts(kraken(account="main", pairs=["BTC/USD"])),
    data(kraken_public(["BTC/USD"])),
    strategies(child("breakout", Breakout, pair="BTC/USD")),
    state_dir="var",
)
```

Infrastructure, alerting and a guardian per account are not in the file because no tree can be without them: the
builder adds them. Every value remembers the file and line that made it, so that a mistake is named where it stands.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from allstop.actors.errors import BadInput, Problem
from allstop.actors.spec import (
    Backoff,
    ChildBudget,
    Isolation,
    OnExceeded,
    Pause,
    Restart,
    RestartGate,
    Shutdown,
    Stash,
    Strategy,
    SupervisorFlags,
)

KRAKEN_REST_URL = "https://api.kraken.com"
KRAKEN_PUBLIC_URL = "wss://ws.kraken.com/v2"
KRAKEN_PRIVATE_URL = "wss://ws-auth.kraken.com/v2"


def _where() -> str:
    """file:line of the nearest caller outside this module."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@dataclass(frozen=True, slots=True)
class Budget:
    """How many restarts in how long, and what happens when they are spent."""

    max_restarts: int
    max_seconds: float
    on_exceeded: OnExceeded = OnExceeded.ESCALATE
    pause: Pause = Pause()

    def flags(self, strategy: Strategy) -> SupervisorFlags:
        return SupervisorFlags(strategy, self.max_restarts, self.max_seconds, self.on_exceeded, self.pause)


# The default budgets. A breaker of its own for what trades; infrastructure and accounts escalate.
INFRASTRUCTURE = Budget(3, 60)
ALERTING = Budget(5, 60, OnExceeded.PAUSE)
ACCOUNT = Budget(3, 300)
TRADING = Budget(3, 300, OnExceeded.PAUSE, Pause(cooldown_s=15.0, probes=3, max_trips=3))
DATA = Budget(10, 300, OnExceeded.PAUSE)
STRATEGIES = Budget(3, 60, OnExceeded.PAUSE)
ORDER_TRACKER = Budget(3, 60)

# Five times what the venue's largest tier takes from one account for long: no strategy that works comes near it.
ENTRIES_MAX_PER_S = 100

# A reconnect waits 0.5 s, then twice as long each time, at most 30 s. The connect ledger holds the venue's own limit.
CONNECTION_BACKOFF = Backoff(0.5, 30.0, 0.2, 60.0)


@dataclass(frozen=True, slots=True)
class ChildNode:
    """A user's actor: its class and the arguments of its constructor."""

    id: str
    actor_class: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    restart: Restart
    shutdown: float | Shutdown | None
    backoff: Backoff
    while_down: Stash | None
    where: str
    budget: ChildBudget | None = None
    gate: str | None = None
    isolation: Isolation = Isolation.LOOP
    simulated_cost_s: float | None = None


@dataclass(frozen=True, slots=True)
class SupervisorNode:
    """A user's supervisor over children and other supervisors."""

    id: str
    strategy: Strategy
    budget: Budget
    children: "tuple[ChildNode | SupervisorNode, ...]"
    where: str


@dataclass(frozen=True, slots=True)
class KrakenAccount:
    """One Kraken spot account: the unit that is fenced, placed and moved."""

    account: str
    pairs: tuple[str, ...]
    budget: Budget
    trading: Budget
    tracker: Budget
    backoff: Backoff
    api_key_env: str
    api_secret_env: str
    protect_key_env: str | None
    protect_secret_env: str | None
    rest_url: str
    private_url: str
    cover_s: float
    timing: str
    tier: str
    entries_max_per_s: int
    where: str

    @property
    def id(self) -> str:
        return f"kraken.{self.account}"

    @property
    def venue(self) -> str:
        return "kraken"


@dataclass(frozen=True, slots=True)
class KrakenPublic:
    """Kraken's public market data for some pairs, with a budget of its own."""

    pairs: tuple[str, ...]
    depth: int
    budget: Budget
    backoff: Backoff
    url: str
    rest_url: str
    timing: str
    where: str

    @property
    def id(self) -> str:
        return "kraken.public"


@dataclass(frozen=True, slots=True)
class Accounts:
    children: tuple[KrakenAccount, ...]
    budget: Budget
    where: str


@dataclass(frozen=True, slots=True)
class Data:
    children: tuple[KrakenPublic, ...]
    where: str


@dataclass(frozen=True, slots=True)
class Strategies:
    children: tuple[ChildNode | SupervisorNode, ...]
    budget: Budget
    where: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole tree. Made by `halt_root`; proven by `allstop.supervisors.checking.check_tree`."""

    accounts: Accounts
    data: Data
    strategies: Strategies
    state_dir: str
    where: str
    infrastructure: Budget = INFRASTRUCTURE
    alerting: Budget = ALERTING
    gates: tuple[RestartGate, ...] = ()


_E = TypeVar("_E", bound=Enum)
Section = Accounts | Data | Strategies


def halt_root(
    *sections: Section,
    state_dir: str = "var",
    infrastructure: Budget = INFRASTRUCTURE,
    alerting: Budget = ALERTING,
    gates: Sequence[RestartGate] = (),
) -> Tree:
    """The root of a tree: it restarts nothing and, when what stands under it gives up, stops trading.

    `state_dir` (relative to the working directory) holds journals, ledgers, the latch and the control socket.
    `gates` are the endpoints that children of yours name with `gate=`: starts against one of them keep its spacing.
    Raises BadInput for anything that is not a section, or a section given twice.
    """
    where = _where()
    found: dict[type[Section], Section] = {}
    for section in sections:
        if not isinstance(section, (Accounts, Data, Strategies)):
            raise BadInput(
                Problem(
                    f"halt_root takes accounts(...), data(...) and strategies(...), not {section!r}", where
                )
            )
        if type(section) in found:
            raise BadInput(Problem(f"{type(section).__name__.lower()}(...) is given twice", section.where))
        found[type(section)] = section
    return Tree(
        accounts=found.get(Accounts, Accounts((), ACCOUNT, where)),  # pyright: ignore[reportArgumentType]
        data=found.get(Data, Data((), where)),  # pyright: ignore[reportArgumentType]
        strategies=found.get(Strategies, Strategies((), STRATEGIES, where)),  # pyright: ignore[reportArgumentType]
        state_dir=state_dir,
        where=where,
        infrastructure=infrastructure,
        alerting=alerting,
        gates=tuple(gates),
    )


def accounts(*children: KrakenAccount, max_restarts: int = 3, max_seconds: float = 300) -> Accounts:
    """The accounts, one for one: each is fenced by itself."""
    return Accounts(children, Budget(max_restarts, max_seconds), _where())


def data(*children: KrakenPublic) -> Data:
    """Public market data, each venue with a budget of its own. The worst it can vote is CACHED_DATA."""
    return Data(children, _where())


def strategies(
    *children: ChildNode | SupervisorNode,
    max_restarts: int = STRATEGIES.max_restarts,
    max_seconds: float = STRATEGIES.max_seconds,
    on_exceeded: str | OnExceeded = OnExceeded.PAUSE,
    pause: Pause = Pause(),
) -> Strategies:
    """The user's own actors."""
    where = _where()
    return Strategies(
        children,
        Budget(max_restarts, max_seconds, _member(OnExceeded, on_exceeded, "on_exceeded", where), pause),
        where,
    )


def kraken(
    *,
    account: str,
    pairs: Sequence[str],
    max_restarts: int = ACCOUNT.max_restarts,
    max_seconds: float = ACCOUNT.max_seconds,
    trading: Budget = TRADING,
    tracker: Budget = ORDER_TRACKER,
    backoff: Backoff = CONNECTION_BACKOFF,
    api_key_env: str = "KRAKEN_API_KEY",
    api_secret_env: str = "KRAKEN_API_SECRET",
    protect_key_env: str | None = None,
    protect_secret_env: str | None = None,
    rest_url: str = KRAKEN_REST_URL,
    private_url: str = KRAKEN_PRIVATE_URL,
    cover_s: float = 2.0,
    timing: str = "kraken",
    tier: str = "starter",
    entries_max_per_s: int = ENTRIES_MAX_PER_S,
) -> KrakenAccount:
    """One Kraken spot account.

    Keys are named, never written: `api_key_env` is an environment variable (or, with `_FILE` appended, one that
    names a file of mode 0600). `protect_*` give the guardian a key of its own. `cover_s` is the longest a position
    may be without a live stop while the venue answers. `timing` is "kraken", or "loopback" for the simulated venue.
    A strategy that submits more than `entries_max_per_s` entries in a second is stopped until `allstop reset`.
    """
    return KrakenAccount(
        account=account,
        pairs=_pairs(pairs),
        budget=Budget(max_restarts, max_seconds),
        trading=trading,
        tracker=tracker,
        backoff=backoff,
        api_key_env=api_key_env,
        api_secret_env=api_secret_env,
        protect_key_env=protect_key_env,
        protect_secret_env=protect_secret_env,
        rest_url=rest_url,
        private_url=private_url,
        cover_s=cover_s,
        timing=timing,
        tier=tier,
        entries_max_per_s=entries_max_per_s,
        where=_where(),
    )


def kraken_public(
    pairs: Sequence[str],
    *,
    depth: int = 10,
    max_restarts: int = DATA.max_restarts,
    max_seconds: float = DATA.max_seconds,
    backoff: Backoff = CONNECTION_BACKOFF,
    url: str = KRAKEN_PUBLIC_URL,
    rest_url: str = KRAKEN_REST_URL,
    timing: str = "kraken",
) -> KrakenPublic:
    """Kraken's book (checked by its CRC32), ticker and trades for these pairs."""
    return KrakenPublic(
        _pairs(pairs),
        depth,
        Budget(max_restarts, max_seconds, OnExceeded.PAUSE),
        backoff,
        url,
        rest_url,
        timing,
        _where(),
    )


def child(
    id: str,
    actor_class: Any,
    *args: Any,
    restart: str | Restart = Restart.PERMANENT,
    shutdown: float | Shutdown | None = None,
    backoff: Backoff = Backoff(),
    while_down: Stash | None = None,
    isolation: str | Isolation = Isolation.LOOP,
    budget: ChildBudget | None = None,
    gate: str | None = None,
    simulated_cost_s: float | None = None,
    **kwargs: Any,
) -> ChildNode:
    """An actor of yours: its class and its constructor's arguments. Nothing is built until the tree is started.

    `isolation`: "thread" for handlers that block, "process" for what computes for long or may take its process down.
    `simulated_cost_s`: the virtual time that each of its messages takes in a simulation, where it runs on the loop;
    None: its class says it. One of the two has to, or no simulation starts it.
    `budget` is its own, beside its supervisor's; `gate` names a RestartGate of the tree, for its turn at an endpoint.
    """
    where = _where()
    return ChildNode(
        id,
        actor_class,
        args,
        kwargs,
        _member(Restart, restart, "restart", where),
        shutdown,
        backoff,
        while_down,
        where,
        budget,
        gate,
        _member(Isolation, isolation, "isolation", where),
        simulated_cost_s,
    )


def supervisor(
    id: str,
    *children: ChildNode | SupervisorNode,
    strategy: str | Strategy = Strategy.ONE_FOR_ONE,
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    on_exceeded: str | OnExceeded = OnExceeded.ESCALATE,
    pause: Pause = Pause(),
) -> SupervisorNode:
    """A supervisor of yours over `children`, started in order and stopped in reverse."""
    where = _where()
    budget = Budget(max_restarts, max_seconds, _member(OnExceeded, on_exceeded, "on_exceeded", where), pause)
    return SupervisorNode(id, _member(Strategy, strategy, "strategy", where), budget, children, where)


def _pairs(pairs: Sequence[str]) -> tuple[str, ...]:
    if isinstance(pairs, str):  # a text is a sequence of texts too
        raise BadInput(Problem(f"pairs is a list: write pairs=[{pairs!r}]", _where()))
    return tuple(pairs)


def _member(kind: type[_E], value: object, name: str, where: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(member.value) for member in kind)
        raise BadInput(Problem(f"{name} is one of {choices}, not {value!r}", where)) from None
