"""What the demo runs against: the simulated Kraken as a process of its own, and a fault proxy before each of its ports."""

import asyncio
import contextlib
import sys
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from allstop.actors.errors import AllstopError
from allstop.actors.links.fault_proxy import FaultProxy
from allstop.actors.links.http import open_http
from allstop.actors.ports import HttpLink, HttpRequest

START_S = 20.0  # a cold interpreter on a busy machine
STOP_S = 5.0
ADMIN_S = 5.0
TRUTH_S = 20.0  # of a long run: a few MB
LINE_BYTES_MAX = 64 * 1024  # the process's own description: under 2 KiB


class RigError(AllstopError):
    """The simulated venue did not start, or does not answer."""


class VenueProcess:
    """The simulated Kraken in its own process; it ends when we do, however we end."""

    def __init__(self, process: asyncio.subprocess.Process, told: dict[str, Any]) -> None:
        self._process = process
        self.told = told
        self._admin: HttpLink = open_http(told["admin_url"], max_connections=2)

    @classmethod
    async def start(cls, *arguments: str) -> "VenueProcess":
        """Raises RigError with what the process said, if it does not serve within 20 s."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "allstop.actors.simulated.kraken", "--json", "--die-with-parent", *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
            return cls(process, msgspec.json.decode(line, type=dict[str, Any]))
        except (TimeoutError, msgspec.DecodeError) as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise RigError(f"the simulated venue did not start: {said or error}") from error

    async def fault(self, kind: str, **fields: Any) -> None:
        """Has the venue do something wrong; the kinds are those of its POST /faults."""
        await self._ask("POST", "/faults", ADMIN_S, {"kind": kind, **fields})

    async def clear(self) -> None:
        """Takes back every fault that has not come yet."""
        await self._ask("DELETE", "/faults", ADMIN_S)

    async def truth(self) -> dict[str, Any]:
        """Everything that really happened, as the venue knows it."""
        return await self._ask("GET", "/truth", TRUTH_S)

    async def stop(self) -> None:
        await self._admin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()

    async def _ask(self, method: str, path: str, timeout_s: float, body: object = None) -> dict[str, Any]:
        request = HttpRequest(
            method=method, path=path, headers={"Content-Type": "application/json"},
            body=b"" if body is None else msgspec.json.encode(body),
        )  # fmt: skip
        response = await self._admin.request(request, timeout_s=timeout_s, pool_timeout_s=timeout_s)
        if response.status != 200:
            raise RigError(f"{method} {path}: {response.status} {response.body[:200]!r}")
        return msgspec.json.decode(response.body, type=dict[str, Any])


class Rig:
    """A venue process and a proxy before its REST, public and private ports: `links` by those names."""

    def __init__(self, *venue_arguments: str) -> None:
        self._venue_arguments = venue_arguments
        self.links: dict[str, FaultProxy] = {}
        self._venue: VenueProcess | None = None

    @property
    def venue(self) -> VenueProcess:
        assert self._venue is not None, "the rig is not started"
        return self._venue

    async def __aenter__(self) -> Self:
        self._venue = await VenueProcess.start(*self._venue_arguments)
        for name, url in (("rest", "http_url"), ("public", "ws_url"), ("private", "ws_auth_url")):
            parts = urlsplit(str(self._venue.told[url]))
            assert parts.hostname is not None
            assert parts.port is not None
            self.links[name] = await FaultProxy(parts.hostname, parts.port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self.links.values():
            await link.close()
        await self.venue.stop()

    @property
    def environ(self) -> dict[str, str]:
        """What the demo's tree reads: addresses (through the proxies) and the venue's two keys."""
        keys = {row["role"]: row for row in self.venue.told["keys"]}
        return {
            "ALLSTOP_DEMO_REST_URL": f"http://{self.links['rest'].address}",
            "ALLSTOP_DEMO_PUBLIC_URL": f"ws://{self.links['public'].address}/v2",
            "ALLSTOP_DEMO_PRIVATE_URL": f"ws://{self.links['private'].address}/v2",
            "ALLSTOP_DEMO_KEY": keys["trade"]["key"],
            "ALLSTOP_DEMO_SECRET": keys["trade"]["secret"],
            "ALLSTOP_DEMO_PROTECT_KEY": keys["protect"]["key"],
            "ALLSTOP_DEMO_PROTECT_SECRET": keys["protect"]["secret"],
        }
