"""Proving a halt: each account's halter is asked until the venue's own list says that only protective orders are left."""

import asyncio
from collections.abc import Mapping

import msgspec

from allstop.actors.commands import HaltProof, ProveHalt
from allstop.actors.runtime import Actor, Ref
from allstop.actors.spec import Backoff
from allstop.supervisors.backoff import delay_s
from allstop.supervisors.halting import AccountProof


class Answered(msgspec.Struct, frozen=True):
    """To the root, by itself: a halter answered, or did not: `proof` or `trouble`. `halt` is the number of the halt."""

    account: str
    halt: int
    proof: HaltProof | None
    trouble: str


class Proving:
    """How far the latest halt is proven. The asking is done in tasks of `root`, which is told of each answer."""

    def __init__(self, root: Actor, halters: Mapping[str, Ref], backoff: Backoff, timeout_s: float) -> None:
        self._root = root
        self._halters = dict(halters)
        self._backoff = backoff
        self._timeout_s = timeout_s
        self._accounts: dict[str, AccountProof] = {}

    def begin(self, halt: int, reason: str) -> None:
        self._accounts = {account: AccountProof(account=account) for account in self._halters}
        for account, halter in self._halters.items():
            self._root.start_task(self._ask(account, halter, halt, reason), f"prove {account}")

    def end(self) -> None:
        """The halt was lifted, which only a proven one can be: nobody is being asked any more."""
        self._accounts = {}

    def note(self, answered: Answered) -> None:
        before = self._accounts[answered.account]
        self._accounts[answered.account] = AccountProof(
            account=answered.account, proof=answered.proof, tries=before.tries + 1, trouble=answered.trouble
        )

    @property
    def accounts(self) -> tuple[AccountProof, ...]:
        return tuple(self._accounts.values())

    async def _ask(self, account: str, halter: Ref, halt: int, reason: str) -> None:
        """Asks until it is proven, however long that takes. What a halter dies of is its supervisor's affair."""
        tries = 0
        while True:
            tries += 1
            asking = halter.call(ProveHalt(reason=reason), timeout_s=self._timeout_s)
            (answer,) = await asyncio.gather(asking, return_exceptions=True)
            if isinstance(answer, HaltProof):
                self._root.ref.tell(Answered(account, halt, answer, ""))
                return
            self._root.ref.tell(Answered(account, halt, None, f"{type(answer).__name__}: {answer}"))
            await asyncio.sleep(delay_s(self._backoff, tries, self._root.dice.draw()))
