"""One life of the engine: a process in a session of its own that ends when this one does."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allstop.actors.clock import SystemClock
from allstop.actors.links.control import ControlFailed, NoEngine, ask_engine

ROOT = Path(__file__).resolve().parents[2]
TREE = "tests.kill.tree:tree"
ASK_EVERY_S = 0.05
STOP_S = 40.0  # the tree's own shutdown is bounded by 30 s


class NotInTime(Exception):
    """The engine did not get there within the time that it has; says what stood in the way."""


class EngineProcess:
    """Started by `start`; ended by `kill` or `stop`, and by both harmlessly again."""

    def __init__(self, process: asyncio.subprocess.Process, state_dir: Path, spawned_ns: int) -> None:
        self._process = process
        self._state_dir = state_dir
        self.spawned_ns = spawned_ns
        self.ended_ns = 0

    @classmethod
    async def start(cls, state_dir: Path, environ: Mapping[str, str], log: Path) -> "EngineProcess":
        spawned_ns = SystemClock().wall_ns()
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.kill.child", str(os.getpid()), "run", TREE,
                cwd=ROOT, env={**os.environ, **environ}, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=stderr, stderr=stderr,
            )  # fmt: skip
        return cls(process, state_dir, spawned_ns)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def kill(self) -> None:
        """SIGKILL, now. Returns when the kernel has taken it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self.ended_ns = self.ended_ns or SystemClock().wall_ns()

    async def stand_still(self, seconds: float) -> None:
        """Nothing of it runs for so long (SIGSTOP, SIGCONT)."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM; the exit code. An engine that does not stop is killed, and NotInTime raised."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                code = await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise NotInTime(f"the engine did not stop within {STOP_S:.0f} s") from None
        self.ended_ns = SystemClock().wall_ns()
        return code

    async def status(self) -> dict[str, Any] | None:
        """What it answers on its control socket; None while nobody answers."""
        try:
            return await ask_engine(self._state_dir, {"command": "status"}, timeout_s=2.0)
        except (NoEngine, ControlFailed):
            return None

    async def wait_answering(self, timeout_s: float) -> dict[str, Any]:
        """The first status that it gives. Raises NotInTime, also when it ends by itself before."""
        status: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while status is None:
                    if self.ended:
                        raise NotInTime(f"the engine ended by itself with {self._process.returncode}")
                    status = await self.status()
                    await asyncio.sleep(ASK_EVERY_S)
        except TimeoutError:
            raise NotInTime(f"the engine does not answer after {timeout_s:.0f} s") from None
        return status

    async def wait_trading(self, timeout_s: float) -> None:
        """Until every gate is open and no vote keeps entries out."""
        last: object = "no answer"
        try:
            async with asyncio.timeout(timeout_s):
                while obstacles := hindrances(await self.wait_answering(timeout_s)):
                    last = obstacles
        except TimeoutError:
            raise NotInTime(f"not trading after {timeout_s:.0f} s: {last}") from None


def hindrances(status: Mapping[str, Any]) -> list[str]:
    """What a status names that keeps entries out."""
    if not status.get("ok"):
        return [str(status)]
    found = [f"{name} {gate}" for name, gate in status["gates"].items() if gate != "open"]
    if status["halted"]:
        found.append(f"halted: {status['reason']}")
    return found + [v for v in status["votes"] if v.startswith(("READ_ONLY", "EMERGENCY", "HALTED"))]
