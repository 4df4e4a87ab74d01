"""A declared tree as lines to show: what the file says and what the builder adds to it."""

from dataclasses import dataclass, replace

from allstop.actors.spec import Isolation, OnExceeded, Strategy
from allstop.supervisors.config import Budget, ChildNode, KrakenAccount, KrakenPublic, SupervisorNode, Tree


@dataclass(frozen=True, slots=True)
class Line:
    """One node: its id, a note (strategy, budget, class) and its children in start order."""

    id: str
    note: str = ""
    children: "tuple[Line, ...]" = ()
    many: bool = False  # it has children that come and go, which no outline names


def outline(tree: Tree) -> Line:
    """The whole tree, from the root down."""
    return Line(
        "/",
        "halt root: restarts nothing, latches",
        (
            Line(
                "infrastructure",
                _note(Strategy.REST_FOR_ONE, tree.infrastructure),
                (Line("journal", "chain runtime"), Line("host_ledgers"), Line("clock_offset")),
            ),
            Line("alerting", _note(Strategy.ONE_FOR_ONE, tree.alerting), (Line("log"),)),
            Line(
                "accounts",
                _note(Strategy.ONE_FOR_ONE, replace(tree.accounts.budget, on_exceeded=OnExceeded.LATCH)),
                tuple(map(_account, tree.accounts.children)),
            ),
            Line("data", "", tuple(map(_public, tree.data.children))),
            Line(
                "strategies",
                _note(Strategy.ONE_FOR_ONE, tree.strategies.budget),
                tuple(map(_node, tree.strategies.children)),
            ),
            Line("observation", "temporary"),
        ),
    )


def _account(node: KrakenAccount) -> Line:
    pairs = ", ".join(node.pairs)
    return Line(
        node.id,
        f"{_note(Strategy.REST_FOR_ONE, node.budget)}; {pairs}; cover {node.cover_s:g} s",
        (
            Line(
                "store",
                "rest_for_one",
                (Line("journal", f"chain {node.id}"), Line("ledgers"), Line("egress")),
            ),
            Line("guardian", "protect path"),
            Line(
                "trading",
                _note(Strategy.REST_FOR_ONE, node.trading),
                (
                    Line("gate"),
                    Line("trackers", f"one per open order, {_budget(node.tracker)}", many=True),
                    Line("orders"),
                    Line("session"),
                    Line("stream"),
                    Line("reconciler"),
                    Line("prober"),
                ),
            ),
        ),
    )


def _public(node: KrakenPublic) -> Line:
    books = tuple(Line(f"book.{pair.replace('/', '-')}", f"depth {node.depth}, CRC32") for pair in node.pairs)
    return Line(node.id, _note(Strategy.ONE_FOR_ONE, node.budget), (Line("connection"), *books))


def _node(node: ChildNode | SupervisorNode) -> Line:
    match node:
        case SupervisorNode():
            return Line(node.id, _note(node.strategy, node.budget), tuple(map(_node, node.children)))
        case ChildNode():
            note = f"{node.actor_class.__name__}, {node.restart.value}"
            apart = node.isolation is not Isolation.LOOP
            return Line(node.id, f"{note}, {node.isolation.value} of its own" if apart else note)


def _note(strategy: Strategy, budget: Budget) -> str:
    return f"{strategy.value} {_budget(budget)}"


def _budget(budget: Budget) -> str:
    return f"{budget.max_restarts}/{budget.max_seconds:g} s {budget.on_exceeded.value}"
