"""The admin face of the loopback server: read the truth, set faults, steer the feed. Not a part of Kraken."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.faults import KINDS, BadFault
from allstop.actors.simulated.kraken.rest import Answer, Request
from allstop.actors.simulated.kraken.wire import decimal_of, decode, encode

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.server import KrakenServer


def answered(server: "KrakenServer", request: Request, at: At) -> Answer:
    """Serves one admin request. A mistake is a 400 that says what is wrong."""
    serve = _ROUTES.get((request.method, request.path.split("?")[0]))
    if serve is None:
        return _json({"error": f"no {request.method} {request.path}"}, 404)
    try:
        body: Any = decode(request.body) if request.body else {}
        return _json(serve(server, body, at))
    except ValueError as error:  # BadFault is one
        return _json({"error": str(error)}, 400)


def _health(server: "KrakenServer", _body: Any, at: At) -> object:
    venue = server.venue
    return {
        "status": venue.engine.status,
        "at_ns": at.wall_ns,
        "connections": len(venue.connections),
        "open_orders": sum(len(account.open) for account in venue.accounts.values()),
        "feed": {"paused": server.paused, "speed": server.speed},
    }


def _truth(server: "KrakenServer", _body: Any, at: At) -> object:
    return server.venue.truth(at)


def _faults(server: "KrakenServer", body: Any, at: At) -> object:
    """One fault or a list of them; answers what was set."""
    asked = body if isinstance(body, list) else [body]
    return {"set": [server.venue.fault(_plain(one), at) for one in asked]}


def _list_faults(server: "KrakenServer", _body: Any, _at: At) -> object:
    return {"kinds": KINDS, "armed": server.venue.faults.armed()}


def _clear_faults(server: "KrakenServer", _body: Any, _at: At) -> object:
    server.venue.faults.clear()
    return {"armed": []}


def _feed(server: "KrakenServer", body: Any, _at: At) -> object:
    if not isinstance(body, dict) or set(body) - {"pause", "speed"}:
        raise BadFault("the feed takes pause (true or false) and speed (above 0)")
    speed = decimal_of(body.get("speed", 1))
    if speed is None or speed <= 0:
        raise BadFault(f"a speed is above 0, not {body['speed']!r}")
    server.speed = float(speed) if "speed" in body else server.speed
    server.paused = bool(body.get("pause", server.paused))
    return {"paused": server.paused, "speed": server.speed}


def _reset(server: "KrakenServer", _body: Any, at: At) -> object:
    server.venue.reset(at)
    return {"reset": True}


def _plain(value: Any) -> Any:
    """Decimals as floats: a fault's seconds are no money; a price given as text stays text."""
    if isinstance(value, dict):
        return {
            name: float(v) if type(v).__name__ == "Decimal" and name == "s" else v
            for name, v in value.items()
        }
    return value


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, body=encode(value).encode())


_ROUTES: dict[tuple[str, str], Callable[["KrakenServer", Any, At], object]] = {
    ("GET", "/health"): _health,
    ("GET", "/truth"): _truth,
    ("GET", "/faults"): _list_faults,
    ("POST", "/faults"): _faults,
    ("DELETE", "/faults"): _clear_faults,
    ("POST", "/feed"): _feed,
    ("POST", "/reset"): _reset,
}
