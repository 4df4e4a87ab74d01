"""Tasks that block: on threads of their own, in real time."""

import threading

from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import Isolation
from allstop.supervisors.task_supervisor import TaskSupervisor, async_nolink


async def test_a_function_that_blocks_runs_on_a_thread_of_its_own() -> None:
    async with ActorSystem() as system:
        supervisor = await system.spawn(TaskSupervisor, path="/jobs")
        task = await async_nolink(supervisor, threading.get_ident, isolation=Isolation.THREAD)
        assert await task.result() != threading.get_ident()
