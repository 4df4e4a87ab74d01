"""A client of the venue model for tests: it moves the time by hand and speaks both faces without a shell."""

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.pairs import PAIRS
from allstop.actors.simulated.kraken.rest import Request
from allstop.actors.simulated.kraken.signing import ApiKey, signature
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.tape import TapeFrame
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings

BEGIN_NS = 1_767_225_600_000_000_000  # 2026-01-01
BTC = "BTC/USD"


class Client:
    """One account's client with a key of each role."""

    def __init__(self, venue: KrakenVenue | None = None, **settings: Any) -> None:
        self.at = At(1000.0, BEGIN_NS)
        self.venue = venue or KrakenVenue(Settings(**settings), wall_ns=BEGIN_NS)
        self.key: ApiKey = next(iter(self.venue.keys.values()))
        self.nonce = 0
        self.ip = "127.0.0.1"

    # -- time and the market -------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.at = At(self.at.now_s + seconds, self.at.wall_ns + int(seconds * 1e9))
        self.venue.tick(self.at)

    def book(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]], symbol: str = BTC) -> None:
        """Puts this book in place of the one there is, a millisecond later."""
        self.wait(0.001)
        frame = TapeFrame(snapshot=True, bids=tuple(bids), asks=tuple(asks))
        self.venue.play(symbol, frame, self.at)

    def print(self, price: str, symbol: str = BTC) -> None:
        """A public trade, a millisecond later."""
        self.wait(0.001)
        self.venue.fault({"kind": "print", "symbol": symbol, "price": price}, self.at)

    # -- REST ----------------------------------------------------------------------------------------------------

    def post(self, name: str, **params: Any) -> dict[str, Any]:
        """The whole envelope of a private call."""
        self.nonce += 1
        return self.signed(name, self.nonce, **params)

    def signed(self, name: str, nonce: int, *, sign: str | None = None, **params: Any) -> dict[str, Any]:
        path = f"/0/private/{name}"
        if any(isinstance(value, list) for value in params.values()):
            body, kind = json.dumps({"nonce": str(nonce), **params}).encode(), "application/json"
        else:
            body, kind = urlencode({"nonce": nonce, **params}).encode(), "application/x-www-form-urlencoded"
        headers = {
            "api-key": self.key.key,
            "api-sign": sign if sign is not None else signature(self.key.secret, path, str(nonce), body),
            "content-type": kind,
        }
        answer = self.venue.http(
            Request(method="POST", path=path, headers=headers, body=body, ip=self.ip), self.at
        )
        return json.loads(answer.body)

    def get(self, path: str) -> dict[str, Any]:
        return json.loads(self.venue.http(Request(method="GET", path=path, headers={}), self.at).body)

    def ok(self, name: str, **params: Any) -> Any:
        """The result of a call that must succeed."""
        told = self.post(name, **params)
        assert told["error"] == [], told
        return told["result"]

    def refused(self, name: str, **params: Any) -> str:
        """The error of a call that must be refused."""
        told = self.post(name, **params)
        assert "result" not in told
        return told["error"][0]

    def order(self, side: str, volume: str, price: str | None = None, **more: str) -> str:
        """Places a market order, or a limit order at this price; its id."""
        priced = {"ordertype": "market"} if price is None else {"ordertype": "limit", "price": price}
        asked = {"pair": "XBTUSD", "type": side, "volume": volume, **priced, **more}
        return self.ok("AddOrder", **asked)["txid"][0]

    def stop(self, side: str, volume: str, trigger: str, **more: str) -> str:
        return self.order(side, volume, trigger, ordertype="stop-loss", **more)

    # -- WebSocket -----------------------------------------------------------------------------------------------

    def connect(self, *, private: bool) -> "Socket":
        connection = self.venue.ws_open(private=private, ip=self.ip, at=self.at)
        assert connection is not None
        return Socket(self, connection)

    def stream(self, **options: Any) -> "Socket":
        """A private connection that has subscribed to executions; what it was told so far is read."""
        socket = self.connect(private=True)
        token = self.ok("GetWebSocketsToken")["token"]
        socket.token = token
        socket.call("subscribe", channel="executions", **options)
        return socket

    # -- the truth -----------------------------------------------------------------------------------------------

    def truth(self) -> dict[str, Any]:
        told = self.venue.truth(self.at)
        return json.loads(json.dumps(told))  # it must be plain data

    def orders(self) -> dict[str, Any]:
        return self.truth()["orders"]

    def told(self, order_id: str) -> dict[str, Any]:
        return self.orders()[order_id]

    def position(self, symbol: str = BTC) -> Decimal:
        return Decimal(self.truth()["positions"].get("main", {}).get(symbol, "0"))

    def cover(self, symbol: str = BTC) -> dict[str, Any]:
        return self.truth()["cover"]["main"][symbol]


class Socket:
    """One WebSocket connection of a client."""

    def __init__(self, client: Client, connection: Connection) -> None:
        self.client = client
        self.connection = connection
        self.token: str | None = None

    def call(self, method: str, *, req_id: int = 7, **params: Any) -> list[dict[str, Any]]:
        """Sends one request; every frame that came since the last look."""
        if self.token is not None:
            params = {"token": self.token, **params}
        return self.send(json.dumps({"method": method, "params": params, "req_id": req_id}))

    def send(self, text: str) -> list[dict[str, Any]]:
        venue, at = self.client.venue, self.client.at
        replies = venue.ws_frame(self.connection, text, at)
        venue.ws_reply(self.connection, replies, at, at)
        venue.settle(at)
        return self.frames()

    def texts(self) -> list[str]:
        texts, self.connection.out = self.connection.out, []
        return texts

    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts()]

    def rows(self, channel: str = "executions") -> list[dict[str, Any]]:
        """The rows of this channel's updates since the last look."""
        return [
            row
            for frame in self.frames()
            if frame.get("channel") == channel and frame["type"] == "update"
            for row in frame["data"]
        ]


__all__ = ["BEGIN_NS", "BTC", "PAIRS", "Client", "Socket"]
