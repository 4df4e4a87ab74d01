"""Whether a budget of restarts can do its work: arithmetic on flags and specs, for `allstop check` and for builders."""

import math
from collections.abc import Iterable, Sequence

from allstop.actors.errors import Problem
from allstop.actors.runtime.arguments import want, want_count, want_seconds
from allstop.actors.spec import ChildSpec, OnExceeded, Restart, SupervisorFlags
from allstop.supervisors.backoff import shortest_span_s
from allstop.supervisors.childspecs import check_flags


def check_budget(flags: SupervisorFlags, children: Iterable[ChildSpec], *, where: str = "") -> list[Problem]:
    """A problem for each child that could fail for ever without the window ever filling.

    Attempts that are spaced wider than max_seconds / max_restarts never spend the budget, so the breaker that it is
    would never open. The least span of the attempts, without jitter, must fit; or `max_consecutive` must bound them.
    """
    check_flags(flags)
    children = tuple(children)
    for spec in children:
        want("children", spec, ChildSpec, "child specs")
    words = (_unspendable(flags, spec) for spec in children if spec.restart is not Restart.TEMPORARY)
    return [Problem(what, where) for what in words if what]


def _unspendable(flags: SupervisorFlags, spec: ChildSpec) -> str:
    own = spec.budget
    if own is not None and own.max_restarts > flags.max_restarts and own.max_seconds <= flags.max_seconds:
        return (
            f"child {spec.id!r}: its own budget of {own.max_restarts} restarts in {own.max_seconds:g} s is never "
            f"reached: the supervisor gives up after {flags.max_restarts} in {flags.max_seconds:g} s"
        )
    if spec.backoff.max_consecutive is not None:
        return ""
    # A child with a budget of its own is bounded by that one, which need not be the supervisor's.
    of, budget = ("its own ", own) if own is not None else ("", flags)
    span_s = shortest_span_s(spec.backoff, budget.max_restarts)
    if span_s <= budget.max_seconds:
        return ""
    return (
        f"child {spec.id!r}: {budget.max_restarts} restarts take at least {span_s:g} s of backoff, so "
        f"{of}max_restarts={budget.max_restarts} within max_seconds={budget.max_seconds:g} is never exceeded; "
        f"raise max_seconds, lower the backoff, or set max_consecutive"
    )


def restarts_at_most(flags: SupervisorFlags, within_s: float) -> int:
    """The most restarts that a supervisor can make of its children within any `within_s` seconds.

    Every window of max_seconds holds at most max_restarts; a paused one starts afresh after each cooldown, as often
    as its trips allow before they are forgotten.
    """
    windows = math.floor(within_s / flags.max_seconds) + 1
    if flags.on_exceeded is not OnExceeded.PAUSE:
        return flags.max_restarts * windows
    half_openings = min(
        math.floor(within_s / flags.pause.cooldown_s) + 1, (flags.pause.max_trips - 1) * windows
    )
    return flags.max_restarts * windows + half_openings * (flags.max_restarts + 1)


def starts_at_most(nested: Sequence[SupervisorFlags], within_s: float) -> int:
    """The most starts of a leaf within any `within_s` seconds under supervisors given outermost first: budgets
    multiply down a tree, and each restart above grants those below a new budget."""
    starts = 1
    for flags in nested:
        starts *= restarts_at_most(flags, within_s) + 1
    return starts


def check_connect_limit(
    nested: Sequence[SupervisorFlags],
    *,
    connections: int,
    limit: int,
    per_s: float,
    where: str = "",
) -> list[Problem]:
    """A problem when restarts alone could open more than `limit` connections in `per_s` seconds.

    `connections`: how many each start of the leaf opens; `nested`: the supervisors above it that restart it. A tree
    whose connections also pass a connect ledger cannot break the limit; then this says how often it would wait.
    """
    for one in nested:
        check_flags(one)
    want_count("connections", connections, least=0)
    want_count("limit", limit, least=0)
    want_seconds("per_s", per_s, above=True)
    opened = starts_at_most(nested, per_s) * connections
    if opened <= limit:
        return []
    what = (
        f"restarts could open {opened} connections in {per_s:g} s where the venue allows {limit}; "
        f"lower max_restarts, or lengthen max_seconds or the cooldown"
    )
    return [Problem(what, where)]
