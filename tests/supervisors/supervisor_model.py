"""OTP's supervisor as a model to compare ours with: supervisor.erl in a hundred lines, and nothing of ours imported.

It is written from OTP's description, with the deviations of docs/decisions/0003: a restart may be delayed; an attempt
is counted when it is decided; a failure in a group that waits joins it, and the longest delay rules. Everything it
does happens at `now`. What it starts and stops is in `log`; `over` tells how the supervisor itself ended.
"""

from collections import defaultdict
from dataclasses import dataclass, field

RUNNING, DOWN, WAITING = "running", "down", "restarting"


@dataclass
class Kid:
    id: str
    restart: str = "permanent"
    significant: bool = False
    delay: float = 0.0  # the first delay before a restart; it doubles up to four times itself
    state: str = DOWN
    failures: int = 0
    up_since: float | None = None  # since it was last seen to start; a failure takes it away, a stop does not
    due: float = 0.0
    order: int = 0  # among those that are due at the same time

    def backoff(self) -> float:
        return min(4 * self.delay, self.delay * 2 ** (self.failures - 1))

    def failed(self, now: float) -> None:
        """Also where the start fails that follows a sibling's failure: it had stayed up for long enough before that."""
        healthy = self.up_since is not None and now - self.up_since >= (self.delay + 4 * self.delay) / 2
        self.failures = 1 if healthy else self.failures + 1
        self.up_since = None


@dataclass
class Model:
    strategy: str
    intensity: int
    period: float
    auto_shutdown: str = "never"
    max_children: int | None = None  # a number makes it a DynamicSupervisor
    now: float = 0.0
    kids: list[Kid] = field(default_factory=list[Kid])
    outcomes: dict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))
    restarts: list[float] = field(default_factory=list[float])
    log: list[str] = field(default_factory=list[str])
    over: str = ""
    orders: int = 0

    def boot(self) -> None:
        for kid in list(self.kids):
            if not self.start(kid):
                self.finish("failed to start")
                return

    def start(self, kid: Kid) -> bool:
        outcome = self.outcomes[kid.id].pop(0) if self.outcomes[kid.id] else "ok"
        if outcome == "ok":
            kid.state, kid.up_since = RUNNING, self.now
            self.log.append(f"start {kid.id}")
        elif outcome == "error":
            kid.state = DOWN
            self.log.append(f"fail {kid.id}")
        else:  # ignore
            self.down(kid)
        return outcome != "error"

    def down(self, kid: Kid) -> None:
        """A temporary child is forgotten when it is down, and so is any child of a dynamic supervisor."""
        kid.state = DOWN
        if kid.restart == "temporary" or self.max_children is not None:
            self.kids.remove(kid)

    def stop(self, kids: list[Kid]) -> None:
        """One at a time, the last started first."""
        for kid in reversed(kids):
            if kid.state == RUNNING:
                self.log.append(f"stop {kid.id}")
                self.down(kid)
            kid.state = DOWN

    def finish(self, how: str) -> None:
        self.over = how
        self.stop(list(self.kids))

    # ---- a child ends ----

    def ended(self, child_id: str, how: str) -> None:
        kid = self.find(child_id)
        assert kid is not None
        assert kid.state == RUNNING
        kid.state = DOWN
        abnormal = how in ("crash", "kill")
        if kid.restart == "permanent" or (kid.restart == "transient" and abnormal):
            self.failed(kid, was_up=True)
            return
        self.down(kid)
        others = [k for k in self.kids if k is not kid and k.significant and k.state in (RUNNING, WAITING)]
        if kid.significant and (self.auto_shutdown == "any_significant" or not others):
            self.finish("shutdown")

    def failed(self, kid: Kid, *, was_up: bool) -> None:
        kid.failed(self.now)
        self.restarts = [at for at in [*self.restarts, self.now] if self.now - at <= self.period]
        if len(self.restarts) > self.intensity:
            self.finish("gave up")
            return
        first = kid
        if self.strategy == "rest_for_one":  # an earlier one that waits takes this one along
            first = next((k for k in self.kids[: self.kids.index(kid)] if k.state == WAITING), kid)
        group = self.group(first)
        delay = max([kid.backoff(), *(k.due - self.now for k in group if k.state == WAITING)])
        for member in group:
            member.state = DOWN if member.state == WAITING else member.state
        if was_up and delay <= 0:
            self.restart(group)
            return
        if was_up:
            self.stop(group)
        self.orders += 1
        first.state, first.due, first.order = WAITING, self.now + delay, self.orders

    def group(self, kid: Kid) -> list[Kid]:
        where = self.kids.index(kid)
        return {"one_for_one": [kid], "one_for_all": list(self.kids), "rest_for_one": self.kids[where:]}[
            self.strategy
        ]

    def restart(self, group: list[Kid]) -> None:
        self.stop(group)
        for kid in [k for k in group if k.restart != "temporary"]:
            if not self.start(kid):
                self.failed(kid, was_up=False)
                return

    def settle(self, now: float) -> None:
        """What is due by `now` happens, each at its time."""
        while not self.over and (due := [k for k in self.kids if k.state == WAITING and k.due <= now]):
            kid = min(due, key=lambda k: (k.due, k.order))
            self.now = max(self.now, kid.due)
            kid.state = DOWN
            self.restart(self.group(kid))
        self.now = max(self.now, now)

    # ---- requests ----

    def find(self, child_id: str) -> Kid | None:
        return next((kid for kid in self.kids if kid.id == child_id), None)

    def start_child(self, new: Kid) -> str:
        kid = self.find(new.id)
        if new.significant and (new.restart == "permanent" or self.auto_shutdown == "never"):
            return "InvalidChildSpec"
        if kid is not None:
            return "AlreadyStarted" if kid.state == RUNNING else "AlreadyPresent"
        if self.max_children is not None and len(self.kids) >= self.max_children:
            return "MaxChildren"
        self.kids.append(new)
        if self.start(new):
            return "ok"
        self.kids.remove(new)
        return "StartFailure"

    def terminate_child(self, child_id: str) -> str:
        kid = self.find(child_id)
        if kid is None:
            return "NotFound"
        if kid.state == RUNNING:
            self.stop([kid])
        else:
            self.down(kid)
        return "ok"

    def restart_child(self, child_id: str) -> str:
        refusal, kid = self.refusal(child_id)
        if kid is None:
            return refusal
        return "ok" if self.start(kid) else "StartFailure"

    def delete_child(self, child_id: str) -> str:
        refusal, kid = self.refusal(child_id)
        if kid is None:
            return refusal
        self.kids.remove(kid)
        return "ok"

    def refusal(self, child_id: str) -> tuple[str, Kid | None]:
        kid = self.find(child_id)
        if self.max_children is not None:
            return "NotForDynamic", None
        if kid is None:
            return "NotFound", None
        if kid.state == DOWN:
            return "", kid
        return ("Running" if kid.state == RUNNING else "Restarting"), None
