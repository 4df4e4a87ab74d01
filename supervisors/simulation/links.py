"""The network as one life of the engine uses it: links that are gone with it, and that tell a witness what passes."""

from collections.abc import Callable

from allstop.actors.links.memory_http import MemoryHttp
from allstop.actors.links.memory_link import MemoryNetwork, MemoryWebSocket
from allstop.actors.ports import HttpLink, HttpRequest, HttpResponse, WebSocketLink
from allstop.supervisors.simulation.ended import make_inert
from allstop.supervisors.simulation.witness import Witness


class LifeLinks:
    """A WebSocketConnector and an HttpOpener."""

    def __init__(self, network: MemoryNetwork, witness: Witness) -> None:
        self._network = network
        self._witness = witness
        self._sockets: dict[MemoryWebSocket, LifeSocket] = {}
        self._clients: dict[MemoryHttp, LifeHttp] = {}
        self._opened = 0

    async def connect_websocket(
        self,
        url: str,
        *,
        open_timeout_s: float = 5.0,
        ping_interval_s: float = 5.0,
        ping_timeout_s: float = 5.0,
        close_timeout_s: float = 0.5,
        on_traffic: Callable[[], None] | None = None,
    ) -> WebSocketLink:
        """A WebSocketConnector."""
        sockets, witness = self._sockets, self._witness
        link = await self._network.connect_websocket(
            url, open_timeout_s=open_timeout_s, ping_interval_s=ping_interval_s, ping_timeout_s=ping_timeout_s,
            close_timeout_s=close_timeout_s, on_traffic=on_traffic,
        )  # fmt: skip
        for closed in [one for one in sockets if one.closed]:
            del sockets[closed]
        self._opened += 1
        socket = sockets[link] = LifeSocket(link, url, witness, self._opened)
        return socket

    def open_http(self, base_url: str, *, max_connections: int = 4) -> HttpLink:
        """An HttpOpener."""
        clients = self._clients
        for over in [one for one in clients if one.over_and_done]:
            del clients[over]
        client = self._network.open_http(base_url, max_connections=max_connections)
        http = clients[client] = LifeHttp(client, base_url, self._witness)
        return http

    def end(self, *, silent: bool) -> None:
        """The life is over: its connections are gone, and its links are inert."""
        for link, socket in self._sockets.items():
            self._network.forget(link)
            link.forsake(silent=silent)
            make_inert(link)
            make_inert(socket)
        for client, http in self._clients.items():
            client.forsake()
            make_inert(client)
            make_inert(http)
        make_inert(self)


class LifeSocket:
    """A WebSocketLink."""

    def __init__(self, link: MemoryWebSocket, url: str, witness: Witness, number: int = 0) -> None:
        self._link = link
        self._url = url
        self._witness = witness
        self._number = number

    async def send(self, frame: str) -> None:
        witness = self._witness
        witness.reached("send")
        witness.frame(self._url, ">", frame)
        await self._link.send(frame)
        witness.reached("sent")
        if '"add_order"' in frame:
            witness.reached("ordered")

    async def receive(self) -> str:
        frame = await self._link.receive()
        witness = self._witness
        witness.reached("receive")
        witness.frame(self._url, "<", frame)
        if '"sequence"' in frame:
            witness.numbered(self._number, self._url, frame)
        elif witness.marks:
            witness.marked(frame)
        return frame

    async def close(self) -> None:
        await self._link.close()

    def abort(self) -> None:
        self._link.abort()


class LifeHttp:
    """An HttpLink."""

    def __init__(self, client: MemoryHttp, base_url: str, witness: Witness) -> None:
        self._client = client
        self._base_url = base_url
        self._witness = witness

    async def request(
        self,
        request: HttpRequest,
        *,
        timeout_s: float,
        pool_timeout_s: float = 0.05,
        before_send: Callable[[], None] | None = None,
    ) -> HttpResponse:
        witness, base_url = self._witness, self._base_url

        def written() -> None:
            if before_send is not None:
                before_send()
            witness.requested(base_url, request)
            witness.reached("sent")
            if request.path.endswith("/AddOrder"):
                witness.reached("ordered")

        witness.reached("send")
        try:
            response = await self._client.request(
                request, timeout_s=timeout_s, pool_timeout_s=pool_timeout_s, before_send=written
            )
        except BaseException:
            witness.unanswered(base_url, request)
            raise
        witness.reached("receive")
        witness.responded(base_url, request, response)
        return response

    async def close(self) -> None:
        await self._client.close()
