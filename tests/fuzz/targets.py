"""What meets bad input, each as a function of bytes: it returns a value, or raises the one error that is its own."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

from allstop.actors.errors import BadInput
from allstop.actors.protocols import capture
from allstop.actors.protocols.kraken import book_v1, events, faults, frames, rest_answers
from allstop.actors.protocols.kraken.book import Book
from allstop.actors.protocols.kraken.instruments import decode_asset_pairs, pair_names
from allstop.actors.protocols.wire import DecodeError, rfc3339_ns
from allstop.actors.simulated.kraken import recording, tape

Target = Callable[[bytes], object]


class Silent(AssertionError):
    """A frame came and nothing was made of it: no event, no error."""


def websocket_v2(text: bytes) -> object:
    """As the links hand it over: text. Invalid UTF-8 ends a connection below us; here it is replaced."""
    return _events(frames.decode(text.decode("utf-8", "replace")))


def websocket_v1(text: bytes) -> object:
    return _events(book_v1.decode(text.decode("utf-8", "replace")))


EMPTY_IS_SAID: Final = ("Ticker", "Trade", "status", "book", "trade", "ticker")


def _events(found: tuple[events.Event, ...]) -> object:
    """What every consumer does with an event: reads all of it."""
    for event in found:
        match event:
            case events.MalformedFrame():
                if not event.reason:
                    raise Silent("a frame that cannot be read, and no reason")
                if len(event.text) > events.TEXT_MAX or len(event.reason) > events.TEXT_MAX:
                    raise Silent("more of a bad frame is kept than is bounded")
            case events.BookSnapshot() | events.BookUpdate():
                _book(event)
            case events.MethodReply():
                _ = (event.channel, event.symbol, event.order_id, event.cl_ord_id, event.count)
                _ = (event.max_rate_count, event.warnings, event.outcome)
            case _:
                pass
    return found


def _book(change: events.BookSnapshot | events.BookUpdate) -> None:
    for decimals in ((1, 8), (0, 0), (10, 18)):
        book = Book(10, *decimals)
        try:
            book.apply(change)
        except DecodeError:
            continue
        book.checksum()
        _ = (book.best_bid, book.best_ask, book.crossed, book.agrees(change), book.bids(10), book.asks(10))
    with contextlib.suppress(DecodeError):
        _ = change.ts_ns


def rest_envelope(body: bytes) -> object:
    """Any body with any status: never an exception, and a fault where there is no result."""
    for status in (200, 429, 520):
        for write in (False, True):
            result, wrong = rest_answers.decode_envelope(status, body, write=write, now_s=1.0)
            if result is None and not wrong:
                raise Silent("neither a result nor a fault")
    return None


READERS: Final[dict[str, Callable[[Any], object]]] = {
    "AddOrder": rest_answers.decode_add_order,
    "AmendOrder": rest_answers.decode_amend_order,
    "AssetPairs": decode_asset_pairs,
    "AssetPairs names": pair_names,
    "Balance": rest_answers.decode_balance,
    "Cancel": rest_answers.decode_cancel,
    "ClosedOrders": rest_answers.decode_closed_orders,
    "Depth": rest_answers.decode_depth,
    "GetApiKeyInfo": rest_answers.decode_key_info,
    "GetWebSocketsToken": rest_answers.decode_token,
    "OpenOrders": rest_answers.decode_open_orders,
    "QueryOrders": rest_answers.decode_query_orders,
    "SystemStatus": rest_answers.decode_system_status,
    "Ticker": rest_answers.decode_ticker,
    "Time": rest_answers.decode_time,
    "Trades": rest_answers.decode_trades,
}


def rest_results(body: bytes) -> object:
    """The body's result through every reader: a wrong reader must say so, not break."""
    result, _ = rest_answers.decode_envelope(200, body)
    for reader in READERS.values():
        try:
            reader(result)
        except DecodeError:
            continue
    return None


def times(text: bytes) -> object:
    return rfc3339_ns(text[:100].decode("utf-8", "replace"))


def error_texts(text: bytes) -> object:
    said = text.decode("utf-8", "replace")
    return [faults.classify(said, write=write, now_s=5.0) for write in (False, True)]


def captures(text: bytes) -> object:
    """`allstop capture verify` reads files that anybody may have written."""
    try:
        return capture.verify(text.decode("utf-8", "replace").splitlines())
    except BadInput:
        return None


def tapes(text: bytes) -> object:
    try:
        return recording.read_tape(text.decode("utf-8", "replace").splitlines())
    except tape.TapeError:
        return None


FRAME_TARGETS: Final[dict[str, Target]] = {
    "websocket_v2": websocket_v2, "websocket_v1": websocket_v1, "captures": captures, "tapes": tapes, "times": times,
}  # fmt: skip
BODY_TARGETS: Final[dict[str, Target]] = {
    "rest_envelope": rest_envelope, "rest_results": rest_results, "error_texts": error_texts,
}  # fmt: skip
TARGETS: Final[dict[str, Target]] = FRAME_TARGETS | BODY_TARGETS


def broke(target: str, text: bytes) -> str | None:
    """What a target did with a text that it must not do; None if it kept its promise."""
    try:
        TARGETS[target](text)
    except DecodeError:
        return None
    except Exception as error:  # noqa: BLE001 - this is the claim: nothing else is raised, whatever it is
        return f"{target}: {type(error).__name__}: {str(error)[:200]}"
    return None
