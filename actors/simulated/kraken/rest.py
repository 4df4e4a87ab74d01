"""The REST face: one request in, one answer out. Authentication, permissions and the call counter come first."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from allstop.actors.simulated.kraken import rest_private, rest_public
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.signing import ApiKey, same, signature
from allstop.actors.simulated.kraken.wire import decode, encode

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

LOCKOUT_AFTER = 10  # bad keys in a row from one address; Kraken tells no figure
LOCKOUT_S = 900.0  # 15 minutes
CONFIRMING = 3  # calls that it takes to find out that a position is bare: what is open, what closed, and who is neither
CEILING = 0.95  # of a counter: the rest is for what a client counts a little earlier than we do


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request as it came in. Header names are lower case."""

    method: str
    path: str  # with its query string
    headers: dict[str, str]
    body: bytes = b""
    ip: str = "127.0.0.1"
    late: bool = False  # a fault held it back: others of its client may have overtaken it


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    body: bytes = b""


def enveloped(result: object = None, *errors: str) -> Answer:
    body = {"error": list(errors)} if result is None else {"error": list(errors), "result": result}
    return Answer(headers={"content-type": "application/json; charset=utf-8"}, body=encode(body).encode())


ORDERING = frozenset({"modify-trades"})  # adding and amending; cancelling may be allowed otherwise

PAGE_520 = Answer(
    status=520,
    headers={"content-type": "text/html; charset=UTF-8", "server": "cloudflare"},
    body=(
        b'<!DOCTYPE html>\n<html lang="en-US">\n<head>\n'
        b"<title>api.kraken.com | 520: Web server is returning an unknown error</title>\n"
        b"</head>\n<body><h1>Error 520</h1></body>\n</html>\n"
    ),
)


# What Cloudflare answers to an address that it keeps out.
PAGE_1015 = Answer(
    status=429,
    headers={"content-type": "text/plain; charset=UTF-8", "server": "cloudflare"},
    body=b"error code: 1015\n",
)


@lru_cache(maxsize=64)
def method_of(path: str) -> str:
    """AddOrder for /0/private/AddOrder."""
    return urlsplit(path).path.rsplit("/", 1)[-1]


def answered(venue: "KrakenVenue", request: Request, at: At) -> Answer:
    """Serves one request on the model."""
    if at.now_s < venue.faults.banned_until_s:
        return PAGE_1015
    parts = urlsplit(request.path)
    _, _, face, *rest = [*parts.path.split("/"), "", "", ""]
    name = rest[0]
    try:
        if face == "public":
            call = rest_public.CALLS.get(name)
            if call is None:
                raise Refusal("EGeneral:Unknown method")
            return enveloped(call(venue, dict(parse_qsl(parts.query)), at))
        if face != "private" or request.method != "POST":
            return Answer(status=404, body=b"Not Found")
        return enveloped(_private(venue, request, parts.path, name, at))
    except Refusal as refusal:
        return enveloped(None, str(refusal))


def _private(venue: "KrakenVenue", request: Request, path: str, name: str, at: At) -> object:
    seen: dict[str, Any] = {"method": name, "at_ns": at.wall_ns, "via": "rest", "nonce": None, "error": None}
    venue.saw(seen)
    try:
        params = _params(request)
        key = _authenticated(venue, request, path, params, at, seen)
        call = rest_private.CALLS.get(name)
        if call is None:
            raise Refusal("EGeneral:Unknown method")
        if venue.engine.status == "maintenance" and name != "GetApiKeyInfo":
            raise Refusal("EService:Unavailable")
        if call.permissions and not call.permissions & key.permissions:
            raise Refusal("EGeneral:Permission denied")
        if call.cost and venue.faults.limited("rest", at.now_s):
            full_ns = venue.call_counter(key).empties_ns(CONFIRMING, of=CEILING)  # for who believes it
            venue.witness.spent(key.account, key.name, at.wall_ns, at.wall_ns + full_ns)
            raise Refusal("EAPI:Rate limit exceeded")
        if call.permissions == ORDERING and venue.faults.limited("orders", at.now_s):
            raise Refusal("EOrder:Rate limit exceeded")
        _counted(venue, key, call.cost, at)
        seen["cl_ord_id"] = params.get("cl_ord_id")
        return call.serve(venue, key, params, at)
    except Refusal as refusal:
        seen["error"] = str(refusal)
        raise
    finally:
        venue.witness.asked(seen)


def _params(request: Request) -> dict[str, Any]:
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            read = decode(request.body)
            if not isinstance(read, dict):
                raise Refusal("EGeneral:Invalid arguments")
            return read
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    except (ValueError, json.JSONDecodeError) as error:
        raise Refusal("EGeneral:Invalid arguments") from error


def _authenticated(
    venue: "KrakenVenue", request: Request, path: str, params: dict[str, Any], at: At, seen: dict[str, Any]
) -> ApiKey:
    """The key that signed, its nonce spent. Raises Refusal."""
    if at.now_s < venue.locked_until_s.get(request.ip, 0.0):
        raise Refusal("EGeneral:Temporary lockout")
    key = venue.keys.get(request.headers.get("api-key", ""))
    if key is None or key.revoked:
        venue.bad_keys[request.ip] = venue.bad_keys.get(request.ip, 0) + 1
        if venue.bad_keys[request.ip] >= LOCKOUT_AFTER:
            venue.locked_until_s[request.ip] = at.now_s + LOCKOUT_S
            venue.bad_keys[request.ip] = 0
            venue.engine.rates.broke("invalid_key_lockout", request.ip, at)
        raise Refusal("EAPI:Invalid key")
    venue.bad_keys[request.ip] = 0
    nonce = str(params.get("nonce", ""))
    # One that a fault held back says nothing of the order in which its client sent.
    seen |= {"key": key.name, "account": key.account, "nonce": None if request.late else nonce}
    if not nonce.isdigit() or int(nonce) >= 2**64:
        raise Refusal("EAPI:Invalid nonce")
    if not same(request.headers.get("api-sign", ""), signature(key.secret, path, nonce, request.body)):
        raise Refusal("EAPI:Invalid signature")
    if int(nonce) <= key.nonce:
        if not request.late:  # what we held back ourselves was overtaken, and not sent in the wrong order
            venue.engine.rates.broke("nonce_order", key.name, at, f"{nonce} after {key.nonce}")
        raise Refusal("EAPI:Invalid nonce")
    key.nonce = int(nonce)
    key.last_used_ns = at.wall_ns
    return key


def _counted(venue: "KrakenVenue", key: ApiKey, cost: float, at: At) -> None:
    counter = venue.call_counter(key)
    if not venue.settings.counting or cost == 0:
        return
    if not counter.admits(cost, at.now_s):
        venue.engine.rates.broke("rest_rate", key.name, at, f"{counter.at(at.now_s):.2f}")
        counter.add(min(cost, max(0.0, counter.maximum + 1 - counter.at(at.now_s))), at.now_s)
        raise Refusal("EAPI:Rate limit exceeded")
    counter.add(cost, at.now_s)
    full_s = counter.full_for_s(1, at.now_s, of=CEILING)
    if full_s > 0:
        venue.witness.spent(key.account, key.name, at.wall_ns, at.wall_ns + int(full_s * 1e9))
