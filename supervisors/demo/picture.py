"""The tree of a running demo as lines that fit a height: pure, so that every fold is tested by calling it.

What is healthy folds first, and of that what was restarted least: trouble is never hidden while a quiet subtree
could make room for it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from allstop.supervisors.outline import Line

RUNNING, RESTARTING, DOWN, STOPPED = "running", "restarting", "down", "stopped"
BREAKER_OPEN = ("open", "latched")


@dataclass(frozen=True, slots=True)
class Node:
    """One actor as it stands. `many`: how many children it has that no outline names, as an order's trackers."""

    path: str
    id: str
    state: str
    restarts: int = 0
    breaker: str = ""
    many: int | None = None
    children: "tuple[Node, ...]" = ()

    @property
    def size(self) -> int:
        return 1 + sum(child.size for child in self.children)

    @property
    def restarts_below(self) -> int:
        return self.restarts + sum(child.restarts_below for child in self.children)

    @property
    def healthy(self) -> bool:
        """It and everything below it runs, or was stopped on purpose."""
        return self.state in (RUNNING, STOPPED) and all(child.healthy for child in self.children)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the picture. `hidden`: how many actors are folded away below it; `worst` is the state to show."""

    node: Node
    depth: int
    hidden: int
    worst: str
    restarts: int


def picture(
    outline: Line, states: Mapping[str, str], restarts: Mapping[str, int], breakers: Mapping[str, str], *, over: bool
) -> Node:  # fmt: skip
    """The outline with what is known of each actor. `states`: the running actors; `over`: the tree was stopped."""
    children_of: dict[str, int] = {}
    for path in states:
        parent = path.rpartition("/")[0] or "/"
        children_of[parent] = children_of.get(parent, 0) + 1

    def node(line: Line, path: str, above: str) -> Node:
        alive = states.get(path)
        state = alive or (STOPPED if over else _absent(above))
        paused = breakers.get(path, "")
        below = DOWN if paused in BREAKER_OPEN or state != RUNNING else RUNNING
        children = tuple(node(child, f"{path.rstrip('/')}/{child.id}", below) for child in line.children)
        return Node(
            path, line.id, state, restarts.get(path, 0), paused if paused != "closed" else "",
            children_of.get(path, 0) if line.many else None, children,
        )  # fmt: skip

    return node(outline, "/", RUNNING)


def _absent(above: str) -> str:
    """An actor that is not there: on its way back, unless what would bring it back is gone itself."""
    return RESTARTING if above == RUNNING else DOWN


def rows(root: Node, height: int) -> list[Row]:
    """At most `height` lines, at least the root's. Folds whole subtrees until it fits."""
    folded: set[str] = set()
    while len(found := list(_rows(root, 0, folded))) > max(1, height):
        open_ = [row.node for row in found if row.node.children and row.node.path not in folded]
        # Innermost first, so that each fold costs as little as it can.
        leaves = [n for n in open_ if not any(c.children and c.path not in folded for c in n.children)]
        folded.add(
            min(leaves, key=lambda n: (not n.healthy, n.restarts_below, -n.path.count("/"), n.path)).path
        )
    return found


def _rows(node: Node, depth: int, folded: Collection[str]) -> list[Row]:
    if node.path in folded:
        return [Row(node, depth, node.size - 1, _worst(node), node.restarts_below)]
    found = [Row(node, depth, 0, node.state, node.restarts)]
    for child in node.children:
        found += _rows(child, depth + 1, folded)
    return found


_BADNESS = {RUNNING: 0, STOPPED: 0, RESTARTING: 2, DOWN: 3}


def _worst(node: Node) -> str:
    return max(
        (node.state, *(_worst(child) for child in node.children)), key=lambda state: _BADNESS.get(state, 1)
    )
