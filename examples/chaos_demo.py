"""What `allstop demo` does to its engine: every kind of injury once, in an order and at moments that the seed draws.

Run it against any tree with `allstop chaos examples/chaos_demo.py TREE`.
"""

from allstop.supervisors.chaos import Chaos

ACCOUNT = "/accounts/kraken.main"
RECOVERED_S = 15.0


async def chaos(chaos: Chaos) -> None:
    await chaos.wait_until_trading(RECOVERED_S)
    injuries = [
        kill_session,
        crash_trading,
        kill_guardian,
        cut_private,
        silent_private,
        lost_answer,
        damaged_book,
        stop_refused,
        random_kill,
    ]
    while injuries:
        injury = chaos.choose(injuries)
        injuries.remove(injury)
        await injury(chaos)
        await chaos.wait_until_trading(RECOVERED_S)
        await chaos.sleep(chaos.between(0.8, 1.6))  # a key gives back one call a second


async def kill_session(chaos: Chaos) -> None:
    await chaos.kill(f"{ACCOUNT}/trading/session")


async def crash_trading(chaos: Chaos) -> None:
    await chaos.crash(f"{ACCOUNT}/trading")


async def kill_guardian(chaos: Chaos) -> None:
    await chaos.kill(f"{ACCOUNT}/guardian")


async def cut_private(chaos: Chaos) -> None:
    await chaos.cut("private")


async def silent_private(chaos: Chaos) -> None:
    """The worst kind of lost connection: it looks open. It is found by its silence."""
    await chaos.half_open("private")
    await chaos.sleep(2.5)
    await chaos.cut("private")
    await chaos.heal("private")


async def lost_answer(chaos: Chaos) -> None:
    """The venue takes an order and the answer never comes: the order must not be sent again."""
    await chaos.drop_reply("add_order")
    await chaos.sleep(0.5)


async def damaged_book(chaos: Chaos) -> None:
    await chaos.corrupt_frame("book")
    await chaos.sleep(0.3)


async def stop_refused(chaos: Chaos) -> None:
    """The venue fills an entry and refuses its stop: the guardian has two seconds."""
    await chaos.fault("refuse_closes", n=1)
    await chaos.sleep(0.5)


async def random_kill(chaos: Chaos) -> None:
    await chaos.kill_random(under=f"{ACCOUNT}/trading")
