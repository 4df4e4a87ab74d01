"""Refs to one incarnation: they fail loudly after its end, also when another runs at the address."""

from typing import TYPE_CHECKING, Any

from allstop.actors.exits import Exit
from allstop.actors.runtime.errors import ActorDead, Fenced
from allstop.actors.runtime.ref import CALL_TIMEOUT_S, Ref

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


class PinnedRef(Ref):
    """A ref to one incarnation. It fails loudly after the end of that one, also when another runs at the address."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(ref.system, ref.path)
        self._address = ref
        self._cell = ref.cell
        self._incarnation = ref.incarnation
        self._parent = ref.parent
        self.actor_class = ref.actor_class

    @property
    def last_exit(self) -> Exit | None:
        return self._cell.exit if self._cell.ended else None

    @property
    def pinned_down(self) -> bool:
        return True

    @property
    def address(self) -> Ref:
        return self._address

    @property
    def actor_urn(self) -> str:
        return f"urn:allstop:{self.path}#{self._incarnation}"

    def __repr__(self) -> str:
        return f"<Ref {self.path}#{self._incarnation}>"

    __str__ = __repr__

    def _check(self) -> None:
        if self._cell.ended:
            raise ActorDead(self.path, self._incarnation, self._cell.exit)

    def tell(self, message: Any) -> None:
        self._check()
        super().tell(message)

    async def put(self, message: Any) -> None:
        self._check()
        await super().put(message)

    async def call(self, message: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        self._check()
        return await super().call(message, timeout_s)

    def pinned(self) -> "PinnedRef":
        return self

    def as_parent(self) -> Ref:
        """The address under which a child may be started now. Raises ActorDead, or Fenced, when this incarnation ended."""
        self._check()
        return self._address


class FencedRef(PinnedRef):
    """What `self.ref` of an ended incarnation is: what still runs of it can send nothing through it, and father nobody."""

    def __init__(self, cell: "Cell") -> None:
        super().__init__(cell.ref)
        self._cell = cell
        self._incarnation = cell.incarnation

    def _check(self) -> None:
        raise Fenced(self.path, self._incarnation)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Raises Fenced: what runs at this address now is not mine to stop."""
        self._check()
