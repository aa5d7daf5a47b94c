"""How the views of a scan share out its turn: the weights of a sum over views that stands for an integral.

Angles come from motors and encoders: several turns, float32, jitter. Views that see the same thing to all
intents lie close together, then, and the gaps between them say nothing of how densely the turn is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.01  # of the mean step: views closer than this are one, and share its part
WEDGE = 4.0  # a gap between views this many times the usual one is a missing wedge, not a sparse spot
MOST_WEDGES = 3  # gaps, the widest, that are left out when the usual one is looked for


@dataclass(frozen=True, eq=False)
class ViewShares:
    """A turn as its views divide it, all in radians.

    Attributes:
        shares: of every view, float64 (v,): half the gap to each neighbour, a missing wedge counted as one
            usual gap.
        step: the usual gap.
        turned: how far the views go round, from the end of the widest gap to its beginning, and a step.
        first: the view after the widest gap, where the turn begins; modulo the turn.
    """

    shares: np.ndarray
    step: float
    turned: float
    first: float


def share_turn(angles: np.ndarray, turn: float) -> ViewShares:
    """Share a turn among the views.

    The usual gap is that up to which half of the sampled turn lies in gaps, so that tiny ones, however many,
    do not count.

    Args:
        angles: of the views in radians, (v,), any order.
        turn: after which the views repeat: π for a parallel beam, 2 π for a fan.

    Returns:
        The shares, which add up to the turn where no wedge is missing.
    """
    folded = np.mod(np.asarray(angles, dtype=np.float64), turn)
    order = np.argsort(folded, kind="stable")
    gaps = np.diff(folded[order], append=folded[order[0]] + turn)
    ends = gaps > NEAR * turn / len(folded)  # the last of the views that are one
    ends[-1] |= not ends.any()
    group = np.cumsum(np.concatenate([[0], ends[:-1]])) % ends.sum()
    gaps = np.bincount(group, gaps)
    step, widest = _usual(gaps), int(np.argmax(gaps))
    kept = np.where(gaps > WEDGE * step, step, gaps)
    shares = np.empty_like(folded)
    shares[order] = ((kept + np.roll(kept, 1)) / 2 / np.bincount(group))[group]
    first = folded[order[np.flatnonzero(ends)[widest] + 1 - len(order)]]
    return ViewShares(shares, step, turn - float(gaps[widest]) + step, float(first))


def _usual(gaps: np.ndarray) -> float:
    """The median of the gaps, each counted as often as it is long, the widest left out."""
    some = np.sort(gaps)[: len(gaps) - min(MOST_WEDGES, (len(gaps) - 1) // 2)]
    covered = np.cumsum(some)
    return float(some[np.searchsorted(covered, covered[-1] / 2)])
