"""The demo in a terminal: the tree with its states, what stands around it, and what was done to it."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from allstop.actors.levels import Level
from allstop.supervisors.demo.picture import DOWN, RESTARTING, RUNNING, STOPPED, Row, picture, rows
from allstop.supervisors.demo.run import OVER, Demo
from allstop.supervisors.outline import outline

REFRESH_S = 0.25  # at most four times a second: a picture takes some milliseconds of the loop it looks at
NARROW = 42  # columns of the right side on an 80 column terminal
ACTS_SHOWN_MAX = 30  # a terminal of any height

_STYLE = {
    RUNNING: "green",
    "starting": "yellow",
    RESTARTING: "yellow",
    "stopping": "yellow",
    "failing": "red",
    DOWN: "bold red",
    STOPPED: "dim",
}
_MARK = {RUNNING: "●", STOPPED: "○", DOWN: "✗"}
_LEVEL = {
    Level.NONE: "green",
    Level.RATE_LIMITED: "yellow",
    Level.CACHED_DATA: "yellow",
    Level.READ_ONLY: "dark_orange",
}
_CLOSED = ("CANCELED", "EXPIRED")
_NOTHING = ("REJECTED", "NOT_PLACED")


class LiveView:
    """Shows a Demo: call it whenever something may have changed. It draws at most four times a second, except for a
    new phase, which is shown at once; when it is left, the last picture stays."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        # No thread of its own: it draws when it is called, on the loop, so that it never reads half a change.
        self._live = Live(
            console=self._console, auto_refresh=False, transient=False, vertical_overflow="crop"
        )
        self._began_s: float | None = None
        self._drawn_s = float("-inf")
        self._phase = ""

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def __call__(self, demo: Demo) -> None:
        now_s = demo.clock.now_s()
        if now_s - self._drawn_s < REFRESH_S and demo.phase == self._phase:
            return
        self._drawn_s, self._phase = now_s, demo.phase
        self._live.update(self.render(demo), refresh=True)

    def render(self, demo: Demo) -> RenderableType:
        """The whole picture, as high as the terminal and no higher."""
        # A line less than the terminal: a picture of its full height scrolls at each refresh. Two are the borders.
        height = max(6, self._console.height - 1)
        width = self._console.width
        right = min(54, max(NARROW, width * 2 // 5))
        body = Table.grid(expand=True)
        body.add_column(ratio=1)
        body.add_column(width=right)
        for_tree = Group(*_tree(demo, height - 2))
        for_side = Group(*_side(demo, height - 2, right - 4))
        body.add_row(_panel(for_tree, _title(demo), height), _panel(for_side, _subtitle(demo), height))
        return body


def _panel(inside: Group, title: Text, height: int) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style="dim", height=height, padding=(0, 1))


def _title(demo: Demo) -> Text:
    return Text.assemble(("allstop demo", "bold"), f"  seed {demo.seed}")


def _subtitle(demo: Demo) -> Text:
    elapsed_s = demo.clock.now_s() - demo.began_s
    return Text.assemble(f"{elapsed_s:.0f} s  ", (demo.phase, "bold cyan"))


# -- the tree ----------------------------------------------------------------------------------------------------------


def _tree(demo: Demo, height: int) -> list[Text]:
    if demo.runtime is None:
        return [Text("starting the simulated venue", style="dim")]
    over = demo.phase in OVER
    states = {} if over else {info.path: info.state for info in demo.runtime.system.actors()}
    root = picture(
        outline(demo.runtime.tree), states, demo.events.restarts_of, demo.events.breaker_of, over=over
    )
    return [_line(row) for row in rows(root, height)]


def _line(row: Row) -> Text:
    node, style = row.node, _STYLE.get(row.worst, "")
    text = Text("  " * row.depth, no_wrap=True, overflow="ellipsis")
    text.append(f"{_MARK.get(row.worst, '◌')} ", style)
    text.append(node.id, "bold" if node.children else "")
    if row.worst not in (RUNNING, STOPPED):
        text.append(f" {row.worst}", style)
    if node.many:
        text.append(f" {node.many}", "cyan")
    if row.hidden:
        text.append(f" +{row.hidden}", "dim")
    if row.restarts:
        text.append(f" ↻{row.restarts}", "yellow")
    if node.breaker:
        text.append(f" breaker {node.breaker}", "bold red")
    return text


# -- the side ----------------------------------------------------------------------------------------------------------


def _side(demo: Demo, height: int, width: int) -> list[Text]:
    lines = [*_levels(demo), *_gates(demo, width), *_orders(demo), *_hurts(demo)]
    room = height - len(lines) - 1
    acts = demo.acts[-min(room, ACTS_SHOWN_MAX) :] if room > 0 else []
    if acts:
        lines.append(Text("chaos", style="bold"))
    for act in acts:
        text = Text(f"{act.at_s:5.1f} ", style="dim", no_wrap=True, overflow="ellipsis")
        text.append(act.verb, "green" if act.verb in ("trading", "heal") else "red")
        lines.append(text.append(f" {_short(act.target)} {act.detail}".rstrip()))
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return lines[:height]


def _levels(demo: Demo) -> list[Text]:
    if demo.runtime is None:
        return []
    board = demo.runtime.levels
    scopes: list[tuple[str, ...]] = [()]
    for node in demo.runtime.tree.accounts.children:
        scopes += [(node.venue,), (node.venue, node.account)]
        scopes += [(node.venue, node.account, pair) for pair in node.pairs]
    lines: list[Text] = []
    for scope in dict.fromkeys(scopes):
        level = board.effective(scope)
        name = "level" if not scope else scope[-1]
        text = Text(f"{'  ' * len(scope)}{name} ", style="bold" if not scope else "")
        text.append(level.name, _LEVEL.get(level, "bold red"))
        own = [vote for vote in board.votes(scope) if vote.scope == scope and vote.level is level]
        if level > Level.NONE and own:
            text.append(f" {own[0].reason}", "dim")
        lines.append(text)
    return lines


def _gates(demo: Demo, width: int) -> list[Text]:
    if demo.runtime is None:
        return []
    lines: list[Text] = []
    for name, gate in demo.runtime.gates.items():
        text = Text("gate ", style="bold")
        missing = gate.missing
        text.append(f"{name} ", "not bold").append(
            "open" if not missing else "closed", "green" if not missing else "red"
        )
        lines.append(text)
        if missing:
            lines += [
                Text(f"  {part}", style="red") for part in _wrapped("no " + ", ".join(missing), width - 2)
            ]
    return lines


def _orders(demo: Demo) -> list[Text]:
    counts = demo.orders
    if not counts:
        return [Text("orders ", style="bold").append("none yet", "dim")]
    filled, closed = counts["FILLED"], sum(counts[name] for name in _CLOSED)
    nothing = sum(counts[name] for name in _NOTHING)
    open_ = counts.total() - filled - closed - nothing
    lines = [
        Text("orders ", style="bold").append(f"{open_} open {filled} filled {closed} canceled", "not bold")
    ]
    unsure = counts["UNKNOWN"] + counts["CHECKING"]
    if unsure or nothing:
        # A line of its own: what nobody knows yet must not be what a narrow terminal cuts off.
        doubt = (f"{unsure} UNKNOWN ", "bold red") if unsure else ""
        lines.append(Text.assemble("  ", doubt, (f"{nothing} never placed", "yellow") if nothing else ""))
    return lines


def _hurts(demo: Demo) -> list[Text]:
    events = demo.events
    text = Text("crashes ", style="bold").append(f"{events.crashes}  ", "not bold")
    text.append("restarts ").append(f"{events.restarts}  ", "not bold")
    text.append("gave up ").append(f"{events.escalations}", "not bold" if not events.escalations else "red")
    return [text]


def _short(path: str) -> str:
    """The end of a path says which actor; an intent's id in it is cut."""
    parts = [part if len(part) < 24 else part[-6:] for part in path.strip("/").split("/")]
    return "/".join(parts[-2:])


def _wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) + 1 > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
