"""The simulated Kraken as a whole: pure, told the time with every call, asked by its shells for what to send.

A shell calls `http`, `ws_open`, `ws_frame`, `ws_close`, `play` and `tick` with the moment of the call, and after each
takes the frames of the connections in `take_output()`. `truth()` is what really happened, for whoever judges a client.
"""

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from allstop.actors.simulated.kraken import methods, public, rest, stream, trouble
from allstop.actors.simulated.kraken.accounts import Account
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.book import books_of
from allstop.actors.simulated.kraken.counters import TIERS, ConnectLedger, Counter, Tier
from allstop.actors.simulated.kraken.cover import CoverMeter
from allstop.actors.simulated.kraken.engine import Engine
from allstop.actors.simulated.kraken.faults import CallPlan, Faults, checked
from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.pairs import Pair, assets_of
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.signing import ApiKey, make_key
from allstop.actors.simulated.kraken.statuses import Statuses
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.tape import DEPTHS, TapeFrame, reel_of
from allstop.actors.simulated.kraken.truth import told_truth
from allstop.actors.simulated.kraken.wire import Codes
from allstop.actors.simulated.kraken.witness import NOBODY, Witness

TOKEN_NS = 900 * 1_000_000_000
REQUESTS_KEPT = 200_000  # some 3 hours at 20 a second; then the oldest are forgotten and counted


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from one simulated Kraken to another."""

    seed: str = "allstop"
    accounts: tuple[str, ...] = ("main",)
    roles: tuple[str, ...] = ("trade", "protect", "watchdog")  # one key each, per account
    balances: dict[str, Decimal] = msgspec.field(default_factory=lambda: {"USD": Decimal(1_000_000)})
    tier: Tier = Tier.PRO
    counting: bool = True  # both rate counters
    stops_hold_balance: bool = True
    limits_cover: bool = False  # whether a resting limit on the reducing side counts as cover
    connects_max: int = 150
    pairs: tuple[str, ...] = ()  # whose markets move; the others keep their first snapshot. None named: all


class _Token(msgspec.Struct):
    key: ApiKey
    issued_ns: int


class KrakenVenue:
    """The model. Not thread-safe: one shell, one caller at a time."""

    def __init__(
        self, settings: Settings | None = None, tape: Sequence[TapeFrame] = (), *, wall_ns: int = 0
    ) -> None:
        self.settings = settings or Settings()
        self.tape = tuple(tape)
        self.reel = reel_of(self.tape, self.settings.pairs)
        self.pairs = self.reel.pairs
        self.assets = assets_of(self.pairs.values())
        self.begun_ns = wall_ns
        self.rounds = 0  # how often it was reset: a shell begins its feed again
        self.faults = Faults()
        self.connects = ConnectLedger(self.settings.connects_max)
        self.witness = NOBODY
        self._build(wall_ns)

    def _build(self, wall_ns: int) -> None:
        settings = self.settings
        limits = TIERS[settings.tier]
        self.codes = Codes(settings.seed)
        self.accounts = {
            name: Account(name, settings.balances, stops_hold=settings.stops_hold_balance)
            for name in settings.accounts
        }
        self.keys: dict[str, ApiKey] = {}
        for account in settings.accounts:
            for role in settings.roles:
                key = make_key(settings.seed, account, role, wall_ns)
                self.keys[key.key] = key
        books = books_of(self.reel)
        self.engine = Engine(
            markets={symbol: Market(pair, self._depth(symbol), books) for symbol, pair in self.pairs.items()},
            accounts=self.accounts,
            limits=limits,
            codes=self.codes,
            counting=settings.counting,
            limits_cover=settings.limits_cover,
        )
        self.engine.positions.on_change = self._position
        self.attach(self.witness)
        for symbol, market in self.engine.markets.items():
            opening = self.reel.tapes[symbol][0]
            assert opening is not None  # a reel begins with a snapshot of every pair
            market.play(opening, wall_ns)
        self.connections: dict[int, Connection] = {}
        self.bad_keys: dict[str, int] = {}
        self.locked_until_s: dict[str, float] = {}
        self.meters: dict[tuple[str, str], CoverMeter] = {}
        self.requests: list[dict[str, Any]] = []
        self.requests_forgotten = 0
        self.connected: list[dict[str, Any]] = []
        self.statuses = Statuses(self, wall_ns)
        self.frames = {"in": 0, "out": 0}
        self._tokens: dict[str, _Token] = {}
        self._call_counters: dict[str, Counter] = {}
        self._output: dict[int, Connection] = {}
        self._later: list[Callable[[], None]] = []
        self._connection_number = 0

    def attach(self, witness: Witness) -> None:
        """Who is told from now on what happens, also after a reset."""
        self.witness = witness
        self.engine.witness = witness
        self.engine.rates.on_broken = witness.broke

    # -- for shells ----------------------------------------------------------------------------------------------

    def plan(self, method: str) -> CallPlan:
        """What the armed faults make of the next call of this method. Spends them."""
        return self.faults.plan(method)

    def http(self, request: rest.Request, at: At) -> rest.Answer:
        """Serves one REST request."""
        answer = rest.answered(self, request, at)
        self._settle(at)
        return answer

    def ws_open(self, *, private: bool, ip: str, at: At) -> Connection | None:
        """A new connection with its status frame, or None when it is refused."""
        self._connection_number += 1
        number = self._connection_number
        refused = at.now_s < self.faults.refused_until_s
        shut = at.now_s < self.faults.banned_until_s
        banned = not refused and not shut and not self.connects.connect(ip, at.now_s)
        turned_away = refused or shut or banned
        row = {
            "connection": number,
            "private": private,
            "ip": ip,
            "at_ns": at.wall_ns,
            "refused": turned_away,
        }
        self.connected.append(row)
        self.witness.connected(row)
        if banned:
            self.engine.rates.broke("connects", ip, at)
        if turned_away:
            return None
        connection = Connection(number=number, private=private, ip=ip, opened=at, last_out_s=at.now_s)
        self.connections[number] = connection
        stream.said(self, connection, "status", public.status_frame(self.engine.status, number), at)
        connection.cut = at.now_s < self.faults.slammed_until_s
        return connection

    def refusal(self, ip: str, at: At) -> int:
        """The HTTP status with which a connection is refused: 429 is the edge's ban, 503 passes."""
        banned_until_s = max(self.connects.banned_until_s(ip) or 0.0, self.faults.banned_until_s)
        return 429 if at.now_s < banned_until_s else 503

    def ws_frame(self, connection: Connection, text: str, at: At) -> list[dict[str, Any]]:
        """Carries out one request of a connection; the replies, which go out before what they made happen. The shell
        hands them to `ws_reply` when the plan lets it, and always ends with `settle`."""
        self.frames["in"] += 1
        return methods.served(self, connection, text, at)

    def ws_reply(self, connection: Connection, replies: list[dict[str, Any]], came: At, at: At) -> None:
        for reply in replies:
            stream.said(self, connection, "reply", methods.timed(reply, came, at), at)

    def ws_close(self, connection: Connection, at: At) -> None:
        self.connections.pop(connection.number, None)
        self._output.pop(connection.number, None)
        for row in self.connected:
            if row["connection"] == connection.number:
                row["closed_ns"] = at.wall_ns

    def settle(self, at: At) -> None:
        """Sends snapshots and tells what happened. Called after every request."""
        self._settle(at)

    def play(self, symbol: str, frame: TapeFrame, at: At) -> None:
        """Moves one pair's market by a frame of its tape and sends it to the subscribers."""
        market = self.engine.markets[symbol]
        before = market.book
        shallow = {d: market.view(d) for d in self._shallow(market)} if market.depth > DEPTHS[0] else {}
        printed = market.play(frame, at.wall_ns)
        if self._watched("book", symbol) and (frame.bids or frame.asks or frame.snapshot):
            stream.spread_book(self, market, public.book_frame(market, frame, at.wall_ns), at)
        for depth, view in shallow.items():
            text = public.shallow_frame(market, view, depth, at.wall_ns)
            if text is not None:
                stream.spread_book(self, market, text, at, depth=depth)
        if printed and self._watched("trade", symbol):
            stream.spread(self, "trade", symbol, public.trade_frame(symbol, list(printed), "update"), at)
        self._ticker(market, at, bbo=not printed and before.best != market.book.best)
        self.engine.market_moved(symbol, at)
        self._settle(at)

    def tick(self, at: At) -> None:
        """What time alone does; the shell calls it several times a second."""
        self.statuses.tick(at)
        self.engine.tick(at)
        stream.time_passed(self, at)
        self._settle(at)

    def due_s(self, at: At) -> float | None:
        """When `tick` is due next, as things stand: the first moment at which time alone does something. None: never.
        Whatever is asked of the venue meanwhile may bring it nearer."""
        moments = [until_s for until_s in self.statuses.moments() if until_s > at.now_s]
        moments += self.statuses.turns()
        moments += [stream.due_s(connection) for connection in self.connections.values()]
        moments += self.engine.moments(at)
        return min(moments, default=None)

    def take_output(self) -> list[Connection]:
        """The connections with frames to write, or to cut, since the last call."""
        waiting, self._output = list(self._output.values()), {}
        for connection in waiting:
            self.frames["out"] += len(connection.out)
        return waiting

    def reset(self, at: At) -> None:
        """Begins again: a new book, no orders, full balances. Connections are cut; keys and their nonces go on."""
        nonces = {key.key: key.nonce for key in self.keys.values()}
        for connection in self.connections.values():
            connection.cut = True
        old = dict(self.connections)
        self.faults.clear()
        self._build(at.wall_ns)
        self.begun_ns = at.wall_ns
        self.rounds += 1
        for key in self.keys.values():
            key.nonce = nonces[key.key]
        self._output = old

    # -- for the faces -------------------------------------------------------------------------------------------

    def modes(self) -> dict[str, str]:
        """What each pair lets be done now."""
        return {symbol: self.engine.mode(symbol) for symbol in self.pairs}

    def market(self, pair: Pair) -> Market:
        return self.engine.markets[pair.symbol]

    def saw(self, request: dict[str, Any]) -> None:
        """Keeps a request for the truth."""
        self.requests.append(request)
        if len(self.requests) > REQUESTS_KEPT:
            del self.requests[: REQUESTS_KEPT // 10]
            self.requests_forgotten += REQUESTS_KEPT // 10

    def has_output(self, connection: Connection) -> None:
        self._output[connection.number] = connection

    def later(self, say: Callable[[], None]) -> None:
        """A frame that must follow the reply to the request being served."""
        self._later.append(say)

    def call_counter(self, key: ApiKey) -> Counter:
        """The REST counter of a key."""
        if key.key not in self._call_counters:
            limits = TIERS[self.settings.tier]
            self._call_counters[key.key] = Counter(limits.rest_max, limits.rest_decay)
        return self._call_counters[key.key]

    def issue_token(self, key: ApiKey, at: At) -> str:
        material = f"{self.settings.seed}:token:{self.codes.count()}".encode()
        token = hashlib.sha256(material).hexdigest()[:43]
        self._tokens[token] = _Token(key, at.wall_ns)
        self.witness.issued(token, at.wall_ns)
        return token

    def token_key(self, connection: Connection, token: object, at: At) -> ApiKey:
        """The key whose token this is. A token lasts 15 minutes, and as long as the connection that subscribed with
        it. Raises Refusal."""
        known = self._tokens.get(token) if isinstance(token, str) else None
        if known is None or known.key.revoked:
            raise Refusal("ESession:Invalid session")
        if at.wall_ns - known.issued_ns > TOKEN_NS and connection.token != token:
            raise Refusal("ESession:Invalid session")
        return known.key

    # -- faults --------------------------------------------------------------------------------------------------

    def fault(self, request: object, at: At) -> dict[str, Any]:
        """Sets a fault; what was set, complete. Raises BadFault."""
        kind, fields = checked(request)
        trouble.befell(self, kind, fields, at)
        self.statuses.look(at)
        self._settle(at)
        return {"kind": kind, **fields}

    def expire_tokens(self) -> None:
        """No token that was issued is known any more."""
        self._tokens.clear()

    def printed(self, pair: Pair, price: Decimal, at: At) -> None:
        """A public trade of the pair's least quantity at this price: stops trigger on it."""
        market = self.market(pair)
        trade = market.trade("sell", price, pair.min_qty, at.wall_ns)
        stream.spread(self, "trade", pair.symbol, public.trade_frame(pair.symbol, [trade], "update"), at)
        self._ticker(market, at, bbo=False)
        self.engine.market_moved(pair.symbol, at)

    @property
    def revoked(self) -> bool:
        """Whether any key has been."""
        return any(key.revoked for key in self.keys.values())

    # -- the truth -----------------------------------------------------------------------------------------------

    def truth(self, at: At) -> dict[str, Any]:
        """Everything that happened, as plain data that JSON can carry. Decimals are text."""
        return told_truth(self, at)

    # -- inside --------------------------------------------------------------------------------------------------

    def _position(self, account: str, symbol: str, position: Decimal, cover: Decimal, wall_ns: int) -> None:
        meter = self.meters.get((account, symbol))
        if meter is None:
            meter = self.meters[(account, symbol)] = CoverMeter()
            meter.reachable(self.statuses.reachable, wall_ns)
        meter.measured(position, cover, wall_ns)
        self.witness.measured(account, symbol, position, cover, wall_ns)

    def _depth(self, symbol: str) -> int:
        return max(frame.depth for frame in self.reel.tapes[symbol] if frame is not None)

    def _shallow(self, market: Market) -> set[int]:
        """The depths that are watched and less than the whole book."""
        key = ("book", market.pair.symbol)
        watched = [c.subscriptions[key].depth for c in self.connections.values() if key in c.subscriptions]
        return {depth for depth in watched if depth < market.depth}

    def _watched(self, channel: str, symbol: str) -> bool:
        return any((channel, symbol) in connection.subscriptions for connection in self.connections.values())

    def _ticker(self, market: Market, at: At, *, bbo: bool) -> None:
        symbol = market.pair.symbol
        if self._watched("ticker", symbol):
            text = public.ticker_frame(market, "update", at.wall_ns)
            if text is not None:
                stream.spread(self, "ticker", symbol, text, at, bbo=bbo)

    def _settle(self, at: At) -> None:
        later, self._later = self._later, []
        for say in later:
            say()
        stream.told_happened(self, self.engine.drain(), at)
