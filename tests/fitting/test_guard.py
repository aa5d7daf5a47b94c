"""Planted sequences of losses, and what the guard makes of them."""

import math

import pytest

from lrnn_cli.fitting.guard import BREAK_OUT_STEPS, DEAD_STEPS, NOISE, SMOOTHING, Guard, Verdict  # fmt: skip


def judge(losses, *, variance=1.0, smoothing=0.0, progress=0.5, enabled=True):
    guard = Guard(variance, enabled)
    return [guard.observe(loss, smoothing=smoothing, progress=progress) for loss in losses], guard


def falling(n, start=1.0, factor=0.97):
    return [start * factor**k for k in range(n)]


@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_a_falling_loss_is_fine(smoothing):
    verdicts, guard = judge(falling(400), smoothing=smoothing)
    assert set(verdicts) == {Verdict.FINE}
    assert guard.best_loss == guard.smooth_loss < 1e-4


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite_at_once(value):
    verdicts, guard = judge([1.0, 0.5, value])
    assert verdicts == [Verdict.FINE, Verdict.FINE, Verdict.NOT_FINITE]
    assert guard.smooth_loss == 0.5  # untouched
    assert judge([value], enabled=False)[0] == [Verdict.NOT_FINITE]


@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_breaking_out_is_called_when_it_lasts(smoothing):
    verdicts, _ = judge(falling(50) + [5.0] * 30, smoothing=smoothing)
    assert set(verdicts[: 50 + BREAK_OUT_STEPS - 1]) == {Verdict.FINE}
    assert verdicts.index(Verdict.BROKE_OUT) == 50 + BREAK_OUT_STEPS - 1


def test_a_short_excursion_is_fine():
    excursion = [50.0] * (BREAK_OUT_STEPS - 1)
    losses = falling(50) + [*excursion, 0.3] * 3
    assert set(judge(losses)[0]) == {Verdict.FINE}


def test_noise_of_batches_is_fine():
    losses = [loss * (4.0 if k % 3 == 0 else 0.7) for k, loss in enumerate(falling(300, factor=0.995))]
    assert set(judge(losses, smoothing=SMOOTHING, variance=9.0)[0]) == {Verdict.FINE}


def test_rising_slowly_but_far_is_breaking_out():
    verdicts, _ = judge(falling(100) + falling(200, 0.05, 1.02))
    assert Verdict.BROKE_OUT in verdicts


def test_what_is_as_good_as_exact_does_not_break_out():
    verdicts, _ = judge([1.0, 1e-3, 1e-16] + [2 * NOISE] * 50)
    assert set(verdicts) == {Verdict.FINE}
    verdicts, _ = judge([1.0, 1e-3, 1e-16] + [4 * NOISE] * 50)
    assert Verdict.BROKE_OUT in verdicts


def test_nothing_learned_is_dead_after_a_while():
    verdicts, _ = judge([0.99] * 200)
    assert verdicts.index(Verdict.DEAD) == DEAD_STEPS - 1
    assert set(judge([0.99] * 200, progress=0.05)[0]) == {Verdict.FINE}  # the budget has hardly begun
    assert set(judge([0.8] * 200)[0]) == {Verdict.FINE}  # something was learned
    assert set(judge([0.99] * 200, variance=2.0)[0]) == {Verdict.FINE}


def test_each_fresh_start_is_granted_twice_as_much():
    """So that a network which needs hundreds of steps to begin gets them."""
    guard, n, starts = Guard(1.0), 4000, [0]
    for step in range(n):
        if guard.observe(0.99, smoothing=0.0, progress=step / n) is Verdict.DEAD:
            guard.went_back(math.inf)
            starts.append(step)
    assert starts == pytest.approx([0, 0.1 * n, 0.3 * n, 0.7 * n], abs=3)
    _, short = judge([0.99] * DEAD_STEPS, progress=0.1)
    short.went_back(math.inf)
    calls = [short.observe(0.99, smoothing=0.0, progress=0.4) for _ in range(300)]
    assert calls.index(Verdict.DEAD) == 2 * DEAD_STEPS - 1


def test_a_constant_signal_is_never_dead():
    assert set(judge([1e-9] * 300, variance=0.0)[0]) == {Verdict.FINE}


def test_switched_off_it_sees_only_what_is_not_finite():
    assert set(judge(falling(50) + [5.0] * 300, enabled=False)[0]) == {Verdict.FINE}


def test_the_running_mean():
    _, guard = judge([1.0, 0.0, 0.5], smoothing=0.8)
    assert guard.smooth_loss == pytest.approx(0.8 * 0.8 + 0.2 * 0.5)


def test_after_going_back_it_starts_anew():
    _, guard = judge(falling(50) + [5.0] * 9)
    guard.went_back(0.4)
    assert (guard.smooth_loss, guard.best_loss) == (0.4, 0.4)
    assert (guard.steps_since_start, guard.steps_broken_out) == (0, 0)
    guard.went_back(math.inf)
    assert guard.observe(7.0, smoothing=0.8, progress=1.0) is Verdict.FINE
    assert guard.smooth_loss == 7.0


def test_a_copy_of_the_state_decides_alike():
    losses = falling(40) + [3.0] * 25
    _, guard = judge(losses[:52])
    twin = Guard(**guard.state())
    for loss in losses[52:]:
        assert guard.observe(loss, smoothing=0, progress=0.5) == twin.observe(loss, smoothing=0, progress=0.5)
    assert guard == twin
