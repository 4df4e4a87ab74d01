"""The plan of a story is a function of its seed."""

from tests.kill.plan import DELAY_MAX_S, Moment, Trouble, plan_kills


def test_a_seed_gives_the_same_kills_and_a_longer_story_begins_as_the_shorter_one() -> None:
    assert plan_kills(7, 20)[:8] == plan_kills(7, 8)
    assert plan_kills(7, 20) != plan_kills(8, 20)


def test_every_moment_and_every_trouble_comes_up() -> None:
    kills = [kill for seed in range(20) for kill in plan_kills(seed, 10)]
    assert {kill.moment for kill in kills} == set(Moment)
    assert {kill.trouble for kill in kills} == set(Trouble)
    assert any(kill.falls for kill in kills)


def test_delays_lie_within_what_a_moment_lasts() -> None:
    for kill in (kill for seed in range(20) for kill in plan_kills(seed, 10)):
        assert 0.0 <= kill.delay_s <= DELAY_MAX_S[kill.moment]
        assert kill.moment is not Moment.SPAWNED or kill.delay_s >= 0.3
