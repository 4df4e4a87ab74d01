"""Other Python actor libraries: which there are, what each can do, and what a reader must know of it.

Each has a module here whose functions are sides of workloads. They run in environments of their own, which
`make bench-peers` makes from requirements.txt and requirements-newer.txt.
"""

from dataclasses import dataclass

from tests.benchmarks.harness import Interpreter, Python

ALL = ("tell", "call", "fan_out", "ring", "spawn")


@dataclass(frozen=True)
class Peer:
    name: str
    module: str
    imports: str
    caveat: str
    workloads: tuple[str, ...] = ALL
    interpreter: Interpreter = Interpreter.PEERS


PEERS = (
    Peer(
        "async-pykka", "async_pykka_side", "async_pykka", "asyncio, on Python 3.12 or newer; no supervisor",
        interpreter=Interpreter.NEWER,
    ),
    Peer(
        "everything", "everything_side", "actor_for_agents",
        "everything-is-an-actor: asyncio, on Python 3.12 or newer; a restart keeps mailbox and address",
        (*ALL, "restart"), Interpreter.NEWER,
    ),
    Peer("actio", "actio_side", "actio", "asyncio; it has no call: a future travels in the message"),
    Peer(
        "aioerl", "aioerl_side", "aioerl", "asyncio tasks with a mailbox; the parent restarts by hand",
        (*ALL, "restart"),
    ),
    Peer("thespian", "thespian_side", "thespian", "simpleSystemBase: synchronous, all in the thread of the sender"),
    Peer(
        "otpylib", "otpylib_side", "otpylib", "asyncio; crashes one at a time, each after a pause",
        (*ALL, "restart"),
    ),
    Peer(
        "triotp", "triotp_side", "triotp", "0.2.1 on trio 0.19: the newest that installs with Python 3.11",
        ("tell", "call", "fan_out", "ring", "restart"),
    ),
    Peer("fauxtp", "fauxtp_side", "fauxtp", "anyio; a long queue is slow there: it is kept short"),
    Peer("xoscar", "xoscar_side", "xoscar", "actors in the main process; its supervision is of processes only"),
)  # fmt: skip


def of(workload: str) -> dict[str, Python]:
    """The Python peers that have a side for this workload."""
    return {
        peer.name: Python(
            f"tests.benchmarks.peers.{peer.module}:{workload}",
            needs=(peer.imports,),
            interpreter=peer.interpreter,
            caveat=peer.caveat,
        )
        for peer in PEERS
        if workload in peer.workloads
    }
