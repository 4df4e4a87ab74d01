"""The supervisor of children that come and go at run time, as order trackers do: no order, no siblings, a bound."""

from dataclasses import replace
from typing import Any

from allstop.actors.spec import ChildSpec, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.childspecs import check_dynamic
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.errors import InvalidFlags
from allstop.supervisors.lasting import lasting_of
from allstop.supervisors.supervisor import Supervisor
from allstop.supervisors.votes import Votes


class DynamicSupervisor(Supervisor):
    """Starts with no children and has at most `max_children`, those that wait for a restart included.

    Each child is restarted alone. When it is gone it is forgotten, so its id can be used again; a spec without an id
    (None) is given one. At the end all children are asked to stop at the same time. `restart_child` and
    `delete_child` raise NotForDynamic.
    """

    def __init__(self, flags: SupervisorFlags, *, max_children: int, votes: Votes | None = None) -> None:
        """Raises InvalidFlags: siblings mean nothing here, and neither does a significant child."""
        super().__init__(flags, votes=votes)
        check_dynamic(flags)
        if max_children < 1:
            raise InvalidFlags("invalid_max_children", max_children)
        lasting = lasting_of(self.system)
        self._begin(SupervisorCore(self.path, flags, max_children=max_children, lasting=lasting), votes)

    def on_receive(self, message: Any) -> Any:
        if (
            message.__class__ is d.AddChild
            and isinstance(message.spec, ChildSpec)
            and message.spec.id is None
        ):
            message = d.AddChild(replace(message.spec, id=self.ids.new()))
        return super().on_receive(message)
