"""Which row of a column is best, and which rows a paired test does not separate from it.

Everything here goes by the pairs of input and seed that all competing rows have: a mean over other inputs or
seeds would rank the inputs, not the rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrnn_cli.numerics.statistics import ALPHA, PairedTest, holm, paired_test

Pair = tuple[str, int]  # input and seed: what runs of two models have in common


@dataclass(frozen=True)
class Figure:
    """A figure of a row for one input and seed.

    Attributes:
        value: the figure.
        run: what run it comes from; a result that stands for several seeds has the same one for all of them.
    """

    value: float
    run: int


@dataclass(frozen=True)
class Verdict:
    """What a column says of a row.

    Attributes:
        mark: `best`; `tied` when the test does not separate it from the best; `untested` when there were too
            few pairs for a test; else empty.
        p: of the paired test against the best, corrected for all pairs of rows.
        test: its name.
    """

    mark: str
    p: float | None = None
    test: str | None = None


def rank(
    rows: Mapping[int, Mapping[Pair, Figure]], *, upward: bool, exact: bool = False
) -> dict[int, Verdict]:
    """Judge a column.

    The best row is known only from the figures that are tested, so that p is corrected for all pairs of rows:
    whichever of them turned out best, the claims about it hold together at `ALPHA`.

    Args:
        rows: figures of the rows that may be best; those without any do not compete.
        upward: whether larger is better.
        exact: figures are 0 or 1, see `paired_test`.

    Returns:
        a verdict for each competing row; none with fewer than two, or without a pair that all of them have.
    """
    rows = {k: row for k, row in rows.items() if row}
    common = sorted(set.intersection(*(set(row) for row in rows.values()))) if len(rows) > 1 else []
    if not common:
        return {}
    means = {k: sum(row[pair].value for pair in common) / len(common) for k, row in rows.items()}
    best = max(means, key=lambda k: means[k] if upward else -means[k])
    pairs = list(itertools.combinations(rows, 2))
    tests = {(i, j): _test(rows[i], rows[j], common, exact=exact, tests=len(pairs)) for i, j in pairs}
    known = {pair: test.p for pair, test in tests.items() if test is not None and test.p is not None}
    corrected = dict(zip(known, holm(list(known.values())), strict=True))
    found = {}
    for k in rows:
        pair = (k, best) if (k, best) in tests else (best, k)
        test = tests.get(pair)
        if k == best:
            found[k] = Verdict("best")
        elif means[k] == means[best]:  # infinite ones, too
            found[k] = Verdict("tied", 1.0)
        elif test is None:  # one is exact and the other is not: no noise in that
            found[k] = Verdict("")
        elif pair not in corrected:
            found[k] = Verdict("untested")
        else:
            found[k] = Verdict("tied" if corrected[pair] > ALPHA else "", corrected[pair], test.method)
    return found


def _test(
    one: Mapping[Pair, Figure],
    other: Mapping[Pair, Figure],
    common: Sequence[Pair],
    *,
    exact: bool,
    tests: int,
) -> PairedTest | None:
    """Test two rows, each pair of runs once; None where a figure is infinite."""
    runs = {(one[pair].run, other[pair].run): pair for pair in common}
    a, b = ([row[pair].value for pair in runs.values()] for row in (one, other))
    if not all(map(math.isfinite, [*a, *b])):
        return None
    return paired_test(a, b, exact=exact, tests=tests)
