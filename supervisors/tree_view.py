"""A supervisor and all below it as values: who runs, since which restart, with how much mail, and why it ended last."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import cast

from allstop.actors.errors import AllstopError
from allstop.actors.runtime import ActorDead, CallTimeout, Ref
from allstop.actors.spec import ChildType
from allstop.supervisors.children import ChildState
from allstop.supervisors.supervisor import TIMEOUT_S, SupervisorView, status

__all__ = ["TreeNode", "tree"]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One child as it stands. `supervisor` and `below` are set for a supervisor that answered in time."""

    id: Hashable
    path: str
    ref: Ref | None  # None: it does not run
    incarnation: int | None
    state: ChildState
    failures: int  # in a row
    mailbox_len: int
    due_s: float | None  # the system's clock, when it waits for a restart
    last_reason: str | None
    supervisor: SupervisorView | None = None
    below: "tuple[TreeNode, ...]" = ()

    def walk(self) -> "Iterator[TreeNode]":
        """This node and all below it, in start order."""
        yield self
        for node in self.below:
            yield from node.walk()


async def tree(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> TreeNode:
    """What stands at and below `supervisor`. Each supervisor is asked for `timeout_s`; one that is busy for longer, or
    ends meanwhile, is shown without its children. Raises ActorDead or CallTimeout for the first one only.
    """
    view = await status(supervisor, timeout_s=timeout_s)
    return TreeNode(
        supervisor.path.rsplit("/", 1)[-1], supervisor.path, supervisor, view.incarnation, ChildState.RUNNING, 0,
        _mailbox_len(supervisor), None, None, view, await _below(view, timeout_s),
    )  # fmt: skip


async def _below(view: SupervisorView, timeout_s: float) -> tuple[TreeNode, ...]:
    nodes: list[TreeNode] = []
    for child in view.children:
        ref = cast("Ref | None", child.ref)
        seen: SupervisorView | None = None
        if ref is not None and child.type is ChildType.SUPERVISOR:
            try:
                answer: object = await status(ref, timeout_s=timeout_s)
            except (ActorDead, CallTimeout, AllstopError):
                answer = None
            seen = answer if isinstance(answer, SupervisorView) else None
        nodes.append(
            TreeNode(
                child.id, f"{view.path.rstrip('/')}/{child.id}" if ref is None else ref.path, ref, child.incarnation,
                child.state, child.failures, _mailbox_len(ref), child.due_s, child.last_reason, seen,
                () if seen is None else await _below(seen, timeout_s),
            )
        )  # fmt: skip
    return tuple(nodes)


def _mailbox_len(ref: Ref | None) -> int:
    seen = None if ref is None else ref.system.get_status(ref)
    return 0 if seen is None else seen.mailbox_len
