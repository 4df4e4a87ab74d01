"""AssetPairs into instruments. A pair without a WebSocket name (a dark pool) is not one that we trade."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from allstop.actors.errors import Fault
from allstop.actors.instruments import Instrument
from allstop.actors.protocols.kraken import names
from allstop.actors.protocols.wire import UNREADABLE, DecodeError, number


class _Pair(msgspec.Struct):
    altname: str
    pair_decimals: int
    lot_decimals: int
    wsname: str | None = None
    ordermin: Any = "0"
    costmin: Any = "0"
    tick_size: Any = None
    status: str = "online"


def decode_asset_pairs(result: object) -> dict[str, Instrument]:
    """Our instruments by pair, from the result of AssetPairs. Raises DecodeError."""
    return {made.pair: made for made in (_instrument(pair) for pair in _pairs(result)) if made}


def pair_names(result: object) -> dict[str, str]:
    """Every name that AssetPairs has for a pair, to ours. Raises DecodeError."""
    known: dict[str, str] = {}
    if isinstance(result, Mapping):
        for internal, pair in zip(result, _pairs(result), strict=True):
            if pair.wsname:
                ours = names.pair(pair.wsname)
                known |= {str(internal): ours, pair.altname: ours, pair.wsname: ours}
    return known


def known_names(instruments: Iterable[Instrument]) -> dict[str, str]:
    """The venue's names of these instruments, to ours."""
    return {instrument.venue_name: instrument.pair for instrument in instruments}


def step(decimals: int) -> Decimal:
    """The smallest step of a number with so many decimals."""
    return Decimal(1).scaleb(-decimals)


def _pairs(result: object) -> list[_Pair]:
    if not isinstance(result, Mapping):
        raise DecodeError("AssetPairs is not an object", repr(result)[:200])
    try:
        return [msgspec.convert(pair, _Pair) for pair in result.values()]
    except UNREADABLE as error:
        raise DecodeError(f"AssetPairs: {error}") from error


def _instrument(pair: _Pair) -> Instrument | None:
    if pair.wsname is None:
        return None
    if not (0 <= pair.pair_decimals <= 18 and 0 <= pair.lot_decimals <= 18):
        raise DecodeError("AssetPairs: decimals out of range", pair.altname)
    tick = number(pair.tick_size) if pair.tick_size is not None else step(pair.pair_decimals)
    if tick <= 0:
        raise DecodeError("AssetPairs: a tick size of nothing", pair.altname)
    return Instrument(
        pair=names.pair(pair.wsname),
        venue_name=pair.altname,
        tick_size=tick,
        lot_size=step(pair.lot_decimals),
        min_qty=number(pair.ordermin),
        min_cost=number(pair.costmin),
        status=pair.status,
    )


# Refusals of an order that are about its pair. EService:Unavailable is said of one pair as of the whole engine.
_OF_THE_PAIR: Final = (
    "EOrder:Tick size check failed", "EOrder:Invalid price", "EOrder:Order minimum not met",
    "EOrder:Cost minimum not met", "EQuery:", "EService:Market in", "EService:Unavailable",
)  # fmt: skip


def doubts_listing(fault: Fault) -> bool:
    """Whether an order was refused for what AssetPairs says of its pair: then that is to be read again."""
    return fault.code.startswith(_OF_THE_PAIR)


def names_unknown(fault: Fault) -> bool:
    """Whether a question named a pair that the venue does not list."""
    return fault.code.startswith("EQuery:")


def changed(known: Instrument, listed: Instrument | None) -> Instrument:
    """What is known of a pair after the list was read. One that is not on it any more is as it was, and delisted."""
    return msgspec.structs.replace(known, status="delisted") if listed is None else listed
