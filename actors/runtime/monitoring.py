"""Monitors and watches: who is told of whose end.

A monitor is for one incarnation, a watch for an address. Both are among the belongings of whoever set them; the other
side is kept by the incarnation that runs, or by the address, where the next one or the last end is waited for.
What an end does with them is in aftermath.py, what the end of an address does in stopping.py.
"""

from typing import Final

from allstop.actors.runtime.messages import Down, MonitorRef
from allstop.actors.runtime.stopping import NOPROC

TOLD_LOOK: Final = (
    1024  # whoever was told of an end, each time so many, are looked through for those that ended
)


def observe(monitor: MonitorRef) -> None:
    """Starts a monitor or a watch, or reports at once what is over already."""
    watcher, ref = monitor.watcher, monitor.ref
    if watcher.ended or not monitor.active:
        return
    watcher.own().monitoring[monitor] = None
    cell = ref.cell
    if monitor.final and not ref.pinned_down:
        if not ref._retired:
            ref._watchers = ref._watchers if ref._watchers is not None else {}
            ref._watchers[monitor] = None
            ref._kept = True
            return
    elif not cell.ended:
        cell.own().monitored_by[monitor] = None
        return
    elif not ref.pinned_down:
        ref._told = ref._told if ref._told is not None else set()
        if watcher in ref._told:  # one Down per incarnation: this monitor is for the next
            ref._awaited = ref._awaited if ref._awaited is not None else {}
            ref._awaited[monitor] = None
            ref._kept = True
            return
        ref._told.add(watcher)
        if len(ref._told) % TOLD_LOOK == 0:  # an address may stay vacant for ever, and those who asked do not
            ref._told = {known for known in ref._told if not known.ended}
    watcher.post(Down(monitor, ref, ref.incarnation, ref.last_exit or NOPROC))


def unobserve(monitor: MonitorRef) -> None:
    """Ends a monitor or a watch, on both sides."""
    belongings = monitor.watcher.belongings
    if belongings is not None:
        belongings.monitoring.pop(monitor, None)
    monitor.ref.forget(monitor)
