"""The supervisors of allstop: what keeps the actors alive, and stops them when it cannot.

This is what a tree is written with. The halt root and the functions that talk to it are in `allstop.supervisors.halt`.
"""

from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildBudget,
    ChildSpec,
    ChildType,
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
from allstop.supervisors.coordinated_shutdown import CoordinatedShutdown, Phase
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.gates import GateState, GateView
from allstop.supervisors.lasting import declare_gates, gates
from allstop.supervisors.partition import Partitions, PartitionSupervisor, partition_of, partitions_of
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
    "AutoShutdown",
    "Backoff",
    "ChildBudget",
    "ChildSpec",
    "ChildType",
    "CoordinatedShutdown",
    "DynamicSupervisor",
    "GateState",
    "GateView",
    "OnChildExceeded",
    "OnExceeded",
    "Outcome",
    "PartitionSupervisor",
    "Partitions",
    "Pause",
    "Phase",
    "Restart",
    "RestartGate",
    "Shutdown",
    "Start",
    "Stash",
    "Strategy",
    "Supervisor",
    "SupervisorFlags",
    "SupervisorView",
    "Task",
    "TaskSupervisor",
    "TreeNode",
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
