"""What may be asked of an account's ledger (see ledger.py), and the API key as those carry it who call with it."""

import hashlib

import msgspec

from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.limits.kraken import OrderOp, Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.ports import PlannedOrders


class AccountKey:
    """An API key and its secret, neither of which it shows. `fingerprint` names the key in logs and ledgers."""

    __slots__ = ("fingerprint", "key", "secret")

    def __init__(self, key: str, secret: str) -> None:
        self.key = key
        self.secret = secret
        self.fingerprint = hashlib.sha256(key.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"AccountKey({self.fingerprint})"


class KeyStopped(Refused):
    """The venue refused this key. It is not used again: repeating it locks the account out."""

    def __init__(self, reason: str, *, place: str = "") -> None:
        super().__init__(RefusalCode.NOT_OPEN, f"this key was stopped: {reason}", place=place)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return (_key_stopped, (self.reason, self.place))


def _key_stopped(reason: str, place: str) -> KeyStopped:
    return KeyStopped(reason, place=place)


class RateRefused(Refused):
    """There is no room now; `retry_after_s` says when there will be."""

    def __init__(self, message: str, *, place: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(RefusalCode.RATE_LIMIT, message, place=place)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return (_rate_refused, (self.message, self.place, self.retry_after_s))


def _rate_refused(message: str, place: str, retry_after_s: float) -> RateRefused:
    return RateRefused(message, place=place, retry_after_s=retry_after_s)


class NextNonce(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with an int greater than every nonce of this key before. For calls under a turn, take the turn's."""

    key: str = ""


class TakeTurn(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with a Turn when it is this caller's, or RateRefused after `wait_max_s`. `id` is the caller's own,
    so that it can end a turn whose grant it did not live to see. The call's cost is charged with it."""

    id: str
    path: str
    lane: Lane = Lane.QUERY
    key: str = ""
    hold_s: float = 5.0
    wait_max_s: float = 10.0


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    nonce: int


class EndTurn(msgspec.Struct, frozen=True, kw_only=True):
    """Tell: the call of this turn is over. What the venue said of the key comes with it."""

    id: str
    key: str = ""
    unsent: bool = False  # not a byte of it left: the venue counts nothing
    over_limit: bool = False  # EAPI:Rate limit exceeded
    bad_nonce: bool = False  # EAPI:Invalid nonce
    cool_s: float = 0.0  # a lockout or a throttle: no call on this key for so long
    stop: str = ""  # the key was refused: never use it again, for this reason

    @property
    def tells(self) -> bool:
        """Whether the venue said anything of the key."""
        return self.over_limit or self.bad_nonce or self.cool_s > 0 or bool(self.stop)


class StopKey(msgspec.Struct, frozen=True, kw_only=True):
    """The venue refused this key: never use it again. Answered with True when that is on disk; told, for what a socket
    said of it."""

    key: str
    reason: str


class KeysAreOurs(msgspec.Struct, frozen=True, kw_only=True):
    """From a person: whoever else used the account's keys does not any more. Answered with True; the count of refused
    nonces begins anew."""

    by: str
    reason: str


class ChargeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with the cost that was charged, or RateRefused with nothing charged. `orders` are the venue's ids of
    those amended or cancelled; `pair` may be left out when they are known. `overdraft`: charge even what does not
    fit, for what the venue takes regardless (a batch of cancels) or must be tried regardless."""

    op: OrderOp
    pair: str | None = None
    orders: tuple[str, ...] = ()
    count: int = 1
    lane: Lane = Lane.ENTRY
    overdraft: bool = False


class RoomFor(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with the seconds until all of it together fits below what this lane may use: 0 for now, infinity for
    never. Nothing is charged."""

    planned: PlannedOrders
    lane: Lane = Lane.CANCEL


class OrderTouched(msgspec.Struct, frozen=True, kw_only=True):
    """Tell: this order was created or amended `age_s` ago, so its age counts from then; `gone` when it is closed."""

    order_id: str
    pair: str | None = None
    age_s: float = 0.0
    gone: bool = False


class SyncOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Tell: the venue's own level of a pair's counter; None: it said that we are over."""

    pair: str
    level: float | None


class SetTier(msgspec.Struct, frozen=True, kw_only=True):
    """Tell: the venue says which tier the account has."""

    tier: Tier


class GetLedger(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with a LedgerView."""


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    tier: Tier
    rest: dict[str, float]  # key -> level
    orders: dict[str, float]  # pair -> level
    waiting: int
    stopped: dict[str, str]  # key -> why
    wanted: frozenset[str] = frozenset()  # keys on which calls that protect nothing lack room, or did of late
