"""Sharded copies of one child: what is too much for one actor is shared by N, and a key always finds the same one."""

import zlib
from collections.abc import Callable, Hashable
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from allstop.actors.runtime import Ref
from allstop.actors.runtime.arguments import want_count, want_function
from allstop.actors.spec import ChildSpec, SupervisorFlags
from allstop.supervisors.childspecs import check_dynamic, check_flags
from allstop.supervisors.errors import InvalidChildSpec, InvalidFlags
from allstop.supervisors.supervisor import TIMEOUT_S, Supervisor, asked
from allstop.supervisors.votes import Votes

PARTITIONS_MAX = 4096  # each is an actor that is always there


class GetPartitions(msgspec.Struct, frozen=True):
    """Answered with Partitions."""


def partition_of(key: object, partitions: int) -> int:
    """The number of the partition that has this key: the same in every process and every run.

    Keys are numbers, texts, bytes, members of an Enum, None, and tuples of these. Raises TypeError for others, whose
    text might differ from run to run.
    """
    want_count("partitions", partitions, least=1)
    return zlib.crc32(_text(key).encode()) % partitions


def _text(key: object) -> str:
    match key:
        case Enum():
            return f"{type(key).__qualname__}.{key.name}"
        case tuple():
            return f"({','.join(map(_text, key))})"
        case None | bool() | int() | float() | Decimal() | str() | bytes():
            return repr(key)
        case _:
            raise TypeError(f"a partition key is a number, a text, bytes or a tuple of these, not {key!r}")


class Partitions:
    """The copies, by key: `partitions["BTC/USD"].tell(message)`. Good for as long as the supervisor's address is."""

    def __init__(self, refs: tuple[Ref, ...]) -> None:
        self.refs = refs

    def __len__(self) -> int:
        return len(self.refs)

    def __getitem__(self, key: Hashable) -> Ref:
        """The address of the copy that has this key. Raises TypeError for what cannot be a key."""
        return self.refs[partition_of(key, len(self.refs))]


class PartitionSupervisor(Supervisor):
    """Runs `partitions` copies of one spec, each restarted alone. Their ids are 0, 1, 2, ...

    The constructor of each copy gets the arguments of `spec.start`; `with_arguments(args, partition)` may give others
    for the copy of that number.
    """

    def __init__(
        self,
        spec: ChildSpec,
        partitions: int,
        *,
        flags: SupervisorFlags | None = None,
        with_arguments: Callable[[tuple[Any, ...], int], tuple[Any, ...]] | None = None,
        votes: Votes | None = None,
    ) -> None:
        """Raises InvalidFlags for a number of partitions that cannot be, another strategy than one_for_one, or an
        auto_shutdown, and InvalidChildSpec for the spec."""
        flags = flags or SupervisorFlags()
        if not isinstance(spec, ChildSpec):
            raise InvalidChildSpec("invalid_child_spec", spec)
        if with_arguments is not None:
            want_function("with_arguments", with_arguments)
        if (
            isinstance(partitions, bool)
            or not isinstance(partitions, int)
            or not 1 <= partitions <= PARTITIONS_MAX
        ):
            raise InvalidFlags("invalid_partitions", partitions)
        check_dynamic(check_flags(flags))
        copies = [
            replace(spec, id=number, start=_start(spec, number, with_arguments))
            for number in range(partitions)
        ]
        super().__init__(flags, copies, votes=votes)
        self._partitions = Partitions(
            tuple(self.system.address(self.child_path(number)) for number in range(partitions))
        )

    def on_receive(self, message: Any) -> Any:
        return self._partitions if isinstance(message, GetPartitions) else super().on_receive(message)


def _start(
    spec: ChildSpec, number: int, with_arguments: Callable[[tuple[Any, ...], int], tuple[Any, ...]] | None
) -> Any:
    if with_arguments is None:
        return spec.start
    return replace(spec.start, args=with_arguments(spec.start.args, number))


async def partitions_of(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Partitions:
    """The copies of a PartitionSupervisor. Ask once and keep it: restarts change nothing about it."""
    return await asked(supervisor, timeout_s, PartitionSupervisor).call(GetPartitions(), timeout_s=timeout_s)
