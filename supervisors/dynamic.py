"""The supervisor of children that come and go at run time, as order trackers do: no order, no siblings, a bound."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

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
    (None, or a mapping that has none) is given one. At the end all children are asked to stop at the same time.
    `restart_child` and `delete_child` raise NotForDynamic.
    """

    def __init__(self, flags: SupervisorFlags, *, max_children: int, votes: Votes | None = None) -> None:
        """Raises InvalidFlags: siblings mean nothing here, and neither does a significant child."""
        super().__init__(flags, votes=votes)
        check_dynamic(flags)
        if isinstance(max_children, bool) or not isinstance(max_children, int) or max_children < 1:
            raise InvalidFlags("invalid_max_children", max_children)
        lasting = lasting_of(self.system)
        self._begin(SupervisorCore(self.path, flags, max_children=max_children, lasting=lasting), votes)

    def on_receive(self, message: Any) -> Any:
        if message.__class__ is d.AddChild:
            message = self._with_an_id(message)
        return super().on_receive(message)

    def _with_an_id(self, asked: d.AddChild) -> d.AddChild:
        spec: Any = asked.spec
        if isinstance(spec, ChildSpec):
            return asked if spec.id is not None else d.AddChild(replace(spec, id=self.ids.new()))
        if isinstance(spec, Mapping) and cast("Mapping[str, Any]", spec).get("id") is None:
            return d.AddChild(cast(ChildSpec, {**spec, "id": self.ids.new()}))  # checked where all specs are
        return asked
