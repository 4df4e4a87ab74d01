"""The tree as values: what a person who looks at a running tree is shown."""

import pytest
from tests.supervisors.puppets import Hang, Stage, crash, settle
from tests.supervisors.puppets import tree as below

from allstop.actors.spec import Backoff, SupervisorFlags
from allstop.supervisors.children import ChildState
from allstop.supervisors.supervisor import Supervisor, status
from allstop.supervisors.tree_view import tree

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=5, max_seconds=60.0)


async def test_a_tree_is_shown_down_to_its_leaves_in_start_order() -> None:
    stage = Stage()
    async with stage.system() as system:
        inner = below("inner", FLAGS, *stage.puppets("b", "c"))
        top = await system.spawn(Supervisor, FLAGS, (*stage.puppets("a"), inner), path="/top")
        found = await tree(top)
        assert [node.path for node in found.walk()] == [
            "/top", "/top/a", "/top/inner", "/top/inner/b", "/top/inner/c",
        ]  # fmt: skip


async def test_a_node_says_how_often_it_failed_and_why_the_last_time() -> None:
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a", "b"), path="/top")
        await crash(system, "/top/a")
        await crash(system, "/top/a")
        found = await tree(top)
        a, b = found.below
        assert (a.incarnation, a.state, a.last_reason) == (
            3,
            ChildState.RUNNING,
            "crashed: RuntimeError: boom",
        )
        assert (b.incarnation, b.last_reason) == (1, None)
        assert found.supervisor is not None
        assert (found.supervisor.restarts_in_window, found.supervisor.budget_left) == (2, 3)


async def test_a_child_that_waits_has_no_ref_and_a_due_time() -> None:
    stage = Stage()
    async with stage.system() as system:
        children = stage.puppets("a", backoff=Backoff(2.0, 2.0, 0.0))
        top = await system.spawn(Supervisor, FLAGS, children, path="/top")
        await crash(system, "/top/a")
        (a,) = (await tree(top)).below
        assert (a.ref, a.state) == (None, ChildState.RESTARTING)
        assert a.due_s == pytest.approx(system.clock.now_s() + 2.0, abs=0.1)


async def test_mail_that_waits_is_counted() -> None:
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        system.address("/top/a").tell(Hang())
        await settle()
        for _ in range(3):
            system.address("/top/a").tell("mail")
        (a,) = (await tree(top)).below
        assert a.mailbox_len == 3


async def test_a_supervisor_that_is_busy_is_shown_without_its_children() -> None:
    stage = Stage()
    async with stage.system() as system:
        inner = below("inner", FLAGS, *stage.puppets("b"))
        top = await system.spawn(Supervisor, FLAGS, (inner,), path="/top")
        stage.starts["b"] = ["hang"]
        await crash(system, "/top/inner/b")
        (node,) = (await tree(top, timeout_s=0.5)).below
        assert (node.state, node.supervisor, node.below) == (ChildState.RUNNING, None, ())
        stage.starts.clear()


async def test_the_window_forgets_with_time() -> None:
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        await crash(system, "/top/a")
        assert (await status(top)).restarts_in_window == 1
        await settle(61.0)
        assert (await status(top)).restarts_in_window == 0
