"""Paired tests, corrections and intervals against scipy, enumeration and closed forms."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.statistics import holm, paired_test, summarise, wilson_interval

figures = st.lists(st.integers(-50, 50), min_size=2, max_size=9)


def sign_flip_by_hand(d: list[float]) -> float:
    sums = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(d))
    ]
    return sum(total >= abs(sum(d)) for total in sums) / len(sums)


@given(figures)
def test_sign_flip_counts_every_choice_of_signs(d: list[int]) -> None:
    found = paired_test(d, [0.0] * len(d), exact=True)
    assert (found.method, found.n) == ("sign-flip", len(d))
    assert found.p == pytest.approx(sign_flip_by_hand(d), abs=1e-12)
    assert found.difference == pytest.approx(np.mean(d))


def test_sign_flip_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.4, 1, 9), rng.normal(0, 1, 9)
    theirs = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert paired_test(list(a), list(b)).p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_sign_flip_of_zeros_and_ones_is_mcnemars_exact_test() -> None:
    a, b = [1, 1, 1, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 1, 0, 0]
    discordant = stats.binomtest(5, 6, 0.5).pvalue
    assert paired_test(a, b, exact=True).p == pytest.approx(discordant, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 19, 40])
def test_few_and_many_pairs_have_students_test(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(30, 1, n), rng.normal(29.5, 1, n)
    found = paired_test(list(a), list(b))
    assert found.method == "t"
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-10)


def test_a_test_that_could_never_separate_gives_way_to_students() -> None:
    one, other = [30.0, 30.1, 30.3, 30.2, 30.4, 30.2], [20.0, 20.2, 20.1, 20.4, 20.3, 20.1]
    assert (paired_test(one, other).method, paired_test(one, other).p) == ("sign-flip", 2 / 64)
    assert paired_test(one, other, tests=3).method == "t"
    assert paired_test(one, other, tests=3, exact=True).method == "sign-flip"


@given(figures)
def test_the_order_of_the_two_does_not_matter(d: list[int]) -> None:
    zeros = [0.0] * len(d)
    one, other = paired_test(d, zeros), paired_test(zeros, d)
    assert one.p == pytest.approx(other.p, abs=1e-12)
    assert one.difference == pytest.approx(-other.difference)


def test_one_pair_and_equal_figures_separate_nothing() -> None:
    assert paired_test([3.0], [1.0]).p is None
    assert paired_test([], []).difference is None
    assert paired_test([1.0, 2.0], [1.0, 2.0]).p == 1.0


@pytest.mark.parametrize(("a", "b"), [([12, 30], [10, 28]), ([12.1, 30.3, 7.7], [10.1, 28.3, 5.7])])
def test_the_same_difference_each_time_counts_as_its_signs(a: list[float], b: list[float]) -> None:
    """Without a deviation Student's test would be certain of two pairs."""
    found = paired_test(a, b)
    assert (found.p, found.method) == (2 / 2 ** len(a), "sign-flip")
    assert found.difference == pytest.approx(2.0)


def test_pairs_must_be_pairs_of_finite_numbers() -> None:
    for a, b in (([1.0], [1.0, 2.0]), ([math.inf, 1.0], [0.0, 1.0])):
        with pytest.raises(ConfigError, match="two lists of finite numbers of one length"):
            paired_test(a, b)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float]) -> None:
    alpha = 0.05
    rejected: set[int] = set()
    for rank, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        if p[k] > alpha / (len(p) - rank):
            break
        rejected.add(k)
    adjusted = holm(p)
    # where rounding decides, either answer is right
    assume(all(abs(x - alpha) > 1e-12 for x in adjusted))
    assert {k for k, x in enumerate(adjusted) if x <= alpha} == rejected
    assert all(x >= y for x, y in zip(adjusted, p, strict=True))


def test_holm_of_a_textbook_case() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize(("k", "n"), [(0, 9), (9, 9), (1, 3), (7, 12), (264, 1000)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_without_data_knows_nothing_and_refuses_nonsense() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ConfigError, match=r"expected 0 … 3 successes, got 4"):
        wilson_interval(4, 3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_summary_is_mean_and_sample_deviation(values: list[float]) -> None:
    found = summarise(values)
    mean = math.fsum(values) / len(values)
    assert found.mean == pytest.approx(mean, rel=1e-9, abs=1e-9)
    squares = math.fsum((x - mean) ** 2 for x in values)
    assert found.std == pytest.approx(math.sqrt(squares / (len(values) - 1)), rel=1e-6, abs=1e-6)


def test_summary_of_nothing_of_one_and_of_an_exact_fit() -> None:
    assert (summarise([]).mean, summarise([]).std) == (None, None)
    assert (summarise([2.0]).mean, summarise([2.0]).std) == (2.0, None)
    assert (summarise([2.0, math.inf]).mean, summarise([2.0, math.inf]).std) == (math.inf, None)
