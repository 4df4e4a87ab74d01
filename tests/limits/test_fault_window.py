from allstop.actors.limits.fault_window import FaultWindow

WINDOW = FaultWindow(most=3, window_s=60)


def after(*faults_s: float) -> bool:
    window = WINDOW
    for at_s in faults_s:
        window = window.noted(at_s)
    return window.spent


def test_the_third_fault_in_a_minute_is_one_too_many():
    assert [after(0), after(0, 1), after(0, 1, 59)] == [False, False, True]


def test_faults_that_are_a_minute_old_do_not_count():
    assert not after(0, 1, 60.5)
    assert after(0, 30, 61, 89)


def test_it_keeps_no_more_than_it_needs():
    window = WINDOW
    for n in range(100):
        window = window.noted(n / 100)
    assert len(window.faults_s) == 3
