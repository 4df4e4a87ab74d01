"""The supervisors of allstop: what keeps the actors alive, and stops them when it cannot.

This is what a tree is written with. The halt root and the functions that talk to it are in `allstop.supervisors.halt`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from allstop.actors.spec import (
        BRUTAL_KILL,
        INFINITY,
        AutoShutdown,
        Backoff,
        ChildBudget,
        ChildSpec,
        ChildType,
        Isolation,
        OnChildExceeded,
        OnExceeded,
        Pause,
        Restart,
        RestartGate,
        Shutdown,
        Start,
        Stash,
        Strategy,
        SupervisorFlags,
    )
    from allstop.supervisors.budget import check_budget, check_connect_limit
    from allstop.supervisors.childspecs import check_childspecs
    from allstop.supervisors.coordinated_shutdown import (
        CoordinatedShutdown,
        Phase,
        PhaseOver,
        ShutdownAborted,
    )
    from allstop.supervisors.dynamic import DynamicSupervisor
    from allstop.supervisors.errors import (
        AlreadyPresent,
        FailedToStartChild,
        GateClosed,
        InvalidChildSpec,
        InvalidFlags,
        MaxChildren,
        NotASupervisor,
        NotForDynamic,
        NotFound,
        Restarting,
        Running,
        StartFailure,
        UnknownRequest,
    )
    from allstop.supervisors.gates import GateState, GateView
    from allstop.supervisors.lasting import declare_gates, gates
    from allstop.supervisors.partition import Partitions, PartitionSupervisor, partition_of, partitions_of
    from allstop.supervisors.standing_down import OnStop
    from allstop.supervisors.supervisor import (
        Supervisor,
        SupervisorView,
        breaker_state,
        count_children,
        delete_child,
        get_childspec,
        reconfigure,
        report_failure,
        report_probe,
        report_success,
        reset_breaker,
        restart_child,
        start_child,
        status,
        terminate_child,
        which_child,
        which_children,
    )
    from allstop.supervisors.task_supervisor import (
        Outcome,
        Task,
        TaskSupervisor,
        async_,
        async_nolink,
        async_stream,
        start_task,
    )
    from allstop.supervisors.tree_view import TreeNode, tree
    from allstop.supervisors.votes import Votes

__all__ = [
    "BRUTAL_KILL",
    "INFINITY",
    "AlreadyPresent",
    "AutoShutdown",
    "Backoff",
    "ChildBudget",
    "ChildSpec",
    "ChildType",
    "CoordinatedShutdown",
    "DynamicSupervisor",
    "FailedToStartChild",
    "GateClosed",
    "GateState",
    "GateView",
    "InvalidChildSpec",
    "InvalidFlags",
    "Isolation",
    "MaxChildren",
    "NotASupervisor",
    "NotForDynamic",
    "NotFound",
    "OnChildExceeded",
    "OnExceeded",
    "OnStop",
    "Outcome",
    "PartitionSupervisor",
    "Partitions",
    "Pause",
    "Phase",
    "PhaseOver",
    "Restart",
    "RestartGate",
    "Restarting",
    "Running",
    "Shutdown",
    "ShutdownAborted",
    "Start",
    "StartFailure",
    "Stash",
    "Strategy",
    "Supervisor",
    "SupervisorFlags",
    "SupervisorView",
    "Task",
    "TaskSupervisor",
    "TreeNode",
    "UnknownRequest",
    "Votes",
    "async_",
    "async_nolink",
    "async_stream",
    "breaker_state",
    "check_budget",
    "check_childspecs",
    "check_connect_limit",
    "count_children",
    "declare_gates",
    "delete_child",
    "gates",
    "get_childspec",
    "partition_of",
    "partitions_of",
    "reconfigure",
    "report_failure",
    "report_probe",
    "report_success",
    "reset_breaker",
    "restart_child",
    "start_child",
    "start_task",
    "status",
    "terminate_child",
    "tree",
    "which_child",
    "which_children",
]

if __name__ != "allstop.supervisors":  # a second copy would have classes of its own
    raise ImportError("import allstop.supervisors, not supervisors")

# Imported when first asked for: pytest imports this package in every project that has allstop installed.
_LATE: Final = {
    "BRUTAL_KILL": "allstop.actors.spec",
    "INFINITY": "allstop.actors.spec",
    "AutoShutdown": "allstop.actors.spec",
    "Backoff": "allstop.actors.spec",
    "ChildBudget": "allstop.actors.spec",
    "ChildSpec": "allstop.actors.spec",
    "ChildType": "allstop.actors.spec",
    "Isolation": "allstop.actors.spec",
    "OnChildExceeded": "allstop.actors.spec",
    "OnExceeded": "allstop.actors.spec",
    "Pause": "allstop.actors.spec",
    "Restart": "allstop.actors.spec",
    "RestartGate": "allstop.actors.spec",
    "Shutdown": "allstop.actors.spec",
    "Start": "allstop.actors.spec",
    "Stash": "allstop.actors.spec",
    "Strategy": "allstop.actors.spec",
    "SupervisorFlags": "allstop.actors.spec",
    "check_budget": "allstop.supervisors.budget",
    "check_connect_limit": "allstop.supervisors.budget",
    "check_childspecs": "allstop.supervisors.childspecs",
    "CoordinatedShutdown": "allstop.supervisors.coordinated_shutdown",
    "Phase": "allstop.supervisors.coordinated_shutdown",
    "PhaseOver": "allstop.supervisors.coordinated_shutdown",
    "ShutdownAborted": "allstop.supervisors.coordinated_shutdown",
    "OnStop": "allstop.supervisors.standing_down",
    "DynamicSupervisor": "allstop.supervisors.dynamic",
    "AlreadyPresent": "allstop.supervisors.errors",
    "FailedToStartChild": "allstop.supervisors.errors",
    "GateClosed": "allstop.supervisors.errors",
    "InvalidChildSpec": "allstop.supervisors.errors",
    "InvalidFlags": "allstop.supervisors.errors",
    "MaxChildren": "allstop.supervisors.errors",
    "NotASupervisor": "allstop.supervisors.errors",
    "UnknownRequest": "allstop.supervisors.errors",
    "NotForDynamic": "allstop.supervisors.errors",
    "NotFound": "allstop.supervisors.errors",
    "Restarting": "allstop.supervisors.errors",
    "Running": "allstop.supervisors.errors",
    "StartFailure": "allstop.supervisors.errors",
    "GateState": "allstop.supervisors.gates",
    "GateView": "allstop.supervisors.gates",
    "declare_gates": "allstop.supervisors.lasting",
    "gates": "allstop.supervisors.lasting",
    "Partitions": "allstop.supervisors.partition",
    "PartitionSupervisor": "allstop.supervisors.partition",
    "partition_of": "allstop.supervisors.partition",
    "partitions_of": "allstop.supervisors.partition",
    "Supervisor": "allstop.supervisors.supervisor",
    "SupervisorView": "allstop.supervisors.supervisor",
    "breaker_state": "allstop.supervisors.supervisor",
    "count_children": "allstop.supervisors.supervisor",
    "delete_child": "allstop.supervisors.supervisor",
    "get_childspec": "allstop.supervisors.supervisor",
    "reconfigure": "allstop.supervisors.supervisor",
    "report_failure": "allstop.supervisors.supervisor",
    "report_probe": "allstop.supervisors.supervisor",
    "report_success": "allstop.supervisors.supervisor",
    "reset_breaker": "allstop.supervisors.supervisor",
    "restart_child": "allstop.supervisors.supervisor",
    "start_child": "allstop.supervisors.supervisor",
    "status": "allstop.supervisors.supervisor",
    "terminate_child": "allstop.supervisors.supervisor",
    "which_child": "allstop.supervisors.supervisor",
    "which_children": "allstop.supervisors.supervisor",
    "Outcome": "allstop.supervisors.task_supervisor",
    "Task": "allstop.supervisors.task_supervisor",
    "TaskSupervisor": "allstop.supervisors.task_supervisor",
    "async_": "allstop.supervisors.task_supervisor",
    "async_nolink": "allstop.supervisors.task_supervisor",
    "async_stream": "allstop.supervisors.task_supervisor",
    "start_task": "allstop.supervisors.task_supervisor",
    "TreeNode": "allstop.supervisors.tree_view",
    "tree": "allstop.supervisors.tree_view",
    "Votes": "allstop.supervisors.votes",
}


def __getattr__(name: str) -> Any:
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(module), name)
    if name != "gates":
        globals()[name] = found
    return found


class _Package(ModuleType):
    """`gates` is the function, also after the module of that name was imported."""

    @property
    def gates(self) -> Any:
        return __getattr__("gates")

    @gates.setter
    def gates(self, module: ModuleType) -> None:
        """The import system sets each module of a package in it."""


sys.modules[__name__].__class__ = _Package
