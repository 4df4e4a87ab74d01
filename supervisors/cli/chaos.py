"""`allstop chaos`: a chaos script, or faults by plan, against a tree, in this process."""

import asyncio
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import click
import msgspec

from allstop.actors.errors import AllstopError, BadInput, Problem
from allstop.supervisors.build import Runtime
from allstop.supervisors.chaos import Act, Chaos, ChaosError, NotTrading, Script, load_script, run_script
from allstop.supervisors.chaos.running import chaos_on
from allstop.supervisors.checking import LOOPBACK
from allstop.supervisors.cli.logs import log_to_stderr
from allstop.supervisors.config import Tree
from allstop.supervisors.demo.rig import Rig, RigError
from allstop.supervisors.demo.tree import tree as demo_tree
from allstop.supervisors.loading import load_tree
from allstop.supervisors.preflight import VenueUnreachable
from allstop.supervisors.simulation.injector import Injected, Injector
from allstop.supervisors.simulation.plan import FAULTED_MIN_S, QUIET_S, FaultPlan, make_plan

DEMO = "demo"  # the one name that is no file and no module: the demo's tree, with its venue
RECOVER_S = 30.0  # after the script: longer than a breaker's cooldown and its probes


class ChaosRun(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of `allstop chaos --json`. `recovered`: entries passed again after the script's last act. `faults` are
    those of the plan that were done, by kind; `cannot` those kinds of it that this world cannot do, with why."""

    seed: int
    duration_s: float
    acts: list[Act]
    recovered: bool
    failed: str | None
    leaked: list[str]
    profile: str | None = None
    faults: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    cannot: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def held(self) -> bool:
        return self.recovered and self.failed is None and not self.leaked


class ScriptFailed(AllstopError):
    """The script itself raised; the message says what and on which line."""


@click.command()
@click.argument("names", metavar="[SCRIPT] TREE", nargs=-1, required=True)
@click.option("--faults", metavar="PROFILE", help="In place of a script: faults by plan, made from the seed.")
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(min=FAULTED_MIN_S),
    default=60.0,
    show_default=True,
    help="Seconds of faults, with --faults.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the chaos.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="Seconds that the script may take.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    default="critical",
    show_default=True,
    help="Logs go to stderr, as JSON lines.",
)
@click.option("--real-venue", is_flag=True, help="Allow a TREE whose venue is not on loopback.")
def command(
    names: tuple[str, ...],
    faults: str | None,
    for_s: float,
    seed: int,
    as_json: bool,
    timeout_s: float,
    log_level: str,
    real_venue: bool,
) -> int:
    """Start TREE, run the chaos SCRIPT (a file with `async def chaos(chaos)`) against it, and stop it. With --faults
    there is no script: what goes wrong is a plan, as `allstop simulate` carries it out, here on real sockets; kinds
    of faults that need a simulated machine are named and left out.

    TREE is file.py:attribute or module:attribute, or the word "demo": the demo's tree against a simulated Kraken of
    its own, whose connections (rest, public, private) and answers the script may then break too.

    Exit 0 when the script ended and the engine trades again; 1 when not, with the reason; 2 when the input is wrong,
    and then nothing was started.
    """
    plan, tree = None, names[-1]
    if faults is None:
        if len(names) != 2:
            raise BadInput(Problem("a chaos run needs a SCRIPT and a TREE, or --faults PROFILE and a TREE"))
        loaded = load_script(names[0])
    else:
        if len(names) != 1:
            raise BadInput(Problem(f"with --faults there is no script: name the TREE alone, not {names[0]}"))
        plan = PlannedFaults(make_plan(seed, faults, for_s + QUIET_S), quiet=as_json)
        loaded, timeout_s = plan.script, max(timeout_s, for_s + RECOVER_S)
    given = None if tree == DEMO else load_tree(tree)
    if given is not None and not real_venue:
        _on_loopback(given)
    try:
        run = asyncio.run(_run(loaded, given, seed, timeout_s, log_level, quiet=as_json))
    except (RigError, VenueUnreachable) as error:
        click.echo(f"error: {error}", err=True)
        return 1
    if plan is not None:
        run = plan.told(run)
    if as_json:
        click.echo(msgspec.json.encode(run))
    else:
        _show(run)
    return 0 if run.held else 1


class PlannedFaults:
    """A plan of faults as a chaos script."""

    def __init__(self, plan: FaultPlan, *, quiet: bool) -> None:
        self._plan = plan
        self._quiet = quiet
        self._counts: dict[str, int] = {}
        self._cannot: dict[str, str] = {}

    async def script(self, chaos: Chaos) -> None:
        injector = Injector(chaos, on_fault=None if self._quiet else _say_missed)
        self._counts, self._cannot = injector.counts, injector.cannot
        await chaos.wait_until_trading(RECOVER_S)
        await injector.run(self._plan)

    def told(self, run: ChaosRun) -> ChaosRun:
        return msgspec.structs.replace(
            run, profile=self._plan.profile, faults=dict(sorted(self._counts.items())), cannot=dict(sorted(self._cannot.items()))
        )  # fmt: skip


def _say_missed(injected: Injected) -> None:
    if injected.missed:
        click.echo(f"{injected.fault.at_s:7.2f} s  {injected.fault.kind:13} not done: {injected.missed}")


def _on_loopback(tree: Tree) -> None:
    """Chaos on an account with money in it is asked for by name, never met by a wrong file name."""
    problems = [
        Problem(
            f"chaos would hurt an engine that trades at {url}; say --real-venue if you mean it", node.where
        )
        for node in tree.accounts.children
        for url in dict.fromkeys((node.rest_url, node.private_url))
        if urlsplit(url).hostname not in LOOPBACK
    ]
    if problems:
        raise BadInput(*problems)


async def _run(
    script: Script, given: Tree | None, seed: int, timeout_s: float, log_level: str, *, quiet: bool
) -> ChaosRun:
    async with AsyncExitStack() as stack:
        rig: Rig | None = None
        environ: Mapping[str, str] | None = None
        if given is None:
            rig = await stack.enter_async_context(Rig("--seed", f"chaos-{seed}"))
            state_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="allstop-chaos-"))
            environ = {**rig.environ, "ALLSTOP_DEMO_STATE_DIR": state_dir}
            given = demo_tree(environ)
        runtime = Runtime(given, environ=environ)
        log_to_stderr(log_level, runtime.redactor)
        async with runtime:
            clock = runtime.system.clock
            began_s, failed, recovered = clock.now_s(), None, False
            chaos = chaos_on(
                runtime,
                seed=seed,
                links=rig.links if rig else None,
                venues={"kraken": rig.venue} if rig else None,
                on_act=None if quiet else _say,
            )
            try:
                async with asyncio.timeout(timeout_s):
                    await run_script(_named(script), chaos)
            except TimeoutError:
                failed = f"the script did not end within {timeout_s:g} s"
            except (ChaosError, NotTrading, ScriptFailed) as error:
                failed = str(error)
            try:
                await chaos.wait_until_trading(RECOVER_S if failed is None else 0.0)
                recovered = True
            except NotTrading as error:
                failed = failed or str(error)
            duration_s = round(clock.now_s() - began_s, 2)
        return ChaosRun(
            seed=seed, duration_s=duration_s, acts=[msgspec.structs.replace(act, at_s=round(act.at_s, 3)) for act in chaos.acts], recovered=recovered, failed=failed, leaked=runtime.leaked
        )  # fmt: skip


def _named(script: Script) -> Script:
    """The script, with any error of its own turned into one line that names where it was raised."""

    async def named(chaos: Chaos) -> None:
        try:
            await script(chaos)
        except (AllstopError, TimeoutError):
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise ScriptFailed(f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}") from error

    return named


def _say(act: Act) -> None:
    click.echo(f"{act.at_s:7.2f} s  {act.verb:13} {act.target} {act.detail}".rstrip())


def _show(run: ChaosRun) -> None:
    if run.failed is not None:
        click.echo(f"FAILED: {run.failed}")
    for name in run.leaked:
        click.echo(f"FAILED: could not be stopped: {name}")
    for kind, why in run.cannot.items():
        click.echo(f"not possible here: {kind}: {why}")
    trading = "the engine trades" if run.recovered else "the engine does NOT trade"
    click.echo(f"{len(run.acts)} acts in {run.duration_s:g} s, seed {run.seed}: {trading}")
