"""What a running engine answers on its control socket."""

from typing import TYPE_CHECKING, Any

from allstop.actors.commands import CoverView
from allstop.actors.entry_caps import GetStopped, ResetStrategy
from allstop.actors.errors import BadInput, CircuitOpen, Problem, Refused
from allstop.actors.journal import AcceptLoss, JournalActor
from allstop.actors.ledger import AccountLedger, KeysAreOurs
from allstop.actors.levels import Level
from allstop.actors.runtime import ActorDead, CallTimeout
from allstop.supervisors.halt import HaltRoot, halt, halt_status, resume
from allstop.supervisors.halting import HaltStatus
from allstop.supervisors.inspector import Inspector, alike
from allstop.supervisors.supervisor import Supervisor, breaker_state, reset_breaker

if TYPE_CHECKING:
    from allstop.supervisors.build import Runtime

Message = dict[str, Any]

RESET_TIMEOUT_S = 20.0  # children are started meanwhile; the control socket waits 30 s for an answer


class Control:
    """Answers {"command": "status" | "halt" | "proofs" | "resume" | "reset" | "actors" | "inspect" | "dead_letters", ...} with
    one JSON object."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._inspector = Inspector(runtime.system, runtime.redactor)

    async def answer(self, request: Message) -> Message:
        root = self._runtime.root
        match request:
            case {"command": "status"}:
                return await self._status()
            case {"command": "proofs"}:
                return _proofs(await halt_status(root))
            case {"command": "halt", "by": str(by), "reason": str(reason)}:
                return _proofs(await halt(root, by, reason))
            case {"command": "resume", "by": str(by), "reason": str(reason)}:
                status = await resume(root, by, reason)
                return {"halted": status.halted, "message": "trading may go on"}
            case {"command": "reset", "path": str(path), "by": str(by), "reason": str(reason)}:
                return await self._reset(path, by, reason)
            case {"command": "actors"}:
                return self._inspector.actors()
            case {"command": "inspect", "path": str(path), "trace_s": None | float() | int() as trace_s}:
                return await self._inspector.actor(path, trace_s)
            case {"command": "dead_letters"}:
                return self._inspector.dead_letters()
            case _:
                raise BadInput(Problem(f"not a command: {sorted(request)}"))

    async def _reset(self, path: str, by: str, reason: str) -> Message:
        """A person wants another try of the supervisor at `path`. Raises BadInput where none runs, and for the root."""
        if not by.strip() or not reason.strip():
            raise BadInput(Problem("a reset needs a name and a reason"))
        path = "/" + path.strip("/")
        running = {info.path: info.actor_class for info in self._runtime.system.actors()}
        found = running.get(path)
        if found is None or not issubclass(found, Supervisor):
            if found is not None and issubclass(found, JournalActor):
                return await self._accept_loss(path, by, reason)
            if found is not None and issubclass(found, AccountLedger):
                return await self._trust_keys(path, by, reason)
            if (reset := await self._reset_strategy(path, by, reason)) is not None:
                return reset
            supervisors = (other for other, kind in running.items() if issubclass(kind, Supervisor))
            raise BadInput(Problem(f"no supervisor runs at {path}{alike(path, supervisors)}"))
        if issubclass(found, HaltRoot):
            raise BadInput(Problem("the root has no breaker: `allstop resume` lifts a halt"))
        supervisor = self._runtime.system.address(path)
        try:
            await reset_breaker(supervisor, by, reason, timeout_s=RESET_TIMEOUT_S)
            state = (await breaker_state(supervisor)).state.value
        except (ActorDead, CallTimeout) as error:
            raise BadInput(Problem(f"{path} does not answer: {error}")) from error
        return {"path": path, "breaker": state, "message": f"{path}: the breaker is {state}"}

    async def _accept_loss(self, path: str, by: str, reason: str) -> Message:
        """A person lets trading go on upon a journal that was set aside: once what is left agrees with the venue."""
        account = path.removesuffix("/store/journal").rpartition("/")[2]
        gate = self._runtime.gates.get(account)
        if gate is not None and gate.missing:
            raise BadInput(
                Problem(f"not reconciled with the venue yet: not proven: {', '.join(gate.missing)}", path)
            )
        message = AcceptLoss(by=by, reason=reason)
        try:
            files = await self._runtime.address(path).call(message, timeout_s=RESET_TIMEOUT_S)
        except (ActorDead, CallTimeout) as error:
            raise BadInput(Problem(f"{path} does not answer: {error}")) from error
        if not files:
            raise BadInput(Problem("no journal was set aside that nobody has accepted", path))
        return {"path": path, "message": f"{path}: what was lost with {', '.join(files)} is accepted"}

    async def _trust_keys(self, path: str, by: str, reason: str) -> Message:
        """A person has found who else used the account's keys, and that is over."""
        if not any(
            vote.by == path and vote.level is Level.READ_ONLY for vote in self._runtime.levels.votes()
        ):
            raise BadInput(Problem("nobody else was seen to use the keys of this ledger", path))
        message = KeysAreOurs(by=by, reason=reason)
        try:
            await self._runtime.address(path).call(message, timeout_s=RESET_TIMEOUT_S)
        except (ActorDead, CallTimeout) as error:
            raise BadInput(Problem(f"{path} does not answer: {error}")) from error
        return {"path": path, "message": f"{path}: the account's keys are ours alone again"}

    async def _reset_strategy(self, path: str, by: str, reason: str) -> Message | None:
        """The strategy at `path` may submit entries again; None where no account stopped it."""
        accounts = [account for account, stopped in (await self._stopped()).items() if path in stopped]
        for account in accounts:
            message = ResetStrategy(strategy=path, by=by, reason=reason)
            try:
                await self._runtime.orders(account).call(message, timeout_s=RESET_TIMEOUT_S)
            except (Refused, ActorDead, CallTimeout) as error:
                raise BadInput(Problem(f"{path} is not reset on {account}: {error}")) from error
        return (
            {"path": path, "message": f"{path}: entries pass again on {', '.join(accounts)}"}
            if accounts
            else None
        )

    async def _stopped(self) -> dict[str, dict[str, str]]:
        """By account: the strategies that may submit no entries, and why. Orders that are restarting say nothing."""
        found: dict[str, dict[str, str]] = {}
        for account in self._runtime.gates:
            try:
                found[account] = await self._runtime.orders(account).call(GetStopped(), timeout_s=1.0)
            except (ActorDead, CallTimeout, CircuitOpen):
                continue
        return found

    async def _status(self) -> Message:
        runtime = self._runtime
        status = await halt_status(runtime.root)
        return {
            **_proofs(status),
            "by": status.by,
            "reason": status.reason,
            "level": status.level.name,
            "votes": [
                f"{v.level.name} on {'/'.join(v.scope) or 'everything'} by {v.by}: {v.reason}"
                for v in status.votes
            ],
            "gates": {
                name: "open" if gate.open else f"closed: {', '.join(gate.missing)}"
                for name, gate in runtime.gates.items()
            },
            "stopped": [
                f"{strategy} on {account}: {why}"
                for account, stopped in (await self._stopped()).items()
                for strategy, why in stopped.items()
            ],
            "pairs": [line for account in runtime.gates for line in await self._untraded(account)],
            "counts": await self._counts(),
            "actors": len(runtime.system.actors()),
            "down": list(status.children_down),
        }

    async def _untraded(self, account: str) -> list[str]:
        """The pairs of an account that take no entries at the venue, each with what is held of it."""
        untraded = self._runtime.untraded(account)
        if not untraded:
            return []
        try:
            view: CoverView = await self._runtime.cover(account)
            held = {one.pair: f"{one.net}, {one.state}" for one in view.pairs if one.net}
        except (ActorDead, CallTimeout):
            held = dict.fromkeys(untraded, "unknown: the guardian does not answer")
        return [
            f"{pair} on {account} is {status}: no entries; position {held.get(pair, 'none')}"
            for pair, status in untraded.items()
        ]

    async def _counts(self) -> dict[str, int]:
        try:
            return await self._runtime.address("/observation").call("counts", timeout_s=1.0)
        except (ActorDead, CallTimeout):  # temporary by design: nobody depends on it
            return {}


def _proofs(status: HaltStatus) -> Message:
    unproven = [account.account for account in status.proofs if account.proof is None]
    return {
        "halted": status.halted,
        "proven": status.proven,
        "on_disk": status.on_disk,
        "unproven": ", ".join(unproven),
        "proofs": {account.account: account.in_words for account in status.proofs},
    }
