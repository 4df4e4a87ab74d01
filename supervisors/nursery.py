"""Where the trackers of an account's orders live: a dynamic supervisor with one small supervisor per tracker, so that
each tracker has a restart budget of its own, and one bad order costs the others nothing.

    trackers (dynamic)
     `- <intent id>   temporary; 3/60; ends with its tracker
         `- tracker   transient
"""

from dataclasses import replace
from typing import Final

from allstop.actors.runtime import Ref
from allstop.actors.spec import AutoShutdown, ChildSpec, ChildType, Restart, Start, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import NotFound
from allstop.supervisors.supervisor import (
    Supervisor,
    start_child,
    terminate_child,
    which_children,
)

TRACKER: Final = "tracker"
# Twice what `orders` admits: protection and reductions are not held back by a full house.
TRACKERS_MAX: Final = 1000
# A tracker that crashes every time would keep its instrument in doubt for ever: three tries in a minute.
TRACKER_BUDGET: Final = SupervisorFlags(
    max_restarts=3, max_seconds=60.0, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT
)


def trackers_spec(child_id: str = "trackers") -> ChildSpec:
    """The dynamic supervisor, for a tree: it stands before `orders`, which it must outlive."""
    start = Start(DynamicSupervisor, (SupervisorFlags(),), {"max_children": TRACKERS_MAX})
    return ChildSpec(child_id, start, type=ChildType.SUPERVISOR)


class TrackerNursery:
    """The `Nursery` of `orders`, on a dynamic supervisor."""

    def __init__(self, trackers: Ref, budget: SupervisorFlags = TRACKER_BUDGET) -> None:
        self._trackers = trackers
        self._budget = budget

    async def clear(self) -> None:
        """Ends every tracker; when it returns, none of them can send."""
        for child in await which_children(self._trackers):
            try:
                await terminate_child(self._trackers, child.id)
            except NotFound:
                continue  # it ended by itself meanwhile

    async def start(self, spec: ChildSpec) -> Ref:
        """Starts a tracker under a supervisor of its own and gives the tracker's address."""
        tracker = replace(spec, id=TRACKER, significant=True)
        own = ChildSpec(
            spec.id,
            Start(Supervisor, (self._budget, (tracker,))),
            restart=Restart.TEMPORARY,
            type=ChildType.SUPERVISOR,
        )
        supervisor = await start_child(self._trackers, own)
        assert supervisor is not None  # a supervisor never ignores its start
        return supervisor.system.address(f"{supervisor.path}/{TRACKER}")
