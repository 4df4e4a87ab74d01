"""Proving a tree without starting or connecting anything: every mistake, each with its file and line."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from allstop.actors.errors import Problem
from allstop.actors.runtime import Actor
from allstop.actors.runtime.isolation import isolation_problem, unsendable
from allstop.actors.spec import Backoff, ChildSpec, Isolation, OnExceeded, Pause, Start, Strategy
from allstop.supervisors.budget import check_budget, check_connect_limit, starts_at_most
from allstop.supervisors.childspecs import as_child_spec
from allstop.supervisors.config import Budget, ChildNode, KrakenAccount, KrakenPublic, SupervisorNode, Tree
from allstop.supervisors.errors import InvalidChildSpec
from allstop.supervisors.gates import longest_wait_s, wrong_gate

START_WAIT_MAX_S = 60.0  # of a tree, for turns at gates: until it stands everything is READ_ONLY
ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
PAIR = re.compile(r"^[A-Z0-9]{2,12}/[A-Z0-9]{2,12}$")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TIMINGS = ("kraken", "loopback")
TIERS = ("starter", "intermediate", "pro")

# Kraken: about 150 WebSocket connections in a rolling 10 minutes per IP, then a ban of 10 minutes. Half of it is
# ours to plan with, so that an operator's own tools still get through.
CONNECTS_MAX, CONNECTS_WINDOW_S, CONNECTS_SHARE = 150, 600.0, 0.5


def check_tree(
    tree: Tree, *, secret_problem: Callable[[str], Problem | None] | None = None
) -> tuple[Problem, ...]:
    """Everything wrong with a tree, or (). `secret_problem(env_name)` says what is wrong with a key's source; without
    it keys are not looked at."""
    return tuple(_problems(tree, secret_problem))


def _problems(tree: Tree, secret_problem: Callable[[str], Problem | None] | None) -> Iterator[Problem]:
    yield from _state_dir(tree)
    yield from _budget("infrastructure", tree.infrastructure, tree.where)
    yield from _budget("alerting", tree.alerting, tree.where)
    yield from _budget("accounts", tree.accounts.budget, tree.accounts.where)
    yield from _budget("strategies", tree.strategies.budget, tree.strategies.where)
    yield from _duplicates((node.id, node.where) for node in tree.accounts.children)
    yield from _duplicates((node.id, node.where) for node in tree.data.children)
    for account in tree.accounts.children:
        yield from _account(account, secret_problem)
    for public in tree.data.children:
        yield from _public(public)
    yield from _shared_keys(tree.accounts.children)
    yield from _connects(tree)
    yield from _children(tree.strategies.children, tree.strategies.budget)
    yield from _gates(tree)


def _gates(tree: Tree) -> Iterator[Problem]:
    yield from (Problem(wrong, tree.where) for gate in tree.gates if (wrong := wrong_gate(gate)))
    names = [gate.name for gate in tree.gates]
    yield from _duplicates((f"gate {name}", tree.where) for name in names)
    if not any(map(wrong_gate, tree.gates)):
        wait_s = longest_wait_s(tree.gates, [node.gate for node in leaves(tree.strategies.children)])
        if wait_s > START_WAIT_MAX_S:
            yield Problem(
                f"when the tree starts its children wait {wait_s:g} s for their turns at gates, and {START_WAIT_MAX_S:g} s "
                "is the most: nobody can trade or halt before it stands; raise `burst`, lower `spacing_s`, or start "
                "some of them later (start_child)",
                tree.where,
            )
    for node in leaves(tree.strategies.children):
        if node.gate is not None and node.gate not in names:
            known = ", ".join(map(repr, names)) or "none"
            yield Problem(
                f"{node.id!r}: gate {node.gate!r} is not declared: halt_root(..., gates=[...]) has {known}",
                node.where,
            )


def leaves(nodes: Iterable[ChildNode | SupervisorNode]) -> Iterator[ChildNode]:
    """The actors among these and below them."""
    for node in nodes:
        if isinstance(node, SupervisorNode):
            yield from leaves(node.children)
        elif isinstance(node, ChildNode):  # what is neither has been named already
            yield node


def _state_dir(tree: Tree) -> Iterator[Problem]:
    path = Path(tree.state_dir)
    if not tree.state_dir or (path.exists() and not path.is_dir()):
        yield Problem(f"state_dir {tree.state_dir!r} is not a directory", tree.where)


def _budget(
    name: str, budget: Budget, where: str, child: str = "", backoff: Backoff = Backoff()
) -> Iterator[Problem]:
    """`child`: the one below that waits by `backoff` before each restart."""
    restarts, seconds, pause = budget.max_restarts, budget.max_seconds, budget.pause
    if isinstance(restarts, bool) or not isinstance(restarts, int) or restarts < 0:
        yield Problem(f"{name}: max_restarts is a whole number of at least 0, not {restarts!r}", where)
        return
    if not _positive(seconds):
        yield Problem(f"{name}: max_seconds is a number of seconds above 0, not {seconds!r}", where)
        return
    if budget.on_exceeded is OnExceeded.PAUSE and (wrong := _wrong_pause(pause)):
        yield Problem(f"{name}: pause: {wrong}", where)
        return
    if wrong := _wrong_backoff(backoff):
        yield Problem(f"{name}: backoff: {wrong}", where)
        return
    probe = ChildSpec(child, Start(Actor), backoff=backoff)
    for problem in check_budget(budget.flags(Strategy.ONE_FOR_ONE), (probe,)):
        yield Problem(f"{name}: {problem.what}", where)


def _wrong_pause(pause: Pause) -> str:
    if not _positive(pause.cooldown_s):
        return f"cooldown_s is a number of seconds above 0, not {pause.cooldown_s!r}"
    if pause.probes < 0:
        return f"probes is at least 0, not {pause.probes!r}"
    if pause.max_trips < 1:
        return f"max_trips is at least 1, not {pause.max_trips!r}"
    return ""


def _wrong_backoff(backoff: Backoff) -> str:
    least, most = backoff.min_backoff_s, backoff.max_backoff_s
    if not (_number(least) and _number(most) and 0 <= least <= most):
        return f"0 <= min_backoff_s <= max_backoff_s does not hold for {least!r} and {most!r}"
    if not (_number(backoff.random_factor) and 0 <= backoff.random_factor <= 1):
        return f"random_factor is from 0 to 1, not {backoff.random_factor!r}"
    return ""


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: object) -> bool:
    return _number(value) and value > 0  # pyright: ignore[reportOperatorIssue]


def _account(
    node: KrakenAccount, secret_problem: Callable[[str], Problem | None] | None
) -> Iterator[Problem]:
    yield from _ids((node.account, node.where))
    yield from _pairs(node.pairs, node.where)
    yield from _budget(f"account {node.account!r}", node.budget, node.where)
    yield from _budget(
        f"account {node.account!r}: trading", node.trading, node.where, "session", node.backoff
    )
    yield from _budget(f"account {node.account!r}: tracker", node.tracker, node.where)
    yield from _choice("timing", node.timing, TIMINGS, node.where)
    yield from _choice("tier", node.tier, TIERS, node.where)
    yield from _url("rest_url", node.rest_url, "https", node.where)
    yield from _url("private_url", node.private_url, "wss", node.where)
    if not isinstance(node.entries_max_per_s, int) or node.entries_max_per_s < 1:
        yield Problem(
            f"entries_max_per_s is a whole number above 0, not {node.entries_max_per_s!r}", node.where
        )
    if not _positive(node.cover_s):
        yield Problem(f"cover_s is a number of seconds above 0, not {node.cover_s!r}", node.where)
    if (node.protect_key_env is None) != (node.protect_secret_env is None):
        yield Problem("protect_key_env and protect_secret_env go together", node.where)
    if secret_problem is not None:
        for name in (node.api_key_env, node.api_secret_env, node.protect_key_env, node.protect_secret_env):
            if name is not None and (problem := secret_problem(name)) is not None:
                yield Problem(f"account {node.account!r}: {problem.what}", node.where)


def _public(node: KrakenPublic) -> Iterator[Problem]:
    yield from _pairs(node.pairs, node.where)
    yield from _budget(node.id, node.budget, node.where, "connection", node.backoff)
    yield from _url("url", node.url, "wss", node.where)
    yield from _url("rest_url", node.rest_url, "https", node.where)
    yield from _choice("timing", node.timing, TIMINGS, node.where)
    yield from _choice("depth", node.depth, (10, 25, 100, 500, 1000), node.where)


def _shared_keys(nodes: Iterable[KrakenAccount]) -> Iterator[Problem]:
    """One key has one row of nonces: two users of it would have each other refused."""
    users: dict[str, str] = {}
    for node in nodes:
        for role, name in (("trade", node.api_key_env), ("protect", node.protect_key_env)):
            if name is None:
                continue
            user = f"account {node.account!r} as its {role} key"
            if name in users:
                yield Problem(
                    f"{name} is used by {users[name]} and by {user}: each needs its own", node.where
                )
            users.setdefault(name, user)


def _connects(tree: Tree) -> Iterator[Problem]:
    """Whether restarts could exceed what the venue lets one address connect: each budget by itself, with all that its
    breaker lets through at half-open, and all of them together while their breakers stay closed. A trading supervisor
    is looked at alone: the account above it restarts it for the store's or the guardian's sake, not for a connection's.
    """
    connecting = [
        (f"account {node.account!r}: trading", node.trading, node.private_url, node.where)
        for node in tree.accounts.children
    ]
    connecting += [(node.id, node.budget, node.url, node.where) for node in tree.data.children]
    planned, share = 0, int(CONNECTS_MAX * CONNECTS_SHARE)
    for name, budget, url, where in connecting:
        # A simulated venue's limits are a setting, and a budget that is none has been named already.
        if _host(url) in LOOPBACK or next(_budget(name, budget, where), None) is not None:
            continue
        flags = budget.flags(Strategy.ONE_FOR_ONE)
        alone = check_connect_limit(
            (flags,), connections=1, limit=CONNECTS_MAX, per_s=CONNECTS_WINDOW_S, where=where
        )
        yield from (Problem(f"{name}: {problem.what}", where) for problem in alone)
        planned += starts_at_most((replace(flags, on_exceeded=OnExceeded.ESCALATE),), CONNECTS_WINDOW_S)
        if planned > share and not alone:
            yield Problem(
                f"{name}: {budget.max_restarts} restarts in {budget.max_seconds:g} s allow {planned} connections in "
                f"{CONNECTS_WINDOW_S:.0f} s with what stands before; the venue's share for one engine is {share}",
                where,
            )
            return


def _children(nodes: Iterable[ChildNode | SupervisorNode], budget: Budget) -> Iterator[Problem]:
    """`budget`: of the supervisor above them, whose window each child's own backoff must be able to fill."""
    nodes = tuple(nodes)
    yield from _duplicates(
        (node.id, node.where) for node in nodes if isinstance(node, (ChildNode, SupervisorNode))
    )
    for node in nodes:
        match node:
            case SupervisorNode():
                yield from _ids((node.id, node.where))
                yield from _budget(f"supervisor {node.id!r}", node.budget, node.where)
                yield from _children(node.children, node.budget)
            case ChildNode():
                yield from _ids((node.id, node.where))
                yield from _child(node, budget)
            case _:  # pyright: ignore[reportUnnecessaryComparison]
                yield Problem(f"a child is made with child(...) or supervisor(...), not {node!r}")


def _child(node: ChildNode, budget: Budget) -> Iterator[Problem]:
    if not (inspect.isclass(node.actor_class) and issubclass(node.actor_class, Actor)):
        yield Problem(f"{node.id!r}: {node.actor_class!r} is not an Actor class", node.where)
        return
    try:
        inspect.signature(node.actor_class).bind(*node.args, **node.kwargs)
    except TypeError as error:
        yield Problem(f"{node.id!r}: {node.actor_class.__name__}(...): {error}", node.where)
    if (wrong := isolation_problem(node.actor_class, node.isolation)) or (
        node.isolation is Isolation.PROCESS
        and (wrong := unsendable(node.actor_class, node.args, node.kwargs))
    ):
        yield Problem(f"{node.id!r}: {wrong}", node.where)
    if wrong := _wrong_backoff(node.backoff):
        yield Problem(f"{node.id!r}: backoff: {wrong}", node.where)
    elif next(_budget("", budget, ""), None) is None:  # a budget that is none has been named already
        spec = ChildSpec(
            node.id,
            Start(Actor),
            restart=node.restart,
            backoff=node.backoff,
            budget=node.budget,
            gate=node.gate,
            simulated_cost_s=node.simulated_cost_s,
        )
        try:
            as_child_spec(spec)
        except InvalidChildSpec as error:
            yield Problem(f"{node.id!r}: {error}", node.where)
            return
        for problem in check_budget(budget.flags(Strategy.ONE_FOR_ONE), (spec,)):
            yield Problem(problem.what, node.where)


def _pairs(pairs: tuple[str, ...], where: str) -> Iterator[Problem]:
    if not pairs:
        yield Problem("pairs is empty: name at least one, as in BTC/USD", where)
    for pair in pairs:
        if not isinstance(pair, str) or not PAIR.match(pair):
            yield Problem(f"{pair!r} is not a pair: write BASE/QUOTE, as in BTC/USD", where)
    yield from _duplicates((pair, where) for pair in pairs)


def _ids(*named: tuple[str, str]) -> Iterator[Problem]:
    for name, where in named:
        if not isinstance(name, str) or not ID.match(name):
            yield Problem(
                f"{name!r} is not an id: letters, digits, '.', '_' and '-', at most 64, no '/'", where
            )


def _duplicates(named: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, where in named:
        if name in first:
            yield Problem(f"duplicate id {name!r}, first at {first[name]}", where)
        first.setdefault(name, where)


def _choice(name: str, value: object, choices: tuple[object, ...], where: str) -> Iterator[Problem]:
    if value not in choices:
        yield Problem(f"{name} is one of {', '.join(map(repr, choices))}, not {value!r}", where)


def _url(name: str, url: str, secure: str, where: str) -> Iterator[Problem]:
    host, plain = _host(url), secure[:-1]
    scheme = url.partition("://")[0] if isinstance(url, str) else ""
    if not host or scheme not in (secure, plain):
        yield Problem(f"{name} {url!r} is not a {secure}:// address", where)
    elif scheme == plain and host not in LOOPBACK:
        yield Problem(f"{name} {url!r} would send keys in the clear: {plain}:// is for loopback only", where)


def _host(url: object) -> str | None:
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:  # brackets that do not close
        return None
