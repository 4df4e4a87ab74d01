"""What a crash leaves for whoever reads about it: values when it happens, text when it is read."""

import asyncio
from typing import Any, ClassVar

import msgspec
import pytest
from tests.runtime.keepers import Keeper, doing
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, fails, sleeps

from allstop.actors.events import ChildTerminated, CrashReport
from allstop.actors.exits import NORMAL, SHUTDOWN, Exit, shutdown
from allstop.actors.rendering import fitted, shown
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, Mailbox, Overflow, StepKind, inspection
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors import Supervisor

pytestmark = pytest.mark.virtual


class Order(msgspec.Struct, frozen=True):
    id: str
    legs: tuple[Any, ...] = ()


def report_of(**changed: Any) -> CrashReport:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second\nline") from first
    except ValueError as error:
        found = CrashReport(at_ns=1, path="/a/b", incarnation=3, actor_class="Trader", error=error)
    return msgspec.structs.replace(found, **changed)


class Words(Puppet):
    """Crashes on "boom", whoever brings it."""

    def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise KeyError(message)
        return self.send_after(0, "boom") if message == "later" else None


class WordsInContext(Words):
    context_per_message: ClassVar[bool] = True


class NewestWords(Words):
    mailbox: ClassVar[Mailbox] = Mailbox(overflow=Overflow.CONFLATE, key=len)


# -- captured ----------------------------------------------------------------------------------------------------------
@pytest.mark.req("177", "178")
async def test_a_crash_report_says_who_on_what_why_where_and_who_is_concerned(
    system: ActorSystem, witness: Witness
) -> None:
    class Fragile(Keeper):
        def on_receive(self, message: Any) -> Any:
            if message == "crash":
                self.count = 7
                raise ValueError("bad price") from KeyError("no book")
            return message(self) if callable(message) else None

    grandparent = await system.spawn(Keeper, path="/top")
    parent = await system.spawn(Keeper, path="/top/mid", parent=grandparent)
    friend = await system.spawn(Puppet, Witness(), path="/friend")
    watcher = await system.spawn(Puppet, Witness(), path="/watcher")
    ref = await system.spawn(Fragile, path="/top/mid/fragile", parent=parent)
    await system.spawn(Keeper, path="/top/mid/fragile/child", parent=ref)
    await ref.call(doing(lambda fragile: fragile.link(friend)))
    await watcher.call(doing(lambda puppet: puppet.monitor(ref) and None))
    await asyncio.sleep(3)
    for message in ("crash", "second", 3, Order("o-1")):
        ref.tell(message)
    asked = ref.ask({"a": "call"}, block=False)
    with pytest.raises(ActorDead):
        await asked
    [report] = witness.crashes
    assert (report.path, report.incarnation, report.actor_class) == (
        "/top/mid/fragile",
        1,
        Fragile.__qualname__,
    )
    assert report.last_message == "crash"
    assert [type(error) for error in report.causes] == [ValueError, KeyError]
    assert report.error.__traceback__ is not None
    assert report.status == {"count": 7}
    assert (report.mailbox_len, report.waiting) == (4, ("str", "int", "Order", "dict"))
    assert report.ancestors == ("/top/mid", "/top")
    assert report.children == ("/top/mid/fragile/child",)
    assert report.links == ("/friend",)
    assert report.monitored_by == ("/watcher",)
    assert report.lived_s == pytest.approx(3)
    assert (report.caller, report.caller_stack) == (None, ())
    assert not friend.is_alive()  # the linked neighbour that died, too


@pytest.mark.req("177", "200")
@pytest.mark.parametrize("exit_", [NORMAL, SHUTDOWN, shutdown("moved")])
@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_a_clean_exit_makes_no_crash_report(
    system: ActorSystem, witness: Witness, exit_: Exit, puppet: type[Actor]
) -> None:
    ref = await system.spawn(puppet, witness)
    assert await system.stop(ref, exit_) == exit_
    assert witness.crashes == []


@pytest.mark.req("199", "200")
@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet])
async def test_an_on_stop_that_raises_is_the_exit_and_is_reported(
    system: ActorSystem, witness: Witness, puppet: Any
) -> None:
    class Clumsy(puppet):
        def on_stop(self, exit_: Exit) -> Any:
            raise OSError("the disk is gone")

    ref = await system.spawn(Clumsy, witness)
    exit_ = await system.stop(ref)
    assert isinstance(exit_.error, OSError)
    assert [report.error for report in witness.crashes] == [exit_.error]


@pytest.mark.req("178")
@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet])
async def test_the_report_names_the_caller_and_where_it_waits(
    system: ActorSystem, witness: Witness, puppet: type[Actor]
) -> None:
    async def ask_for_trouble() -> None:
        await ref.call(fails(KeyError("crash")))

    ref = await system.spawn(puppet, witness)
    for queued in (False, True):
        if queued:
            ref = await system.spawn(puppet, witness)
            ref.tell("first")  # so that the call has to wait in the queue
        asking = asyncio.create_task(ask_for_trouble(), name="/strategies/breakout")
        await asyncio.wait([asking])
        assert isinstance(asking.exception(), KeyError)
    for report in witness.crashes:
        assert report.caller == "/strategies/breakout"
        assert "ask_for_trouble" in [function for _file, _line, function in report.caller_stack]
        assert "caller: /strategies/breakout < " in report.text()
    assert len(witness.crashes) == 2


@pytest.mark.req("178")
async def test_the_caller_of_a_handler_that_is_suspended_is_named_too(
    system: ActorSystem, witness: Witness
) -> None:
    async def later(_puppet: Any) -> None:
        await asyncio.sleep(1)
        raise KeyError("crash")

    ref = await system.spawn(AsyncPuppet, witness)
    asking = asyncio.create_task(ref.call(doing(later)), name="asker")
    await asyncio.wait([asking])
    assert [report.caller for report in witness.crashes] == ["asker"]


async def test_who_only_told_is_no_caller(system: ActorSystem, witness: Witness) -> None:
    for puppet in (Puppet, AsyncPuppet):
        ref = await system.spawn(puppet, witness)
        await ref.call("fine")
        ref.tell(fails(KeyError("crash")))
        await asyncio.sleep(1)
    assert [report.caller for report in witness.crashes] == [None, None]


async def test_a_thread_that_asked_is_called_a_thread(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    loop = asyncio.get_running_loop()
    with pytest.raises(KeyError):
        await loop.run_in_executor(None, lambda: ref.ask(fails(KeyError("crash")), timeout=5))
    assert [report.caller for report in witness.crashes] == ["a thread"]


@pytest.mark.req("178", "221")
async def test_the_report_carries_the_recent_log_while_one_is_kept(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    await inspection.log(ref, 3)
    await ref.call("a")
    crash = fails(KeyError("crash"))
    ref.tell(crash)
    await asyncio.sleep(1)
    [report] = witness.crashes
    assert [(step.kind, step.message) for step in report.log] == [
        (StepKind.OUT, "a"),
        (StepKind.IN, crash),
        (StepKind.RAISED, crash),
    ]


async def test_a_failed_start_is_reported_with_the_time_it_lived(
    system: ActorSystem, witness: Witness
) -> None:
    parent = await system.spawn(Keeper)

    async def slowly() -> None:
        await asyncio.sleep(2)
        raise OSError("no route")

    with pytest.raises(Exception, match="no route"):
        await system.spawn(AsyncPuppet, witness, doing(lambda _puppet: slowly()), parent=parent)
    assert [report.lived_s for report in witness.crashes] == [pytest.approx(2)]


async def test_a_crash_of_thousands_of_children_names_the_first(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    for _ in range(100):
        await system.spawn(Keeper, parent=ref)
    ref.tell(fails(KeyError("crash")))
    await asyncio.sleep(1)
    assert len(witness.crashes[0].children) == 20


@pytest.mark.req("205")
async def test_neither_state_nor_key_is_in_a_report_whose_formatter_fails(
    system: ActorSystem, witness: Witness
) -> None:
    class Careless(Keeper):
        def format_status(self) -> Any:
            raise RuntimeError(f"leaks {self.key}")

    ref = await system.spawn(Careless)
    ref.tell(fails(KeyError("crash")))
    await asyncio.sleep(1)
    [report] = witness.crashes
    assert report.status == "hidden: format_status raised RuntimeError"
    assert "hunter2" not in report.text()


async def test_the_state_is_shown_as_it_was_at_the_crash_and_not_as_on_failure_left_it(
    system: ActorSystem, witness: Witness
) -> None:
    class Tidy(Keeper):
        def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
            self.count = -1

    ref = await system.spawn(Tidy)
    await ref.call("one")
    ref.tell(fails(KeyError("crash")))
    await asyncio.sleep(1)
    assert witness.crashes[0].status == {"count": 1}


async def test_the_crash_of_a_supervised_child_is_reported_by_the_child_and_the_supervisor(
    system: ActorSystem, witness: Witness
) -> None:
    top = await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("keeper", Start(Keeper))], path="/top")
    system.address("/top/keeper").tell(fails(KeyError("crash")))
    await asyncio.sleep(1)
    assert [report.path for report in witness.crashes] == ["/top/keeper"]
    assert witness.crashes[0].ancestors == ("/top",)
    assert [event.child for event in witness.events if isinstance(event, ChildTerminated)] == ["keeper"]
    await system.stop(top)


# -- rendered ----------------------------------------------------------------------------------------------------------
def test_nothing_is_formatted_before_somebody_reads() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise AssertionError("was formatted")

    report = report_of(last_message=Unprintable(), status={"book": Unprintable()})
    text = report.render()
    assert "on <Unprintable: its repr raised AssertionError>" in text
    assert "status: {'book': <Unprintable: its repr raised AssertionError>}" in text


def test_the_whole_text_reads_from_who_to_why() -> None:
    text = report_of(
        last_message=Order("o-1"),
        status={"count": 7},
        mailbox_len=12,
        waiting=("Order", "Tick"),
        ancestors=("/a",),
        children=("/a/b/c",),
        links=("/l",),
        monitored_by=("/m",),
        caller="/caller",
        caller_stack=(("f.py", 3, "ask"), ("g.py", 9, "call")),
        lived_s=1.5,
    ).text()
    assert text.startswith(
        "Trader at /a/b (incarnation 3, lived 1.500 s) crashed on Order(id='o-1', legs=())\n"
        "  status: {'count': 7}\n"
        "  mailbox: 12 waiting: Order, Tick, ...\n"
        "  ancestors: /a\n"
        "  children: /a/b/c\n"
        "  links: /l\n"
        "  monitored by: /m\n"
        "  caller: /caller < call (g.py:9) < ask (f.py:3)\n"
        "  traceback: Traceback"
    )
    assert "KeyError: 'first'" in text
    assert text.endswith("ValueError: second\n    line")


@pytest.mark.req("176")
@pytest.mark.parametrize("limit", [0, 1, 3, 10, 80, 200])
def test_a_report_is_no_longer_than_the_limit_and_says_that_it_was_cut(limit: int) -> None:
    text = report_of(status=list(range(50))).render(chars_limit=limit)
    assert len(text) <= limit
    assert text.endswith("..."[:limit])


def test_no_word_is_cut_because_half_a_key_is_not_known_as_one() -> None:
    key = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    for limit in range(10, 200):
        assert key[:4] not in fitted(f"crashed with key={key} and more of it", limit).replace(key, "")
    assert key[:4] not in shown(["x " * 190 + key])


@pytest.mark.req("176")
def test_a_report_within_the_limit_is_whole() -> None:
    report = report_of()
    assert report.render(chars_limit=len(report.text())) == report.text()


@pytest.mark.req("176")
def test_a_report_fits_one_line_if_asked_for() -> None:
    text = report_of(status="a\nb", ancestors=("/a",)).render(single_line=True)
    assert "\n" not in text
    assert r"status: 'a\nb' ancestors: /a traceback: Traceback" in text
    assert text.endswith("ValueError: second line")
    assert len(report_of().render(single_line=True, chars_limit=60)) <= 60


@pytest.mark.req("176")
def test_a_report_shows_values_only_as_deep_as_asked_for() -> None:
    nested = {"a": [1, (2, {"b": 3})], "order": Order("o-1", legs=(Order("o-2"),))}
    report = report_of(last_message=nested, status=nested)
    assert "crashed on ...\n" in report.render(depth=0)
    assert "crashed on {...: ..., ...: ...}\n" in report.render(depth=1)
    assert "status: {'a': [..., ...], 'order': Order(id=..., legs=...)}" in report.render(depth=2)
    assert (
        "status: {'a': [1, (2, {'b': 3})], 'order': Order(id='o-1', legs=(Order(id='o-2', legs=()),))}"
        in (report.render())
    )


@pytest.mark.req("176")
def test_every_event_renders_under_the_same_limits() -> None:
    event = ChildTerminated(
        at_ns=1,
        path="/sup",
        child="a",
        incarnation=2,
        reason="crashed: KeyError: 'x'",
        clean=False,
        causes=("x", "y"),
    )
    text = event.render()
    assert text.startswith("ChildTerminated at /sup\n  child: 'a'\n  incarnation: 2\n")
    assert "  causes: ('x', 'y')" in text
    assert "  causes: (..., ...)" in event.render(depth=1)
    assert event.render(single_line=True).startswith("ChildTerminated at /sup child: 'a' incarnation: 2 ")
    assert len(event.render(chars_limit=30)) <= 30


class Secretive(dict[str, str]):
    def __repr__(self) -> str:
        return "<hidden>"


class Hidden(msgspec.Struct):
    key: str

    def __repr__(self) -> str:
        return "<a key>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ((), "()"),
        ((1,), "(1,)"),
        ([1, 2], "[1, 2]"),
        (set[int](), "set()"),
        ({1}, "{1}"),
        (frozenset({1}), "frozenset({1})"),
        ({"a": {"b": ()}}, "{'a': {'b': ()}}"),
        (Order("o"), "Order(id='o', legs=())"),
        (Exit(NORMAL.kind), "Exit(kind=<ExitKind.NORMAL: 'normal'>, error=None, detail=None)"),
        (Secretive(key="hunter2"), "<hidden>"),
        ([Hidden("hunter2")], "[<a key>]"),
        ("x" * 500, "'..."),
        ("x " * 250, "'" + "x " * 198 + "..."),
        (list(range(200)), "[" + ", ".join(map(str, range(100))) + ", ...]"),
    ],
)
def test_a_value_is_shown_as_its_repr_but_for_what_is_too_long(value: Any, text: str) -> None:
    assert shown(value) == text


def test_a_value_that_contains_itself_is_shown_to_a_depth() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert shown(endless, 3) == "[[[...]]]"
    assert len(shown(endless)) < 100


def test_text_in_one_line_joins_its_lines() -> None:
    assert fitted("a \n   b\n\nc", single_line=True) == "a b c"


async def test_a_report_is_made_only_if_somebody_listens() -> None:
    calls: list[str] = []

    class Asked(Keeper):
        def format_status(self) -> Any:
            calls.append("asked")

    async with ActorSystem(on_event=lambda event: None) as system:
        system.subscribers = ()
        ref = await system.spawn(Asked)
        ref.tell(fails(KeyError("crash")))
        await asyncio.sleep(1)
        assert not ref.is_alive()
    assert calls == []


async def test_a_slow_handler_that_is_stopped_makes_no_report(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(sleeps(100))
    await asyncio.sleep(1)
    await system.stop(ref)
    assert witness.crashes == []


@pytest.mark.parametrize("kind", [Words, WordsInContext, NewestWords])
@pytest.mark.parametrize("brought", ["told", "called", "fired", "behind another"])
async def test_a_report_shows_the_users_own_messages_whatever_carries_them(
    system: ActorSystem, witness: Witness, kind: type[Actor], brought: str
) -> None:
    ref = await system.spawn(kind)
    if brought == "behind another":
        ref.tell("first, and longer")
    if brought == "called":
        call = asyncio.create_task(ref.call("boom"))
        await asyncio.sleep(0)
        del call
    else:
        ref.tell("later" if brought == "fired" else "boom")
        ref.tell("waits here")
    await asyncio.sleep(1)
    [report] = [event for event in witness.events if isinstance(event, CrashReport)]
    assert report.last_message == "boom"
    assert report.waiting == (() if brought in ("called", "fired") else ("str",))
