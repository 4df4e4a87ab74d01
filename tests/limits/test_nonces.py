from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.limits.nonces import BLOCK, GAP, Nonces, restored

T0 = 1_767_225_600_000_000_000


def drawn(nonces: Nonces, wall_ns: int) -> Nonces:
    """One nonce as the ledger draws it: reserved first where the promise does not cover it."""
    following = nonces.next(wall_ns)
    if not following.covered:
        following = following.reserving(following.wanted(wall_ns))
    return following


def test_a_nonce_is_the_wall_clock_where_that_is_enough():
    assert drawn(Nonces(), T0).last == T0


def test_two_calls_in_one_instant_get_two_nonces():
    first = drawn(Nonces(), T0)
    assert drawn(first, T0).last == T0 + 1


def test_a_nonce_above_the_promise_is_not_covered():
    assert not Nonces(0, 0).next(T0).covered
    assert Nonces(T0, T0 + BLOCK).next(T0 + BLOCK).covered
    assert not Nonces(T0, T0 + BLOCK).next(T0 + BLOCK + 1).covered


def test_the_next_block_is_wanted_before_this_one_is_used_up():
    assert not Nonces(T0, T0 + BLOCK).low
    assert Nonces(T0 + BLOCK // 2 + 1, T0 + BLOCK).low


def test_after_a_restart_in_the_same_instant_with_the_clock_two_seconds_back_the_nonce_is_greater():
    used = drawn(drawn(Nonces(), T0), T0)
    again = drawn(restored(used.reserved), T0 - 2_000_000_000)
    assert again.last > used.last
    assert again.last > used.reserved


def test_ten_restarts_in_a_row_leave_the_nonce_about_a_block_ahead_of_the_clock():
    nonces = drawn(Nonces(), T0)
    for _ in range(10):
        nonces = drawn(restored(nonces.reserved), T0)
    assert nonces.last <= T0 + BLOCK + 10 * (GAP + 1)


def test_a_refused_nonce_makes_it_jump_past_a_gap():
    assert Nonces(T0, T0 + BLOCK).jumped(T0 - 5).next(T0).last == T0 + GAP + 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("draw"), st.integers(-(10**12), 10**11)),
            st.tuples(st.just("restart"), st.integers(-(10**12), 10**11)),
            st.tuples(st.just("jump"), st.integers(-(10**12), 10**11)),
        ),
        max_size=80,
    )
)
def test_nonces_only_rise_whatever_the_clock_and_the_process_do(events: list[tuple[str, int]]):
    nonces, wall_ns, used, on_disk = Nonces(), T0, list[int](), 0
    for event, step_ns in events:
        wall_ns = max(1, wall_ns + step_ns)
        match event:
            case "draw":
                nonces = drawn(nonces, wall_ns)
                on_disk = nonces.reserved
                used.append(nonces.last)
            case "jump":
                nonces = nonces.jumped(wall_ns)
            case _:
                nonces = restored(on_disk)
    assert used == sorted(set(used))
    assert all(nonce < 2**64 for nonce in used)
