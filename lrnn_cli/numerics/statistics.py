"""What a table of runs may claim: mean and spread, paired tests, corrections, intervals of a proportion.

All in float64. NaN and infinities are no data here: callers leave out or report runs without a figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrnn_cli.errors import ConfigError

ALPHA = 0.05  # differences less sure than that are noise
EXACT_UP_TO = 18  # pairs up to which all 2^n sign flips are counted
ROUNDING = 1e-15  # relative to the figures: differences that differ by no more are the same


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation of n values; both None where n does not determine them."""

    n: int
    mean: float | None
    std: float | None


@dataclass(frozen=True)
class PairedTest:
    """Whether paired figures differ by more than chance.

    Attributes:
        p: two-sided p-value; None for fewer than two pairs, which no test can separate.
        method: `sign-flip`, `t` or `none`.
        n: number of pairs.
        difference: mean of a - b.
    """

    p: float | None
    method: str
    n: int
    difference: float | None


def summarise(values: Sequence[float]) -> Summary:
    """Return mean and sample standard deviation, s² = Σ (x - x̄)² / (n - 1).

    Infinite values, as the PSNR of an exact fit, give an infinite mean and no deviation.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        return Summary(0, None, None)
    if not np.isfinite(x).all():
        return Summary(x.size, float(x.mean()), None)
    return Summary(x.size, float(x.mean()), float(x.std(ddof=1)) if x.size > 1 else None)


def paired_test(a: Sequence[float], b: Sequence[float], *, exact: bool = False, tests: int = 1) -> PairedTest:
    """Test the hypothesis that a_i - b_i is as likely as b_i - a_i.

    Up to 18 pairs all 2^n choices of signs of the differences d_i are counted: p is the part of them for
    which |Σ ±d_i| >= |Σ d_i|, with no assumption on the distribution. That is 2 / 2^n at least; where so few
    pairs could never reach p = 0.05 (fewer than 6 for a single test, 7 for up to three, 8 for up to six), and
    where there are too many to count, it is Student's paired t test, which supposes normal differences.
    Differences that are all the same have no deviation to test against: then it is 2 / 2^n whatever n is.

    Args:
        a: n figures, finite.
        b: n figures of the same inputs and seeds, in the same order.
        exact: count signs for few pairs, too, as is right for figures that are 0 or 1.
        tests: how many tests p will be corrected for.

    Returns:
        p-value, method and mean difference.

    Raises:
        ConfigError: when the lengths differ or a figure is not finite.
    """
    d = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64) if len(a) == len(b) else None
    if d is None or not np.isfinite(d).all():
        raise ConfigError(
            f"paired test: expected two lists of finite numbers of one length, got {len(a)} and {len(b)}"
        )
    n = d.size
    if n < 2:
        return PairedTest(None, "none", n, float(d[0]) if n else None)
    mean = float(d.mean())
    sizes = max(np.abs(a).max(), np.abs(b).max())
    if d.any() and np.ptp(d) <= ROUNDING * sizes:
        return PairedTest(2.0 ** (1 - n), "sign-flip", n, mean)
    if n <= EXACT_UP_TO and (exact or tests * 2.0 ** (1 - n) <= ALPHA):
        return PairedTest(_sign_flip(d), "sign-flip", n, mean)
    return PairedTest(_student(d), "t", n, mean)


def _sign_flip(d: np.ndarray) -> float:
    sums = np.zeros(1)
    for each in d:  # all sums of ±d_1 … ±d_k; (2^n,) in the end
        sums = np.concatenate([sums + each, sums - each])
    observed = abs(d.sum())
    rounding = 1e-12 * np.abs(d).sum()  # sums that are equal on paper differ in the last bits
    return float(np.mean(np.abs(sums) >= observed - rounding))


def _student(d: np.ndarray) -> float:
    from scipy.special import stdtr

    if not d.any():
        return 1.0
    spread = float(d.std(ddof=1))
    return float(2 * stdtr(d.size - 1, -abs(d.mean()) * np.sqrt(d.size) / spread))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of m tests for their number (Holm, 1979), as strong as the family-wise error allows.

    With p sorted, adjusted p_(k) = max over j <= k of min(1, (m - j + 1) p_(j)), j from 1.

    Returns:
        the adjusted p-values in the order given.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(value) for value in adjusted]


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson, 1927), which stays within [0, 1].

    With q = k / n and z the normal quantile: (q + z²/2n ± z √(q (1 - q) / n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: k, from 0 to n.
        n: trials; 0 gives [0, 1], all that is known without data.
        confidence: probability that such an interval covers the true proportion, about.

    Returns:
        Lower and upper end.

    Raises:
        ConfigError: when k is not within 0 … n.
    """
    from scipy.special import ndtri

    if not 0 <= successes <= n:
        raise ConfigError(f"wilson interval: expected 0 … {n} successes, got {successes}")
    if n == 0:
        return 0.0, 1.0
    q, z = successes / n, float(ndtri((1 + confidence) / 2))
    middle = q + z**2 / (2 * n)
    half = z * float(np.sqrt(q * (1 - q) / n + z**2 / (4 * n**2)))
    scale = 1 + z**2 / n
    low = 0.0 if successes == 0 else (middle - half) / scale
    return low, 1.0 if successes == n else (middle + half) / scale
