"""Trouble on order: what the venue shall do wrong, how often, and until when. Pure: the shells act on it.

`POST /faults` takes `{"kind": ..., ...}`; the kinds and their fields are in `KINDS`. A method is named as REST or as
WebSocket names it (AddOrder, add_order); left out, it is any.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec

# kind -> the fields it takes, with what they are when left out; None means that the field is required.
KINDS: dict[str, dict[str, Any]] = {
    "drop_reply": {
        "method": "",
        "n": 1,
        "executed": True,
    },  # no answer: the link is cut (HTTP) or stays silent (WS)
    "delay": {
        "method": "",
        "s": None,
        "n": 1,
        "executed": False,
    },  # the answer, or the execution too, comes later
    "http_520": {"method": "", "n": 1, "executed": False},  # the edge's HTML page
    "error": {"method": "", "text": None, "n": 1, "executed": False},  # any error string, executed or not
    "invalid_nonce": {"method": "", "n": 1},
    "unknown_order": {"n": 1},  # a cancel is carried out, and answered as if there were nothing to cancel
    "corrupt_checksum": {"channel": "book", "n": 1},
    "corrupt_frame": {"channel": "book", "n": 1},  # half of the text
    "sequence_gap": {
        "channel": "executions",
        "n": 1,
    },  # this many messages never come, their numbers are spent
    "duplicate_execution": {"n": 1},  # the next trade is told twice
    "out_of_order": {
        "channel": "executions",
        "n": 1,
    },  # comes after what follows it on its connection; the channel "reply" is the answers to requests
    "silent_subscription": {"channel": "executions", "n": 1},  # acknowledged, and then nothing comes on it
    "silence": {"channel": "", "s": None},  # "" is every channel, heartbeats too
    "status": {"status": None, "s": 0.0},  # maintenance, cancel_only, post_only, online; 0 s is for good
    "pair_status": {"symbol": None, "status": None, "s": 0.0},  # one pair's; 0 s is until it is set again
    "pair_terms": {"symbol": None, "price_decimals": "", "min_qty": ""},  # overnight; "" is as before
    "maintenance": {"s": 0.0},
    "cancel_only": {"s": 0.0},
    "post_only": {"s": 0.0},
    "phases": {"s": None},  # cancel_only, then post_only, then online: as after a maintenance
    "online": {},
    "rate_limited": {"face": "rest", "s": None},  # "rest": calls that count; "orders": adding and amending
    "ban": {"s": None},  # our address: everything is cut, and answered with the edge's 429
    "refuse_connects": {"s": None},
    "slam": {"s": None},  # connections are let in and dropped at once
    "cut": {"private": None},  # drops every WebSocket connection of this face now
    "expire_tokens": {},
    "refuse_closes": {"n": 1},  # the next conditional closes are cancelled for want of funds
    "revoke_key": {"role": None},
    "grant": {"role": None, "permission": None},
    "deny": {"role": None, "permission": None},
    "print": {"symbol": None, "price": None},  # a public trade at this price: stops trigger on it
    "plunge": {"symbol": None, "by": 0.02},  # one public trade so far below the market, and one at it again
    "unreachable": {"s": None},  # a note for the truth: a proxy keeps the client away
}
CALL_FAULTS = frozenset({"drop_reply", "delay", "http_520", "error", "invalid_nonce", "unknown_order"})


class BadFault(ValueError):
    """The fault cannot be set: says what is wrong with it."""


class CallPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to answer one request: wait, execute or not, wait, then answer with this, with the truth, or not at all."""

    delay_before_s: float = 0.0
    execute: bool = True
    delay_after_s: float = 0.0
    drop: bool = False
    error: str | None = None
    http_520: bool = False


@dataclass(slots=True)
class _Armed:
    kind: str
    fields: dict[str, Any]
    left: int


class Faults:
    """The faults that are armed. Each is spent in the order in which it was set."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._silent_until_s: dict[str, float] = {}
        self.refused_until_s = 0.0
        self.slammed_until_s = 0.0
        self.banned_until_s = 0.0
        self.limited_until_s: dict[str, float] = {}

    def arm(self, kind: str, fields: dict[str, Any]) -> None:
        self._armed.append(_Armed(kind, fields, int(fields.get("n", 1))))

    @property
    def idle(self) -> bool:
        """Nothing is to be done to any frame."""
        return not self._armed and not self._silent_until_s

    def silence(self, channel: str, until_s: float) -> None:
        self._silent_until_s[channel] = until_s

    def silent(self, channel: str, now_s: float) -> bool:
        if not self._silent_until_s:
            return False
        return any(now_s < self._silent_until_s.get(name, 0.0) for name in ("", channel))

    def limited(self, face: str, now_s: float) -> bool:
        """Whether calls of this face ("rest", "orders") are refused for their rate, whatever the counters say."""
        return now_s < self.limited_until_s.get(face, 0.0)

    def plan(self, method: str) -> CallPlan:
        """What the armed faults make of a call of this method; spends one of the first that fits."""
        if not self._armed or plain(method) in ("", "ping"):
            return CallPlan()  # no fault is meant for these, and they would use up those that name no method
        armed = self._take(
            CALL_FAULTS, lambda fields: fields.get("method", "cancelorder") in ("", plain(method))
        )
        if armed is None:
            return CallPlan()
        executed = bool(armed.fields.get("executed", False))
        match armed.kind:
            case "drop_reply":
                return CallPlan(execute=executed, drop=True)
            case "delay":
                wait = float(armed.fields["s"])
                return CallPlan(delay_after_s=wait) if executed else CallPlan(delay_before_s=wait)
            case "http_520":
                return CallPlan(execute=executed, http_520=True)
            case "invalid_nonce":
                return CallPlan(execute=False, error="EAPI:Invalid nonce")
            case "unknown_order":
                return CallPlan(error="EOrder:Unknown order")
            case _:
                return CallPlan(execute=executed, error=str(armed.fields["text"]))

    def spend(self, kind: str, channel: str = "") -> bool:
        """Whether a frame fault of this kind is due for this channel; spends it."""
        if not self._armed:
            return False
        return self._take({kind}, lambda fields: fields.get("channel", channel) in ("", channel)) is not None

    def armed(self) -> list[dict[str, Any]]:
        """What is still to come."""
        return [{"kind": one.kind, **one.fields, "n": one.left} for one in self._armed]

    def clear(self) -> None:
        self._armed.clear()
        self._silent_until_s.clear()
        self.refused_until_s = self.slammed_until_s = self.banned_until_s = 0.0
        self.limited_until_s.clear()

    def _take(self, kinds: Collection[str], fits: Callable[[dict[str, Any]], bool]) -> _Armed | None:
        for armed in self._armed:
            if armed.kind in kinds and fits(armed.fields):
                armed.left -= 1
                if armed.left <= 0:
                    self._armed.remove(armed)
                return armed
        return None


def plain(method: str) -> str:
    """A method's name as both faces write it: AddOrder and add_order are addorder."""
    return method.replace("_", "").lower()


def checked(request: object) -> tuple[str, dict[str, Any]]:
    """The kind and the complete fields of a fault. Raises BadFault."""
    if not isinstance(request, dict):
        raise BadFault("a fault is an object with a kind")
    fields = {str(name): value for name, value in request.items()}
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadFault(f"no fault {kind!r}; there are {', '.join(sorted(KINDS))}")
    known = KINDS[kind]
    if unknown := sorted(set(fields) - set(known)):
        raise BadFault(f"{kind} has no {', '.join(unknown)}; it has {', '.join(known) or 'no fields'}")
    if missing := [name for name, default in known.items() if default is None and name not in fields]:
        raise BadFault(f"{kind} needs {', '.join(missing)}")
    complete = {**known, **fields}
    if "method" in complete:
        complete["method"] = plain(str(complete["method"]))
    return kind, complete
