"""thespian with simpleSystemBase: no thread and no process, each send runs the receiver before it returns."""

from typing import Any

from tests.benchmarks.measuring import (
    amount,
    expect,
    now_ns,
    per_second,
    percentile,
    rss_bytes,
    settle,
    silence,
)
from tests.benchmarks.peers.library import ACTORS, BATCH, GET, TICK
from thespian.actors import Actor, ActorExitRequest, ActorSystem

WAIT_S = 60
NO_LOGS = {"version": 1, "disable_existing_loggers": False, "handlers": {}, "root": {"handlers": []}}


class Counter(Actor):
    count = 0

    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if msg == GET:
            self.send(sender, self.count)
        elif msg == TICK:
            self.count += 1


class Node(Actor):
    def receiveMessage(self, msg: Any, sender: Any) -> None:
        if isinstance(msg, tuple):
            self.following, self.owner = msg[0], sender
            self.send(sender, "linked")
        elif isinstance(msg, int):
            if msg:
                self.send(self.following, msg - 1)
            else:
                self.send(self.owner, "done")


def system() -> Any:
    silence()
    return ActorSystem("simpleSystemBase", logDefs=NO_LOGS)


def tell() -> float:
    actors, count = system(), amount(50_000)
    ref = actors.createActor(Counter)
    settle()
    started = now_ns()
    for _ in range(count):
        actors.tell(ref, TICK)
    expect("handled", actors.ask(ref, GET, WAIT_S), count)
    took = now_ns() - started
    actors.shutdown()
    return per_second(count, took)


def call() -> float:
    actors = system()
    ref = actors.createActor(Counter)
    batches: list[float] = []
    for _ in range(amount(40)):
        started = now_ns()
        for _ in range(BATCH):
            actors.ask(ref, GET, WAIT_S)
        batches.append((now_ns() - started) / BATCH)
    actors.shutdown()
    return percentile(batches, 0.5) / 1e3


def fan_out() -> dict[str, float]:
    actors, each = system(), amount(20, at_least=2)
    refs = [actors.createActor(Counter) for _ in range(ACTORS)]
    settle()
    started = now_ns()
    for _ in range(each):
        for ref in refs:
            actors.tell(ref, TICK)
    counted = {actors.ask(ref, GET, WAIT_S) for ref in refs}
    took = now_ns() - started
    expect("handled by each", counted, {each})
    actors.shutdown()
    return {"out": per_second(each * ACTORS, took)}


def ring() -> float:
    actors, hops = system(), amount(20_000)
    refs = [actors.createActor(Node) for _ in range(ACTORS)]
    for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
        actors.ask(ref, (following,), WAIT_S)
    settle()
    started = now_ns()
    expect("came round", actors.ask(refs[0], hops, WAIT_S), "done")
    took = now_ns() - started
    actors.shutdown()
    return per_second(hops, took)


def spawn() -> dict[str, float]:
    actors, count = system(), amount(2_000)
    actors.ask(actors.createActor(Counter), GET, WAIT_S)
    settle()
    before = rss_bytes()
    started = now_ns()
    refs = [actors.createActor(Counter) for _ in range(count)]
    actors.ask(refs[-1], GET, WAIT_S)
    start_us = (now_ns() - started) / count / 1e3
    held = (rss_bytes() - before) / count
    started = now_ns()
    for ref in refs:
        actors.tell(ref, ActorExitRequest())
    stop_us = (now_ns() - started) / count / 1e3
    actors.shutdown()
    return {"start": start_us, "stop": stop_us, "memory": held}
