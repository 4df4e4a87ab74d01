"""Who is restarted, and who goes down with whom. Rules only."""

from collections.abc import Hashable, Sequence

from allstop.actors.exits import Exit, ExitKind
from allstop.actors.spec import AutoShutdown, ChildSpec, Restart, Shutdown, Strategy


def wants_restart(restart: Restart, exit_: Exit) -> bool:
    """Whether a child that ended so is started again. A fatal end is never restarted, whatever its type says."""
    if exit_.error is not None and exit_.fatal:
        return False
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return exit_.abnormal
        case Restart.TEMPORARY:
            return False


def group(strategy: Strategy, ids: Sequence[Hashable], failed: Hashable) -> tuple[Hashable, ...]:
    """The children that are restarted when `failed` is, in start order, itself among them."""
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return (failed,)
        case Strategy.ONE_FOR_ALL:
            return tuple(ids)
        case Strategy.REST_FOR_ONE:
            return tuple(ids[ids.index(failed) :])


def is_worth_a_report(restart: Restart, exit_: Exit) -> bool:
    """A permanent child's end always is; another's only when it was abnormal."""
    return restart is Restart.PERMANENT or exit_.abnormal


def stopped_well(spec: ChildSpec, exit_: Exit) -> bool:
    """Whether a child that was asked to stop ended as asked; any other end is a shutdown error."""
    match exit_.kind:
        case ExitKind.SHUTDOWN if exit_.detail is None:
            return True
        case ExitKind.SHUTDOWN | ExitKind.NORMAL:
            return spec.restart is not Restart.PERMANENT
        case ExitKind.KILLED:
            return spec.effective_shutdown is Shutdown.BRUTAL_KILL
        case ExitKind.NOPROC:
            return True  # it was gone already; its own end is told elsewhere
        case ExitKind.CRASHED:
            return False


def shuts_down(auto_shutdown: AutoShutdown, significant: bool, others_active: bool) -> bool:
    """Whether the end of a child that is not restarted stops its supervisor."""
    match auto_shutdown:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return significant
        case AutoShutdown.ALL_SIGNIFICANT:
            return significant and not others_active
