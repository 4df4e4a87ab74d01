"""A chaos script's hand on a running tree, whoever started it: the demo, the command line, a test."""

from collections.abc import Callable, Mapping

from allstop.supervisors.build import Runtime
from allstop.supervisors.chaos.chaos import Act, Chaos
from allstop.supervisors.chaos.engine import SystemEngine
from allstop.supervisors.chaos.ports import Host, Link, Venue
from allstop.supervisors.obstacles import obstacles


def chaos_on(
    runtime: Runtime,
    *,
    seed: int | str = 0,
    links: Mapping[str, Link] | None = None,
    venues: Mapping[str, Venue] | None = None,
    host: Host | None = None,
    on_act: Callable[[Act], None] | None = None,
) -> Chaos:
    """The hand on a runtime that was entered. Without links and venues a script can hurt actors only; a host is there
    in a simulated world."""
    engine = SystemEngine(runtime.system, lambda: obstacles(runtime))
    return Chaos(
        engine, links=links, venues=venues, host=host, clock=runtime.system.clock, seed=seed, on_act=on_act
    )
