"""Kraken's REST order desk for one account and one key: the port `Desk`, over an HTTP client.

Each private call takes a turn from the account's ledger, which orders the nonces and meters the calls, and gives it
back with what the venue said of the key. Reads raise QueryFailed and prove nothing by it. Writes end in one of the
four outcomes; the egress guard has the last word, directly before the first byte.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol, TypeVar

import msgspec

from allstop.actors.clock import Clock, Ids
from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.egress import Guard, OrderFrame
from allstop.actors.errors import BadInput, Fatal, Fault, Remedy, ReplyError
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent
from allstop.actors.key_roles import Role, key_problems
from allstop.actors.ledger import (
    AccountKey,
    ChargeOrder,
    EndTurn,
    KeyStopped,
    OrderTouched,
    RoomFor,
    StopKey,
    SyncOrders,
    TakeTurn,
)
from allstop.actors.levels import IntentKind
from allstop.actors.limits.kraken import OrderOp
from allstop.actors.limits.lanes import Lane, lane_of
from allstop.actors.order_frames import command_frame, submit_frame
from allstop.actors.ports import (
    Desk,
    HttpLink,
    HttpNoReply,
    HttpNotSent,
    HttpResponse,
    PlannedOrders,
    QueryFailed,
)
from allstop.actors.protocols.kraken import rest
from allstop.actors.protocols.kraken.faults import outcome_of
from allstop.actors.protocols.kraken.instruments import known_names
from allstop.actors.protocols.wire import DecodeError, rfc3339
from allstop.actors.reports import Accepted, NotSent, OrderReport, Unknown, WriteOutcome
from allstop.actors.runtime import ActorDead, CallTimeout

T = TypeVar("T")

PAGES_MAX: Final = (
    40  # 50 orders each: 2000 closed orders since the last proof are an outage, not a reconnect
)
NONCE_TRIES: Final = 2  # after "Invalid nonce", for reads; the ledger has jumped its high-water by then
EDGE_COOL_S: Final = 10.0  # after the edge's own 429, which names no time: asking on prolongs it
TURN_SLACK_S: Final = 1.0  # a turn outlives its request by this, so that the two never race

OPEN_ORDERS: Final = rest.open_orders().path
OK: Final = 200
UNKNOWN_ORDER: Final = "EOrder:Unknown order"


class LedgerLink(Protocol):
    """What a desk needs of its account's ledger: the address of it, or what stands in for one that gave up."""

    async def call(self, message: object, timeout_s: float) -> Any: ...

    def tell(self, message: object) -> None: ...


class _Seen(msgspec.Struct):
    """An answer as it came, and as it was read."""

    body: bytes
    result: Any
    reports: list[OrderReport] | None = None


class KrakenDesk:
    """`lane` is that of its reads: QUERY, or PROTECT for the guardian's desk; a write travels in its intent's lane, or
    in this one where that is better. `guard` None: a desk that only reads. `scope_head` is (venue, account).
    `doubt` is told of every refusal of a write. Its methods are called from one actor; closing it ends its client, not
    the key's ledger."""

    def __init__(self, *, http: HttpLink, key: AccountKey, ledger: LedgerLink, guard: Guard | None,
                 instruments: Mapping[str, Instrument], clock: Clock, ids: Ids, scope_head: tuple[str, str],
                 settings: ConnectionSettings | None = None, lane: Lane = Lane.QUERY,
                 role: Role = "trade", doubt: Callable[[Fault], None] = lambda _: None) -> None:  # fmt: skip
        self._http = http
        self._key = key
        self._ledger = ledger
        self._guard = guard
        self._instruments = instruments
        self._names = known_names(instruments.values())
        self._clock = clock
        self._ids = ids
        self._scope_head = scope_head
        self._settings = settings or ConnectionSettings()
        self._lane = lane
        self._role: Role = role
        self._doubt = doubt
        self._seen: _Seen | None = None  # the last list of open orders

    # Reads

    async def open_orders(self) -> list[OrderReport]:
        """An answer that says byte for byte what the last one said is not read again: that is most of them."""
        result = await self._read(rest.open_orders())
        seen = self._seen
        if seen is None or seen.result is not result:
            return self._decoded("OpenOrders", lambda: rest.decode_open_orders(result, self._names))
        if seen.reports is None:
            seen.reports = self._decoded("OpenOrders", lambda: rest.decode_open_orders(result, self._names))
        return list(seen.reports)

    async def closed_orders(self, since_ns: int) -> list[OrderReport]:
        """Complete from `since_ns` on. An order that closes while pages are read shifts the later pages by one, so
        each page starts one before the end of the last, and the whole is kept by id."""
        found: dict[str, OrderReport] = {}
        start, offset = since_ns // 1_000_000_000 - 1, 0
        for _ in range(PAGES_MAX):
            result = await self._read(rest.closed_orders(start, offset))
            page = self._decoded("ClosedOrders", lambda: rest.decode_closed_orders(result, self._names))  # noqa: B023 - called here, at once
            found |= {report.order_id: report for report in page.reports}
            if not page.reports or (page.count is not None and offset + len(page.reports) >= page.count):
                return list(found.values())
            offset += max(1, len(page.reports) - 1)
        raise QueryFailed(f"ClosedOrders has more than {PAGES_MAX} pages")

    async def query_orders(self, order_ids: Sequence[str]) -> list[OrderReport]:
        """What the venue knows of these. One id that it does not know fails the whole question there: the question is
        halved until it stands alone, and is left out. That it is unknown is not an end of that order."""
        found: list[OrderReport] = []
        asked = [order_ids[at : at + rest.BATCH_MAX] for at in range(0, len(order_ids), rest.BATCH_MAX)]
        while asked:
            batch = asked.pop()
            try:
                result = await self._read(rest.query_orders(batch))
            except QueryFailed as failed:
                if failed.fault is None or failed.fault.code != UNKNOWN_ORDER:
                    raise
                middle = len(batch) // 2
                asked += [half for half in (batch[:middle], batch[middle:]) if len(batch) > 1]
                continue
            found += self._decoded("QueryOrders", lambda: rest.decode_query_orders(result, self._names))  # noqa: B023 - called here, at once
        return found

    async def balances(self) -> dict[str, str]:
        result = await self._read(rest.balance())
        return self._decoded("Balance", lambda: rest.decode_balance(result))

    async def websockets_token(self) -> str:
        """A token for one private connection, to be used within 15 minutes."""
        result = await self._read(rest.get_websockets_token())
        return self._decoded("GetWebSocketsToken", lambda: rest.decode_token(result))

    async def probe(self) -> rest.KeyInfo:
        """What the key may do. Raises BadInput for a key that can withdraw or cannot do its role's work; QueryFailed
        when the venue did not say."""
        result = await self._read(rest.get_api_key_info())
        info = self._decoded("GetApiKeyInfo", lambda: rest.decode_key_info(result))
        if problems := key_problems(info, self._role):
            raise BadInput(*problems)
        return info

    # Writes

    async def submit(self, intent: OrderIntent, *, attempt: int, deadline_s: float) -> WriteOutcome:
        instrument = self._instruments.get(intent.pair)
        if instrument is None:
            return NotSent(f"no instrument {intent.pair!r}")
        deadline_s = max(deadline_s, self._settings.rest_deadline_min_s)
        call = rest.add_order(intent, instrument, self._deadline(deadline_s))

        def frame() -> OrderFrame:
            return submit_frame(self._guard, intent, self._scope_head, attempt, deadline_s)

        charge = ChargeOrder(op=OrderOp.ADD, pair=intent.pair, lane=lane_of(intent.kind),
                             overdraft=intent.kind is IntentKind.PROTECT)  # fmt: skip
        outcome = await self._write(call, frame, charge, deadline_s, order_ids_of)
        if isinstance(outcome, Accepted):
            for order_id in outcome.order_ids:
                self._ledger.tell(OrderTouched(order_id=order_id, pair=intent.pair))
        return outcome

    async def amend(self, command_id: str, order_id: str, *, order_qty: str | None = None,
                    limit_price: str | None = None, trigger_price: str | None = None,
                    deadline_s: float) -> WriteOutcome:  # fmt: skip
        deadline_s = max(deadline_s, self._settings.rest_deadline_min_s)
        call = rest.amend_order(
            order_id,
            order_qty=_decimal(order_qty),
            limit_price=_decimal(limit_price),
            trigger_price=_decimal(trigger_price),
            deadline=self._deadline(deadline_s),
        )
        # What was never committed can leave only under the emergency rule, and then only as what the guardian does.
        least = IntentKind.PROTECT if self._lane is Lane.PROTECT else IntentKind.REDUCE

        def frame() -> OrderFrame:
            return command_frame(self._guard, command_id, None, self._scope_head, deadline_s, least=least)

        kind = frame().kind
        charge = ChargeOrder(op=OrderOp.AMEND, orders=(order_id,), lane=lane_of(kind),
                             overdraft=kind is IntentKind.PROTECT)  # fmt: skip
        outcome = await self._write(call, frame, charge, deadline_s, rest.decode_amend_order)
        if not isinstance(outcome, Accepted):
            return outcome
        self._ledger.tell(OrderTouched(order_id=order_id))
        return Accepted((order_id,))

    async def cancel(self, command_id: str, order_ids: Sequence[str]) -> WriteOutcome:
        """By id, in batches of at most 50. When a later batch was not taken, what became of the whole is Unknown."""
        taken: list[str] = []
        for at in range(0, len(order_ids), rest.BATCH_MAX):
            batch = tuple(order_ids[at : at + rest.BATCH_MAX])
            outcome = await self._cancel(command_id, batch)
            if not isinstance(outcome, Accepted):
                return (
                    outcome
                    if not taken
                    else Unknown(f"{len(taken)} of {len(order_ids)} taken, then {outcome}")
                )
            taken += batch
        return Accepted(tuple(taken)) if taken else NotSent("no orders named")

    async def _cancel(self, command_id: str, batch: tuple[str, ...]) -> WriteOutcome:
        single = len(batch) == 1
        call = rest.cancel_order(batch[0]) if single else rest.cancel_order_batch(batch)

        def frame() -> OrderFrame:
            return command_frame(self._guard, command_id, IntentKind.CANCEL, self._scope_head, 0.0)

        # Over the limit Kraken takes cancels in batches and refuses a single one; the guardian's may find out.
        charge = ChargeOrder(op=OrderOp.CANCEL if single else OrderOp.BATCH_CANCEL, orders=batch,
                             lane=min(self._lane, Lane.CANCEL),
                             overdraft=not single or self._lane is Lane.PROTECT)  # fmt: skip
        outcome = await self._write(call, frame, charge, self._settings.rest_timeout_s, rest.decode_cancel)
        return Accepted(batch) if isinstance(outcome, Accepted) else outcome

    async def room_s(self, planned: PlannedOrders) -> float:
        try:
            return await self._ledger.call(
                RoomFor(planned=planned), timeout_s=self._settings.permit_timeout_s
            )
        except (ReplyError, ActorDead, CallTimeout) as error:
            raise QueryFailed(f"the order rate of {planned.pair}: {error}") from error

    def refused(self, reason: str) -> None:
        """The venue refused this desk's key somewhere else, as on a socket: nobody uses it again."""
        self._ledger.tell(StopKey(key=self._key.fingerprint, reason=reason))

    async def close(self) -> None:
        await self._http.close()

    # One call

    async def _read(self, call: rest.RestCall) -> Any:
        """The result, or QueryFailed. A refused nonce is tried again with the next, which is past the gap."""
        trouble: list[Fault] = []
        for _ in range(NONCE_TRIES):
            try:
                result, faults = await self._call(call, self._lane, self._settings.rest_timeout_s, None)
            except (HttpNotSent, HttpNoReply, ReplyError, ActorDead, CallTimeout) as error:
                raise QueryFailed(f"{call.path}: {error}") from error
            trouble = [fault for fault in faults if fault.remedy is not Remedy.OK]
            if not trouble:
                return result
            if all(fault.remedy is not Remedy.RENONCE for fault in trouble):
                break
        raise QueryFailed(call.path, trouble[0])

    async def _write(self, call: rest.RestCall, frame: Callable[[], OrderFrame], charge: ChargeOrder, deadline_s: float,
                     decode: Callable[[Any], Any]) -> WriteOutcome:  # fmt: skip
        """`frame` is asked for directly before the first byte: by whom it was committed may be heard of while the call
        waits for its turn."""
        guard = self._guard
        if guard is None:
            return NotSent("this desk only reads")
        try:
            await self._ledger.call(charge, timeout_s=self._settings.permit_timeout_s)
        except (ReplyError, ActorDead, CallTimeout) as error:
            return NotSent(str(error))

        timeout_s = deadline_s + self._settings.reply_grace_s
        try:
            result, faults = await self._call(
                call, min(charge.lane, self._lane), timeout_s, lambda: guard.check(frame())
            )
        except HttpNoReply as error:
            return Unknown(str(error))
        except (HttpNotSent, ReplyError, ActorDead, CallTimeout) as error:
            return NotSent(str(error))
        if charge.pair is not None and any(fault.code == "EOrder:Rate limit exceeded" for fault in faults):
            self._ledger.tell(SyncOrders(pair=charge.pair, level=None))
        for fault in faults:
            self._doubt(fault)
        return write_outcome(result, faults, decode)

    async def _call(self, call: rest.RestCall, lane: Lane, timeout_s: float,
                    before_send: Callable[[], None] | None) -> tuple[Any, tuple[Fault, ...]]:  # fmt: skip
        """One private call under one turn. Raises Fatal when the key is refused: it is never used again."""
        settings, key = self._settings, self._key
        wait_s = settings.protect_wait_max_s if lane is Lane.PROTECT else settings.turn_wait_max_s
        end = EndTurn(id=self._ids.new(), key=key.fingerprint)
        try:
            turn = await self._ledger.call(
                TakeTurn(id=end.id, key=key.fingerprint, path=call.path, lane=lane, wait_max_s=wait_s,
                         hold_s=timeout_s + TURN_SLACK_S),
                timeout_s=wait_s + settings.permit_timeout_s,
            )  # fmt: skip
            request = rest.request(call, key=key.key, secret=key.secret, nonce=turn.nonce)
            response = await self._http.request(request, timeout_s=timeout_s, before_send=before_send)
            result, faults = self._opened(call, response)
            if faults:
                end = ended(end, faults)
        except KeyStopped as stopped:
            raise Fatal("KEY_STOPPED", str(stopped)) from stopped
        except HttpNotSent:
            end = msgspec.structs.replace(end, unsent=True)
            raise
        finally:
            self._ledger.tell(end)
        if end.stop:
            await self._write_down(end.stop)
            if not call.write:
                raise Fatal("KEY_REFUSED", end.stop)
        return result, faults

    def _opened(self, call: rest.RestCall, response: HttpResponse) -> tuple[Any, tuple[Fault, ...]]:
        """The answer out of its envelope."""
        lists, seen = call.path == OPEN_ORDERS and response.status == OK, self._seen
        if lists and seen is not None and seen.body == response.body:
            return seen.result, ()
        now_s = self._clock.wall_ns() / 1e9
        result, faults = rest.decode_envelope(response.status, response.body, write=call.write, now_s=now_s)
        if lists and not faults:
            self._seen = _Seen(response.body, result)
        return result, faults

    async def _write_down(self, reason: str) -> None:
        """That the key is refused, before anybody acts on it: what it ends may be this process, and the next one must
        know. A ledger that cannot say so has its own end coming."""
        stop = StopKey(key=self._key.fingerprint, reason=reason)
        try:
            await self._ledger.call(stop, timeout_s=self._settings.permit_timeout_s)
        except (ReplyError, ActorDead, CallTimeout):
            return

    def _deadline(self, deadline_s: float) -> str:
        return rfc3339(self._clock.wall_ns() + int(deadline_s * 1e9))

    def _decoded(self, what: str, decode: Callable[[], T]) -> T:
        try:
            return decode()
        except DecodeError as error:
            raise QueryFailed(f"{what}: {error}") from error


async def keep(desk: Desk) -> None:
    """The body of a task that an actor starts for its desk: it waits for the end of the incarnation, however that
    comes, and closes the desk. `on_stop` would not run after a crash or a kill, and the sockets would stay. (Killed
    before its first step it closes nothing, and there is nothing yet: a client opens sockets when it is used.)"""
    try:
        await asyncio.Event().wait()
    finally:
        await desk.close()


def ended(end: EndTurn, faults: Sequence[Fault]) -> EndTurn:
    """The end of a turn with what these faults say of its key."""
    stop = next((str(f) for f in faults if f.remedy in (Remedy.STOP_KEY, Remedy.HALT)), "")
    cools = [f.retry_after_s or 0.0 for f in faults if f.remedy is Remedy.COOL]
    edge = [EDGE_COOL_S for f in faults if f.code == "HTTP:429"]
    return msgspec.structs.replace(
        end,
        stop=stop,
        cool_s=max((*cools, *edge), default=0.0),
        over_limit=any(f.code.startswith(("EAPI:Rate limit", "EGeneral:Too many")) for f in faults),
        bad_nonce=any(f.remedy is Remedy.RENONCE for f in faults),
    )


def order_ids_of(result: Any) -> tuple[str, ...]:
    """The ids of the orders that were made. An acceptance that names none is no acceptance: DecodeError."""
    ids = rest.decode_add_order(result)
    if not ids:
        raise DecodeError("AddOrder: no order id", repr(result))
    return ids


def write_outcome(result: Any, faults: Sequence[Fault], decode: Callable[[Any], Any]) -> WriteOutcome:
    """What a write's answer proves. One that cannot be read proves nothing."""
    outcome = outcome_of(faults, result=result is not None)
    if not isinstance(outcome, Accepted):
        return outcome
    try:
        decoded = decode(result)
    except DecodeError as error:
        return Unknown(f"the answer could not be read: {error}")
    return Accepted(decoded if isinstance(decoded, tuple) else ())


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
