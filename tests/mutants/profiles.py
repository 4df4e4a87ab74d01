"""Fault profiles for hunting: each is narrow and dense, so that a planted bug meets what it is about in one short run.

They are named like the profiles that come with the product, and registered beside them.
"""

from allstop.supervisors.simulation.faults import Between, OneOf, Param
from allstop.supervisors.simulation.profiles import PROFILES, Profile

ANSWERS, STOPS, DEATHS, STREAMS, CLOCKS, HALTS, BUDGETS, SUBMITS, SEARCHES, SENDS, NONCES, SESSIONS, DESKS, REMEDIES, JOURNALS, FLIPS, LATE_HALTS, TRIALS, PROOFS = (
    "mutants.answers", "mutants.stops", "mutants.deaths", "mutants.streams", "mutants.clocks", "mutants.halts", "mutants.budgets",
    "mutants.submits", "mutants.searches", "mutants.sends", "mutants.nonces",
    "mutants.sessions", "mutants.desks", "mutants.remedies", "mutants.journals", "mutants.flips", "mutants.late_halts", "mutants.trials", "mutants.proofs",
)  # fmt: skip
OFTEN = Between(25.0, 45.0)
LESS = Between(10.0, 16.0)
# Not the lockout: who is told of it leaves the key alone for a quarter of an hour, longer than a run lasts.
PROVES_NOTHING = OneOf(("EGeneral:Internal error", "EService:Timeout"))
SESSION = "/accounts/*/trading/session"
_NO_SESSION: dict[str, Param] = {
    "point": OneOf(("intended",)),
    "after_s": Between(0.0, 0.0),
    "steps": Between(0, 1, whole=True),
}
ONE, THREE = Between(1, 1, whole=True), Between(3, 3, whole=True)

_ALL = (
    Profile(name=ANSWERS, says="answers that are lost, late or wrong", per_minute=OFTEN, share=1.0,
            kinds={"venue.drop_reply": 4.0, "venue.http_520": 2.0, "venue.error": 2.0, "venue.delay": 2.0, "venue.invalid_nonce": 1.0}),
    Profile(name=SUBMITS, says="submits that are answered by errors that prove nothing", per_minute=OFTEN, share=1.0, kinds={"venue.error": 1.0},
            narrow={"venue.error": {"method": OneOf(("add_order",)), "text": PROVES_NOTHING}}),
    Profile(name=SEARCHES, says="submits that come to nothing, and lists that are not given", per_minute=OFTEN, share=1.0,
            kinds={"venue.drop_reply": 1.0, "venue.error": 2.0},
            narrow={"venue.drop_reply": {"method": OneOf(("add_order",)), "executed": OneOf((False,)), "n": ONE},
                    "venue.error": {"method": OneOf(("OpenOrders", "ClosedOrders")), "n": THREE, "text": PROVES_NOTHING}}),
    Profile(name=SENDS, says="a process that dies around what it sends", per_minute=LESS, share=1.0, kinds={"process.kill": 1.0, "process.power_cut": 1.0},
            narrow={kind: {"point": OneOf(("send", "sent", "committed")), "down_s": Between(0.0, 1.0)} for kind in ("process.kill", "process.power_cut")}),
    Profile(name=SESSIONS, says="a session that is lost between a submit and its answer", per_minute=OFTEN, share=1.0,
            kinds={"actor.kill_at_order": 1.0, "link.cut_at_order": 1.0},
            narrow={kind: {"point": OneOf(("ordered",)), "after_s": Between(0.0, 0.0)} for kind in ("actor.kill_at_order", "link.cut_at_order")},
            aim={"actor.kill_at_order": (SESSION,), "link.cut_at_order": ("private",)}),
    Profile(name=DESKS, says="orders that find no session, and go by a REST that does not answer", per_minute=OFTEN, share=1.0,
            kinds={"actor.kill_at_order": 2.0, "venue.drop_reply": 1.0},
            narrow={"actor.kill_at_order": _NO_SESSION, "venue.drop_reply": {"method": OneOf(("AddOrder",)), "executed": OneOf((True,)), "n": ONE}},
            aim={"actor.kill_at_order": (SESSION,)}),
    Profile(name=NONCES, says="submits whose nonce is refused", per_minute=OFTEN, share=1.0, kinds={"venue.invalid_nonce": 1.0},
            narrow={"venue.invalid_nonce": {"method": OneOf(("add_order",))}}),
    Profile(name=STOPS, says="stops that the venue does not make, and remedies that are not answered", per_minute=OFTEN, share=1.0,
            kinds={"venue.refuse_closes": 4.0, "venue.duplicate_execution": 1.0}),
    Profile(name=REMEDIES, says="stops that the venue does not make, and remedies of which nobody knows what became of them", per_minute=OFTEN, share=1.0,
            kinds={"venue.refuse_closes": 1.0, "venue.http_520": 1.0},
            narrow={"venue.refuse_closes": {"n": THREE}, "venue.http_520": {"method": OneOf(("AddOrder",)), "executed": OneOf((False,)), "n": ONE}}),
    Profile(name=JOURNALS, says="journals whose actor dies", per_minute=LESS, share=1.0, kinds={"actor.kill": 1.0}, aim={"actor.kill": ("/accounts/*/store/journal",)}),
    Profile(name=FLIPS, says="rows of the last moments that the disk changes", per_minute=LESS, share=1.0, kinds={"disk.flip": 1.0, "venue.drop_reply": 2.0},
            narrow={"disk.flip": {"where": Between(0.9, 0.9999), "down_s": Between(0.0, 1.0)},
                    "venue.drop_reply": {"method": OneOf(("add_order",)), "executed": OneOf((True,))}}, aim={"disk.flip": ("kraken.main",)}),
    Profile(name=TRIALS, says="sessions that die just once too often for their budget", per_minute=Between(44.0, 54.0), share=1.0,
            kinds={"actor.kill": 1.0}, aim={"actor.kill": (SESSION,)}),
    Profile(name=PROOFS, says="guardians and connections that begin anew, and lists that take long", per_minute=Between(50.0, 80.0), share=1.0,
            kinds={"actor.kill": 1.0, "venue.cut": 1.0, "venue.delay": 3.0},
            narrow={"venue.cut": {"private": OneOf((True,))},
                    "venue.delay": {"method": OneOf(("OpenOrders", "ClosedOrders")), "executed": OneOf((True,)), "s": Between(0.5, 0.9), "n": THREE}},
            aim={"actor.kill": ("/accounts/*/guardian",)}),
    Profile(name=LATE_HALTS, says="a person who halts, and orders that the venue takes late", per_minute=Between(50.0, 80.0), share=1.0,
            kinds={"operator.halt": 1.0, "venue.delay": 4.0},
            narrow={"venue.delay": {"method": OneOf(("add_order",)), "executed": OneOf((False,)), "s": Between(0.2, 0.45)}}),
    Profile(name=DEATHS, says="processes and actors that die", per_minute=LESS, share=1.0,
            kinds={"process.kill": 2.0, "process.power_cut": 2.0, "actor.kill": 2.0, "venue.drop_reply": 1.0}),
    Profile(name=STREAMS, says="streams that lose, repeat and reorder", per_minute=OFTEN, share=1.0,
            kinds={"venue.sequence_gap": 3.0, "venue.duplicate_execution": 2.0, "venue.out_of_order": 1.0, "venue.cut": 2.0}),
    Profile(name=CLOCKS, says="a wall clock that is set back, and processes that die", per_minute=LESS, share=1.0,
            kinds={"clock.step": 3.0, "process.kill": 2.0, "venue.invalid_nonce": 1.0},
            narrow={"clock.step": {"step_s": Between(-2.5, -1.0)}}),
    Profile(name=HALTS, says="a person who halts, and processes that die", per_minute=LESS, share=1.0,
            kinds={"operator.halt": 1.0, "process.kill": 2.0}),
    Profile(name=BUDGETS, says="actors that die faster than their budgets", per_minute=Between(90.0, 140.0), share=1.0,
            kinds={"actor.kill": 2.0, "actor.crash": 2.0}),
)  # fmt: skip

PROFILES.update({profile.name: profile for profile in _ALL})
