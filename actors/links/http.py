"""HTTP requests that say exactly whether anything was sent. The only module that imports httpx.

httpx loses pool slots for ever when a task is cancelled inside it (httpcore issue 1093), and supervisors cancel as a
matter of course. So httpx never sees a cancellation here: each request runs in a child task of its own, bounded by
timeouts, while the caller waits outside. A caller that goes away abandons its child; the child then refuses to send
what it has not sent yet, or reads its answer for nobody.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable

import httpx

from allstop.actors.errors import Fatal
from allstop.actors.ports import HttpNoReply, HttpNotSent, HttpRequest, HttpResponse

# httpcore calls this when a connection stands, new or reused, and nothing of the request has been written.
BEFORE_FIRST_BYTE = "http11.send_request_headers.started"
RESPONSE_BYTES_MAX = 16 * 1024 * 1024  # the largest answers, lists of all pairs or orders, are a few MiB
KEEPALIVE_S = (
    30.0  # longer than the time between two balance queries, shorter than venues keep idle connections
)
CLOSE_S = 1.0
# Failures of getting a connection. Anything else, also what we do not know, counts as sent.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class _Attempt:
    """How far one request has come. Shared by the caller and its child task."""

    __slots__ = ("abandoned", "sent")

    def __init__(self) -> None:
        self.abandoned = False
        self.sent = False


class HttpxLink:
    """An HttpLink over one httpx client, for one incarnation of one actor. Build it with `open_http`."""

    def __init__(self, base_url: str, *, max_connections: int = 4) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url,
            verify=_certificates() if base_url.startswith("https:") else False,
            trust_env=False,  # no proxy and no .netrc of the environment
            follow_redirects=False,  # a redirect would send a write a second time
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=KEEPALIVE_S,
            ),
        )
        # Requests wait for a connection here and not in the pool, whose own wait can lose the slot it was given.
        self._slots = asyncio.Semaphore(max_connections)
        self._in_flight: dict[asyncio.Task[HttpResponse], _Attempt] = {}
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = (
            None  # of the first request: before it there is no socket
        )

    async def request(
        self,
        request: HttpRequest,
        *,
        timeout_s: float,
        pool_timeout_s: float = 0.05,
        before_send: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """The answer, whole, within `timeout_s` of getting a connection slot (waiting for one: `pool_timeout_s`)."""
        try:
            async with asyncio.timeout(pool_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise HttpNotSent(f"no connection slot came free within {pool_timeout_s} s") from None
        if self._closed:
            self._slots.release()
            raise HttpNotSent("the client is closed")
        self._loop = asyncio.get_running_loop()
        attempt = _Attempt()
        child = asyncio.create_task(self._send(request, timeout_s, before_send, attempt))
        self._in_flight[child] = attempt
        child.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(child)
        except TimeoutError:
            if attempt.sent:
                raise HttpNoReply(f"no whole answer within {timeout_s} s") from None
            raise HttpNotSent(f"no connection within {timeout_s} s") from None
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if (
                child.cancelled() and me is not None and not me.cancelling()
            ):  # by our own close(), not by the caller
                raise _ended(attempt, "the client was closed") from None
            raise
        finally:
            attempt.abandoned = True

    async def close(self) -> None:
        """Ends every request and drops the connections, within `CLOSE_S` each."""
        self._closed = True
        # Cancelling inside httpx is harmless now: the pool that would lose a slot is going away with it.
        for child in self._in_flight:
            child.cancel()
        if self._in_flight:
            await asyncio.wait(list(self._in_flight), timeout=CLOSE_S)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._client.aclose()
        except TimeoutError:
            pass  # a TLS peer that does not say goodbye; the sockets are closed when the client is dropped

    def __del__(self) -> None:
        # A killed actor closes nothing, and the loop alone would keep idle connections. From any thread.
        loop = self._loop
        if loop is not None and not self._closed and not loop.is_closed():
            loop.call_soon_threadsafe(_close_later, loop, self._client)

    def _finished(self, child: asyncio.Task[HttpResponse]) -> None:
        del self._in_flight[child]
        self._slots.release()
        if not child.cancelled():
            child.exception()  # the caller has it, or has gone away

    async def _send(
        self,
        request: HttpRequest,
        timeout_s: float,
        before_send: Callable[[], None] | None,
        attempt: _Attempt,
    ) -> HttpResponse:
        async def trace(event: str, info: dict[str, object]) -> None:
            if event == BEFORE_FIRST_BYTE:
                if attempt.abandoned:
                    raise HttpNotSent("the caller went away before the first byte")
                if before_send is not None:
                    before_send()
                attempt.sent = True

        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            outgoing = self._client.build_request(
                request.method,
                request.path,
                headers=request.headers,
                content=request.body,
                timeout=httpx.Timeout(connect=timeout_s, read=timeout_s, write=timeout_s, pool=timeout_s),
                extensions={"trace": trace},
            )
            response = await self._client.send(outgoing, stream=True)
            try:
                body = await _body(response, deadline)
            finally:
                await response.aclose()
        except httpx.InvalidURL as error:
            raise HttpNotSent(f"{request.path}: {error}") from error
        except httpx.HTTPError as error:
            raise _failed(attempt, error) from error
        if not attempt.sent:
            # Every promise about durable-before-wire hangs on that event: without it nothing may trade.
            raise Fatal("EGRESS_HOOK", f"this httpx did not announce {BEFORE_FIRST_BYTE}")
        return HttpResponse(status=response.status_code, headers=dict(response.headers), body=body)


def open_http(base_url: str, *, max_connections: int = 4) -> HttpxLink:
    """A client for one http:// or https:// address. It connects when it is first used."""
    return HttpxLink(base_url, max_connections=max_connections)


_closing: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly


def _close_later(loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
    task = loop.create_task(client.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _body(response: httpx.Response, deadline: float) -> bytes:
    loop = asyncio.get_running_loop()
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > RESPONSE_BYTES_MAX:
            raise HttpNoReply(f"the answer is longer than {RESPONSE_BYTES_MAX} bytes")
        if loop.time() > deadline:  # each read is bounded; a peer that drips must be bounded in all
            raise HttpNoReply("the answer came too slowly")
        chunks.append(chunk)
    return b"".join(chunks)


def _failed(attempt: _Attempt, error: httpx.HTTPError) -> HttpNotSent | HttpNoReply:
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, NOT_SENT) and not attempt.sent:
        return HttpNotSent(what)
    return HttpNoReply(what)


def _ended(attempt: _Attempt, what: str) -> HttpNotSent | HttpNoReply:
    return HttpNoReply(what) if attempt.sent else HttpNotSent(what)


@functools.cache
def _certificates() -> ssl.SSLContext:
    # Loading the certificates takes tens of milliseconds of the loop: once per process, not once per restart.
    return httpx.create_ssl_context()
