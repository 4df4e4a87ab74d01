"""What can go wrong, by name. Expected trouble is a value or a `ReplyError`; everything else is a crash."""

from enum import StrEnum

import msgspec


class AllstopError(Exception):
    """The root of everything that allstop raises on purpose."""


class ReplyError(AllstopError):
    """Raised by a handler to answer the caller with an error and go on living. Any other exception is a crash."""


class RefusalCode(StrEnum):
    """Why a command was refused with nothing sent."""

    NO_STOP = "NO_STOP"
    BAD_INTENT_ID = "BAD_INTENT_ID"
    INTENT_ID_REUSED = "INTENT_ID_REUSED"
    UNKNOWN_PAIR = "UNKNOWN_PAIR"
    BAD_QTY = "BAD_QTY"
    BAD_PRICE = "BAD_PRICE"
    BAD_STOP = "BAD_STOP"
    BAD_KIND = "BAD_KIND"
    OFF_TICK = "OFF_TICK"
    OFF_LOT = "OFF_LOT"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    LEVEL = "LEVEL"
    GATE_CLOSED = "GATE_CLOSED"
    INSTRUMENT_FROZEN = "INSTRUMENT_FROZEN"
    RATE_LIMIT = "RATE_LIMIT"
    EXPIRED = "EXPIRED"
    NOT_COMMITTED = "NOT_COMMITTED"
    FENCED = "FENCED"
    LEASE = "LEASE"
    EGRESS_DOWN = "EGRESS_DOWN"
    NOT_OPEN = "NOT_OPEN"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    EXCEEDS_POSITION = "EXCEEDS_POSITION"
    BAD_EXIT = "BAD_EXIT"
    EXIT_UNDER_WAY = "EXIT_UNDER_WAY"
    STRATEGY_STOPPED = "STRATEGY_STOPPED"
    NOT_STOPPED = "NOT_STOPPED"
    NOT_TRADABLE = "NOT_TRADABLE"


class Refused(ReplyError):
    """The command was refused and nothing was sent. `code` says why; `place` names the field or scope."""

    def __init__(self, code: RefusalCode, message: str, *, place: str = "") -> None:
        super().__init__(f"{code}: {message}" + (f" (at {place})" if place else ""))
        self.code = code
        self.message = message
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (_refused, (self.code, self.message, self.place))


def _refused(code: RefusalCode, message: str, place: str) -> Refused:
    return Refused(code, message, place=place)


class CircuitOpen(ReplyError):
    """The breaker in front of a subtree is open: try again after `retry_after_s`."""

    def __init__(self, path: str, retry_after_s: float) -> None:
        super().__init__(f"{path} is paused; try again in {retry_after_s:.3f} s")
        self.path = path
        self.retry_after_s = retry_after_s


class Fatal(AllstopError):
    """Restarting cannot help (a refused key, a lost journal): never restarted, latched at once."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Problem(msgspec.Struct, frozen=True):
    """One mistake in what the user wrote: what, where (file:line where known), and what to do about it."""

    what: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class BadInput(AllstopError):
    """The user's input is wrong in these places. Nothing was started and nothing was sent; commands exit with 2."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Category(StrEnum):
    """The kinds of trouble a venue or a connection reports."""

    NETWORK = "NETWORK"
    TIMEOUT = "TIMEOUT"
    RATE = "RATE"
    AUTH = "AUTH"
    PERM = "PERM"
    VALID = "VALID"
    FUNDS = "FUNDS"
    LIMIT = "LIMIT"
    ORDER = "ORDER"
    MARKET = "MARKET"
    VENUE = "VENUE"
    SESSION = "SESSION"
    DATA = "DATA"
    SYSTEM = "SYSTEM"


class Severity(StrEnum):
    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFO = "INFO"


class Outcome(StrEnum):
    """What an error says about the write it answers. UNKNOWN is not NO."""

    NO = "NO"  # the venue proved that it had no effect
    UNKNOWN = "UNKNOWN"  # ask the venue; never send again on a guess
    YES = "YES"  # it took effect, at least in part


class Retry(StrEnum):
    """When the same request may be made again. For a write, only the order's own tracker may act on it."""

    NEVER = "NEVER"
    NOW = "NOW"
    BACKOFF = "BACKOFF"
    COOLDOWN = "COOLDOWN"
    AFTER_LOOKUP = "AFTER_LOOKUP"


class Remedy(StrEnum):
    """What to do about a fault."""

    FIX = "FIX"  # answer with the rejection, no retry
    LOOK = "LOOK"  # unknown-outcome lookup
    BACK = "BACK"  # exponential backoff
    COOL = "COOL"  # wait the time given
    REAUTH = "REAUTH"  # new token, new connection
    GATE = "GATE"  # close the gate of the pair or the venue
    REDUCE = "REDUCE"  # vote READ_ONLY
    HALT = "HALT"  # vote HALTED
    STOP_KEY = "STOP_KEY"  # no further call with this key
    RESYNC = "RESYNC"
    RENONCE = "RENONCE"
    OK = "OK"  # treat as success
    CRASH = "CRASH"  # a bug of ours


class Fault(msgspec.Struct, frozen=True):
    """One error of a venue, classified. `code` is the table's row, `text` the venue's own words."""

    code: str
    category: Category
    severity: Severity
    outcome: Outcome
    reads: Retry
    writes: Retry
    remedy: Remedy
    text: str = ""
    retry_after_s: float | None = None
    mapped: bool = True  # False: no row matched, the row for unmapped codes answered

    def __str__(self) -> str:
        return self.text or self.code
