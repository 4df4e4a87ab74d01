"""Thirty seconds of chance: an actor killed or a connection cut, again and again, with time to recover between.

allstop chaos examples/chaos_storm.py TREE --seed 7
"""

from allstop.supervisors.chaos import Chaos


async def chaos(chaos: Chaos) -> None:
    left_s = 30.0
    while left_s > 0:
        if chaos.dice.draw() < 0.6:
            await chaos.kill_random(spare=("/infrastructure",))
        else:
            await chaos.cut(chaos.choose(["rest", "public", "private"]))
        left_s -= await chaos.wait_until_trading(20.0)
        pause_s = chaos.between(0.5, 3.0)
        await chaos.sleep(pause_s)
        left_s -= pause_s
