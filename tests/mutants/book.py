"""The planted bugs. Each is what an engineer might write on a bad evening, in the place where it would cost money.

A mutant changes one piece of a function, or of several; `profile` names the faults under which it can do harm.

The seven that everybody thinks of first are hunted on `hell`, which comes with the product: resend on timeout, forget a stop,
ack before fsync, count an error as absent, restart without budget, clear a halt on restart, drop a control message.

No part of the book, and why:

Equivalent here: something else keeps the same promise, in the same time.
    a stop that executed is not written down     `orders` writes it, too, from the stream; without both it is caught (in the book)
    an exit restores no stop                     what it leaves bare wakes the guardian's own look, which places the same stop within
                                                 cover_s (17 seeds of stop-protection)
    the guardian believes a stop that is gone    at a venue that keeps its lists none is gone: what is not open is closed, or known by
                                                 name; the same reading asks for all three (tests/cover)
    the gate believes the dead                   who lives off the dead takes its own proof back at once, and a successor begins with a
                                                 no: what is left is the first 50 ms of a backoff (7 seeds of connection, 60 of
                                                 process-journal; tests/orders/test_order_gate.py has the rule)
    the reconciler tells nobody                  the snapshot, and the trackers' own questions, say the same (a guess, after 5 seeds of
                                                 connection)
    stale data is data                           an entry that passes for stale is refused by the trader itself, which looks at its book

Out of reach here.
    a cut desk has sent nothing                  (`_ask_desk` at its own time-out.) Takes a submit by REST, which goes only in the
                                                 milliseconds between the end of a session and its gate's knowing, that waits for its
                                                 turn for longer than 0.2 s, is written before 0.5 s are over, and is answered 0.4 s
                                                 later: 80 seeds of kills at orders and slow lists had 8 such submits in three
                                                 seeds, and none that waited. The desk's own time-out, and its lost link, are in the book
    egress does not look at the level            takes an order that is committed as a level falls, and is written up to 4 ms later; an
                                                 entry that arrives so soon after a halt counts as on its way (14 seeds of halts)
    an attempt that was lost never was           takes the flip of one row, of an order that is in doubt at that moment, and that the
                                                 venue has taken (about 25 seeds of mutants.flips; the salvage's own tests have the rule)
    the guardian proves before it has read       its two lists are read within 40 ms of its start, or, where they take long, entries
                                                 are mostly refused for another reason (30 seeds of mutants.proofs, in two forms)
    a cancel that nobody answered is done        the stream says what became of the order, and so does the next list (a guess, after 14
                                                 seeds of cancel-amend)
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.mutants.planting import planted
from tests.mutants.profiles import (
    ANSWERS,
    BUDGETS,
    CLOCKS,
    DEATHS,
    DESKS,
    FLIPS,
    HALTS,
    JOURNALS,
    LATE_HALTS,
    NONCES,
    PROOFS,
    REMEDIES,
    SENDS,
    SESSIONS,
    STOPS,
    STREAMS,
    SUBMITS,
    TRIALS,
)
from tests.mutants.tree import PLAIN

from allstop.actors import (
    connection,
    cover_orders,
    cover_round,
    guardian,
    journal,
    kraken_desk,
    ledger,
    levels,
    order_admission,
    order_commits,
    order_gate,
    order_hand,
    order_reports,
    order_tracker,
    orders,
    reconciler,
    session,
    session_jobs,
    subscription,
)
from allstop.actors.limits import nonces, order_ages, promised
from allstop.actors.limits.meter import Meter
from allstop.actors.links import chain
from allstop.actors.protocols import clearance, cover, halting, lookup, order_life, positions
from allstop.actors.protocols.kraken import book, faults, frames
from allstop.actors.runtime import lanes
from allstop.supervisors import degrade, halt, intensity, strategy

BAD_DAY, HELL, CONNECTION, PROTECTION = "bad-day", "hell", "connection", "stop-protection"


@dataclass(frozen=True)
class Mutant:
    """One planted bug: in `place`, `old` becomes `new`; `also` are further such changes, for a bug that takes two.
    `tree` names the one of tree.py in which it does harm."""

    name: str
    place: Any
    old: str
    new: str
    profile: str = BAD_DAY
    also: tuple[tuple[Any, str, str], ...] = ()
    tree: str = PLAIN

    @contextmanager
    def planted(self) -> Generator[None]:
        with ExitStack() as stack:
            for place, old, new in ((self.place, self.old, self.new), *self.also):
                stack.enter_context(planted(place, old, new))
            yield


MUTANTS: tuple[Mutant, ...] = (
    # -- the order path
    Mutant("resend on timeout", order_life.answer_event, "case Unknown():\n            return Event.LOST", "case Unknown():\n            return Event.NO_AGAIN", HELL),
    Mutant("send again what a killed tracker had sent", order_tracker.OrderTracker.on_continue,
           'restarted = Unknown(reason="the tracker ended before the answer came")', 'restarted = NotSent(reason="the tracker ended before the answer came")', DEATHS),
    Mutant("an answer that proves nothing counts as a no", faults.outcome_of, "doubtful = [", "return Rejected(errors[0])\n    doubtful = [", SUBMITS,
           also=((order_life._no_event, "return Event.LOST", "return Event.NO_AGAIN"),)),
    Mutant("count an error as absent", order_hand.Hand._search, "why = str(error) or type(error).__name__\n        return Search(started_s=started_s, ended_s=self._clock.now_s(), error=why)",
           "return Search(started_s=started_s, ended_s=self._clock.now_s())", HELL),
    Mutant("absent before the deadline", lookup.Lookup.proof_from_s, "self.lost_at_s if self.check else self.lost_at_s + self.timing.quiet_s", "self.lost_at_s", SUBMITS),
    Mutant("one empty search is enough", lookup.Lookup.searched, "len(after.empties) >= 2", "len(after.empties) >= 1", ANSWERS),
    Mutant("search the open orders alone", order_hand.Hand._search, "[*await desk.open_orders(), *await desk.closed_orders(job.since_ns)]", "[*await desk.open_orders()]", ANSWERS),
    Mutant("a refused nonce is sent again unsearched", order_life._no_event, "return Event.NO_CHECK", "return Event.NO_AGAIN", NONCES),
    Mutant("leave the client id out", frames.add_order, '{"cl_ord_id": intent.id, "deadline": deadline, "token": token}', '{"deadline": deadline, "token": token}', "none"),
    Mutant("an order is canceled when it is filled", order_life.evidence_of, 'return f"{source}: the venue tells {report.order_id} {report.status}{done} at {report.ts_ns} ns"', 'return ""', "none"),
    Mutant("an order is promised before it is committed", order_commits.OrderCommits._commit_arrived,
           "await append(self._journal, [arrived.record for arrived in batch])", "await append(self._journal, [arrived.record for arrived in batch], durable=False)", "none"),
    Mutant("intents with trackers are forgotten at a restart", orders.Orders.on_start, "if known.needs_tracker]", "if known.needs_tracker and False]", SENDS),
    Mutant("an order is sent twice", session.Session._write, "await self.send(frame)", "await self.send(frame); await self.send(frame)", "none"),
    Mutant("a filled order ends as canceled", order_life.plan, "state=cell.state, evidence=after.evidence", "state=State.CANCELED, evidence=after.evidence", "none"),
    Mutant("a lost session has sent nothing", order_hand.Hand._ask_session, 'return Unknown(reason=f"the session gave no answer: {type(error).__name__}: {error}")',
           'return NotSent(reason=f"the session gave no answer: {type(error).__name__}: {error}")', SESSIONS),
    Mutant("a session that ends has written nothing", session_jobs.Jobs.end, 'job.answer(Unknown(f"the session ended after the write: {why}"))',
           'job.answer(NotSent(f"the session ended after the write: {why}"))', SESSIONS),
    Mutant("a desk that hears nothing has sent nothing", kraken_desk.KrakenDesk._write, "return Unknown(str(error))", "return NotSent(str(error))", DESKS),
    Mutant("the venue's word is not written down", order_life.plan, "    return Step(life=after, records=records, acts=cell.acts)", "    return Step(life=after, records=records[1:] if isinstance(record, Reported) else records, acts=cell.acts)", "none"),
    Mutant("every nonce is the same", nonces.Nonces.next, "Nonces(max(wall_ns, self.last + 1), self.reserved)", "Nonces(self.reserved, self.reserved)", "none"),
    Mutant("an order waits for no commit", order_commits.OrderCommits.work, "await self._commit_arrived()", "batch = list(self._arrived); self._arrived.clear(); await self._committed(batch)", "none"),
    # -- the journal
    Mutant("ack before fsync", journal.JournalActor._commit, "await store.append(entries, durable=durable)", "await store.append(entries, durable=False)", HELL),
    Mutant("rows of one commit do not follow one another", chain.linked, "before = after", "pass", "none"),
    # -- cover
    Mutant("forget a stop", cover_round.CoverRound.steps, "return stand", "return {}", HELL),
    Mutant("orders go without their stop", frames.add_order, "if intent.stop is not None:", "if intent.stop is not None and intent.order_type is None:", STOPS),
    Mutant("a fill counts as often as it is told", positions._Order.filled, "if fill.exec_id not in self.fills:", "if True:", STREAMS),
    Mutant("a sale is booked as a purchase", positions.Position.moved, "signed = qty if side is Side.BUY else -qty", "signed = qty", "none"),
    Mutant("nobody writes down a stop that executed", guardian.Guardian._look, "await self._notes.write(self._audit.executed)", "pass", PROTECTION,
           also=((order_reports.OrderReports.told, "self._commits.record(StopSeen(intent_id=intent_id, report=news))", "pass"),)),
    Mutant("each stop covers twice its size", cover.assess, "missing = max(ZERO, size - cover - exits)", "missing = max(ZERO, size - 2 * cover - exits)", STOPS),
    Mutant("what reduces a position is what makes it larger", positions.Position.reducing, "Side.SELL if self.net > 0 else Side.BUY", "Side.SELL if self.net < 0 else Side.BUY", "none"),
    Mutant("the guardian begins with an empty memory", guardian.Guardian.on_start, "self._memory.fold(await self._journal.rows())", "self._memory.fold([])", DEATHS),
    Mutant("a lost stop is placed again at once", cover_orders.CoverOrders._attempt, "pending = self._pending[pair] = PendingWrite(pair, step, intent.id)", "pending = PendingWrite(pair, step, intent.id)", REMEDIES),
    # -- the gate
    Mutant("a proof that does not hold is one", order_gate.Evidence.missing, "if not (p := self.proofs.get(name)) or not p.holds)", "if not self.proofs.get(name))", CONNECTION),
    Mutant("nobody checks what is admitted", order_admission.Admission.refusal, "return self._inadmissible(intent.kind, origin, intent.pair)", "return None", "none"),
    Mutant("a gap in the sequence is nothing", subscription.PrivateStream._count, "if arrival.verdict in (Verdict.GAP, Verdict.REPEAT):", "if False:", CONNECTION),
    Mutant("a book's checksum is not looked at", book.Book.agrees, "change.checksum == self.checksum()", "True", CONNECTION),
    # -- reconnecting and reconciling
    Mutant("connect again at once, without a permit", connection.Connection._permit, "return await self._hosts.call(", "return 0.0\n        return await self._hosts.call(", "none"),
    # -- halting
    Mutant("a halt cancels stops, too", halting.to_cancel, 'and not is_protective(order, reducing.get(order.pair or ""))', "", HALTS),
    Mutant("a halt is proven by being asked for", halting.next_halt_step, "doomed = to_cancel(listed, reducing)", "doomed = ()", "none"),
    Mutant("clear a halt on restart", halt.HaltRoot.on_start, "if found.latched:",
           "if found.latched:\n        self._latch.lift(self.path, 'a new start', self.clock.wall_ns())\n        found = self._latch.read()\n    if found.latched:", HELL),
    Mutant("a new process does not look for a halt", halt.HaltRoot.on_start, "if found.latched:", "if found.latched and False:", HALTS,
           also=((halt.HaltRoot._look, "if found.latched and self._halt is None:", "if False:"),)),
    Mutant("drop the command to halt", halt.HaltRoot.on_receive, "self._halt_for(by, reason)", "pass", "none"),
    Mutant("a halt lets entries through", levels.permits, "level is Level.NONE\n", "level is Level.NONE or level is Level.HALTED\n", "none"),
    Mutant("a halt is latched and lowers nothing", halt.HaltRoot._enter, "self._ballot.lower(", "(lambda _: None)(", "none"),
    Mutant("a branch that gave up halts nothing", halt.HaltRoot._judge, 'self._halt_for(self.child_path(child_id), f"{self.child_path(child_id)} ended: {exit_}")', "pass", BUDGETS,
           also=((halt.HaltRoot.latch, "self._halt_for(self.child_path(offender), str(error))", "pass"),)),
    # -- supervisors
    Mutant("restart without budget", intensity.Intensity.exceeded, "return len(self._attempts) > self.max_restarts", "return False", HELL),
    Mutant("what failed stays down", strategy.wants_restart, "match restart:", "return False\n    match restart:", BUDGETS),
    Mutant("drop a control message", lanes.post, "if cell.control is None:", "if isinstance(message, m.Down):\n        return\n    if cell.control is None:", HELL,
           also=((lanes.notify, "cell.scheduler.ready.append((cell, down))", "pass"),)),
    # -- egress, gates
    Mutant("egress lets everything through", clearance.Clearances.refusal, "if frame.attempt not in intent.clear:", "if False:", "none",
           also=((order_tracker.OrderTracker._send, "self._hand.give(SubmitJob(", "self._hand.give(SubmitJob(self._life.intent, attempt, channel)); self._hand.give(SubmitJob("),)),
    # -- ledgers and limits
    Mutant("nonces begin anew", nonces.Nonces.next, "Nonces(max(wall_ns, self.last + 1), self.reserved)", "Nonces(wall_ns, self.reserved)", CLOCKS),
    Mutant("a nonce is forgotten at a restart", ledger.AccountLedger._key, "nonce_rules.restored(self._nonce_rows.get(name, 0))", "nonce_rules.restored(0)", CLOCKS),
    Mutant("calls cost nothing", Meter.taken, "self._at(self.level_at(now_s) + cost, now_s)", "self._at(self.level_at(now_s), now_s)", STOPS),
    Mutant("the venue may take ten times as long as we wait", session.Session._frame, "int(deadline_s * 1e9)", "int(deadline_s * 1e10)", ANSWERS),
    Mutant("an order's age is counted in milliseconds", order_ages.OrderAges.costs, "else now_s - born_s", "else 1000 * (now_s - born_s)", tree="dense"),
    Mutant("a counter decays ten times as fast", Meter.level_at, "self.decay_per_s * max(", "10 * self.decay_per_s * max(", STOPS),
    # -- a journal that was set aside, breakers, proofs that begin anew
    Mutant("the guardian follows no next journal", guardian.Guardian.on_receive, "if not ended.fatal:", "if False:", JOURNALS),
    Mutant("nobody has to look at a journal that was set aside", journal.JournalActor._vote, "if self._votes is not None:", "if False:", FLIPS),
    Mutant("a breaker opens for no time", degrade.Breaker.opened, "until_s = now_s + self.pause.cooldown_s * 2.0", "until_s = now_s + 0.001 * 2.0", TRIALS),
    Mutant("a trial is over after one probe", degrade.Breaker.probed, "successes >= self.pause.probes", "successes >= 1", TRIALS),
    Mutant("a budget forgets in a tenth of its time", intensity.Intensity._forget, "> self.max_seconds", "> self.max_seconds / 10", BUDGETS),
    Mutant("the reconciler proves before it has read", reconciler.Reconciler._reconcile, "self._rounds += 1", "self._rounds += 1; self._prove(holds=True)", PROOFS),
    Mutant("a counter begins empty after a restart", promised.restored, "max(promised - meter.decay_per_s * max(0.0, age_s), standing)", "0.0", DEATHS, tree="dense"),
    Mutant("a halt of the engine's own is not written down", halt.HaltRoot._enter, "self._write()", "pass", "none"),
    Mutant("a halt is proven while orders may still arrive", halting.next_halt_step, "if read_at_s < quiet_from_s:", "if False:", LATE_HALTS),
    # -- what is told once
    Mutant("what a snapshot tells is dropped", subscription.PrivateStream._executions, "self._publish(Reports(reports=event.reports, snapshot=event.snapshot))",
           "event.snapshot or self._publish(Reports(reports=event.reports, snapshot=event.snapshot))", STREAMS),
    # -- secrets, leftovers
    Mutant("the token is logged", session.Session._frame, "deadline = rfc3339(", "self.log.info('sends', frame=f'{command} {self._token}'); deadline = rfc3339(", "none"),
    Mutant("a connection's reader goes on", session.Session._write, "await self.send(frame)", "await self.send(frame); self.__dict__.setdefault('_kept', []).append(__import__('asyncio').get_running_loop().create_task(__import__('asyncio').sleep(1e6)))", "none"),
)  # fmt: skip
