"""ring: one message in flight around a thousand actors."""

import asyncio

from tests.benchmarks import peers
from tests.benchmarks.harness import BEAM, PYKKA, RAW, Beam, Python, Workload
from tests.benchmarks.measuring import ACTORS, amount, expect, now_ns, per_second, run, settle

from allstop.actors.runtime import Actor, ActorSystem, Ref


class Node(Actor):
    following: Ref
    done: "asyncio.Future[None]"
    count = 0

    def on_receive(self, message: int) -> None:
        self.count += 1
        if message:
            self.following.tell(message - 1)
        else:
            self.done.set_result(None)


def ring() -> float:
    async def main() -> float:
        hops = amount(1_000_000)
        async with ActorSystem() as system:
            refs = [await system.spawn(Node) for _ in range(ACTORS)]
            done = asyncio.get_running_loop().create_future()
            nodes = [ref.cell.actor for ref in refs]
            for node, following in zip(nodes, refs[1:] + refs[:1], strict=True):
                node.following = following
                node.done = done
            settle()
            started = now_ns()
            refs[0].tell(hops)
            await asyncio.wait_for(done, 60)
            took = now_ns() - started
            expect("hops", sum(node.count for node in nodes), hops + 1)
            return per_second(hops, took)

    return run(main)


WORKLOADS = [
    Workload(
        name="ring",
        slices=2,
        unit="hops/s",
        about="1,000,000 hops of one message around 1,000 actors",
        ours=Python("tests.benchmarks.workload_ring:ring"),
        peers={
            RAW: Python("tests.benchmarks.raw:ring"),
            BEAM: Beam("ring"),
            PYKKA: Python("tests.benchmarks.threads:ring", caveat="a ring of 100"),
            **peers.of("ring"),
        },
    ),
]
