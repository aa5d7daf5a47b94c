"""Small functions on [-1, 1]^d on which architectures are judged, each with formula, source, irregular set.

`named_target` makes one of those in `NAMED`, `expression_target` one from what a user wrote.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.expression import Expression, compile_expression

Values = Callable[[np.ndarray], np.ndarray]
LARGEST_DIM = 64
CHUNK = 2**16  # points of an expression evaluated at a time
LABEL_MESH = 50  # labels per axis
LINE_NORMAL = (math.cos(math.pi / 6), math.sin(math.pi / 6))
LINE_OFFSET = 0.1
RING_RADIUS = 0.5
LOG_CUSP_AT = 0.3  # on every axis
TONES = (13.0, 17.0)  # cycles over the interval
CHIRP = (2.0, 40.0)  # cycles over the interval, at its start and its end

IAT = "Zhang, Bao and Zhang, Improving the Expressive Power of DNNs through Integral Activation Transform"
MULTIPLICATIVE = "kind of targets of Choi and Han, A Multiplicative Neural Network Architecture, 2026"
MADE = "made for this program"


@dataclass(frozen=True)
class Target:
    """A function on [-1, 1]^d.

    Attributes:
        name: what the user calls it.
        formula: in words of mathematics, with its constants.
        source: where it comes from.
        n_inputs: d.
        values: points (n, d) → values (n,), both float64.
        mesh: samples per axis unless the user gives others; None for scattered points.
        order: s of the Zygmund seminorm that fits its regularity; its own seminorm of that order is finite.
        irregular: what the set is where regularity fails; None where there is none.
        distance: points (n, d) → distance to that set (n,).
        near: distance up to which a point counts as near.
        labels: whether the values are classes ±1 known on the mesh alone.
    """

    name: str
    formula: str
    source: str
    n_inputs: int
    values: Values
    mesh: int | None
    order: float = 1.0
    irregular: str | None = None
    distance: Values | None = None
    near: float = 0.0
    labels: bool = False


@dataclass(frozen=True)
class Choices:
    """The constants of named targets; None where the target's own is meant."""

    dim: int | None = None
    epsilon: float | None = None
    alpha: float | None = None
    order: int | None = None
    k: float | None = None
    seed: int = 0


def _high_frequency(c: Choices) -> Target:
    k = 4.0 if c.k is None else c.k

    def values(x: np.ndarray) -> np.ndarray:
        return 0.5 * (
            np.sin(k * math.pi * x[:, 0]) + np.sin(k * math.pi * x[:, 1]) * np.cos(math.pi * x[:, 0])
        )

    return Target(
        "high-frequency",
        f"(sin({k:g}πx) + cos(πx) sin({k:g}πy)) / 2",
        f"task of {IAT}; the text shows its function in a figure, without formula: this one is ours",
        2,
        values,
        50,
    )


def _random_labels(c: Choices) -> Target:
    labels = np.random.default_rng(c.seed).integers(0, 2, (LABEL_MESH, LABEL_MESH)) * 2.0 - 1.0

    def values(x: np.ndarray) -> np.ndarray:
        cells = np.clip(((x + 1) * (LABEL_MESH / 2)).astype(int), 0, LABEL_MESH - 1)
        return labels[cells[:, 0], cells[:, 1]]

    formula = f"±1 with equal chance on each of {LABEL_MESH} × {LABEL_MESH} cells, seed {c.seed}"
    return Target("random-labels", formula, IAT, 2, values, LABEL_MESH, labels=True)


def _layer(name: str, formula: str, irregular: str, signed: Values, c: Choices) -> Target:
    """Return tanh(s(x) / epsilon) with s the signed distance to a curve."""
    epsilon = 0.05 if c.epsilon is None else c.epsilon
    return Target(
        name,
        f"{formula}, ε = {epsilon:g}",
        MULTIPLICATIVE,
        2,
        lambda x: np.tanh(signed(x) / epsilon),
        100,
        irregular=irregular,
        distance=lambda x: np.abs(signed(x)),
        near=2 * epsilon,
    )


def _sharp_ring(c: Choices) -> Target:
    return _layer(
        "sharp-ring",
        f"tanh((|x| - {RING_RADIUS:g}) / ε)",
        f"the circle |x| = {RING_RADIUS:g}",
        lambda x: np.linalg.norm(x, axis=1) - RING_RADIUS,
        c,
    )


def _sharp_line(c: Choices) -> Target:
    return _layer(
        "sharp-line",
        f"tanh((x cos 30° + y sin 30° - {LINE_OFFSET:g}) / ε)",
        f"the line x cos 30° + y sin 30° = {LINE_OFFSET:g}",
        lambda x: x @ np.array(LINE_NORMAL) - LINE_OFFSET,
        c,
    )


def _radius(centre: float) -> Values:
    return lambda x: np.linalg.norm(x - centre, axis=1)


def _cusp(c: Choices) -> Target:
    alpha, d, radius = 0.5 if c.alpha is None else c.alpha, c.dim or 1, _radius(0.0)
    return Target(
        "cusp", f"|x|^{alpha:g}", MULTIPLICATIVE, d, lambda x: radius(x) ** alpha, _fine_mesh(d),
        order=min(alpha, 2.0), irregular="the point 0", distance=radius, near=0.1,
    )  # fmt: skip


def _cusp_log(c: Choices) -> Target:
    alpha, d, radius = 1.0 if c.alpha is None else c.alpha, c.dim or 1, _radius(LOG_CUSP_AT)

    def values(x: np.ndarray) -> np.ndarray:
        r = radius(x)
        return np.where(r > 0, r**alpha * np.log(np.where(r > 0, r, 1.0)), 0.0)

    formula = f"|x - x0|^{alpha:g} log|x - x0|, x0 = {LOG_CUSP_AT:g} on every axis"
    # of order α it is infinite: the second difference at x0 is 2 h^α log h; of order α/2 the largest quotient
    # is at h = exp(-2/α), which no mesh misses
    return Target(
        "cusp-log", formula, MULTIPLICATIVE, d, values, _fine_mesh(d),
        order=min(alpha / 2, 2.0), irregular="the point x0", distance=radius, near=0.1,
    )  # fmt: skip


def _fine_mesh(d: int) -> int:
    return {1: 1000, 2: 100}.get(d, 24)


def _anova(c: Choices) -> Target:
    """Return Σ_{p=1..m} (m T_p)^(-1/2) Σ_{i=1..T_p} Π_{q=0..p-1} √2 sin(π x_{i+q} + i + q), T_p = d - p + 1.

    All products have mean 0, variance 1 and are orthogonal under the uniform distribution: each order of
    interaction holds 1/m of the variance, which is 1.

    Raises:
        ConfigError: when m is not in 1 … d.
    """
    d, m = c.dim or 8, 2 if c.order is None else c.order
    if not 1 <= m <= d:
        raise ConfigError(f"--order {m}: anova in {d} dimensions has interactions of order 1 … {d}")

    def values(x: np.ndarray) -> np.ndarray:
        waves = math.sqrt(2) * np.sin(math.pi * x + np.arange(1, d + 1))
        total = np.zeros(len(x))
        for p in range(1, m + 1):
            windows = np.lib.stride_tricks.sliding_window_view(waves, p, axis=1)  # (n, T_p, p)
            total += windows.prod(2).sum(1) / math.sqrt(m * (d - p + 1))
        return total

    formula = (
        f"sums over neighbouring variables of products of 1 … {m} sines √2 sin(πx_i + i), d = {d}, variance 1"
    )
    return Target("anova", formula, MADE, d, values, None)


def _chirp(c: Choices) -> Target:
    first, last = CHIRP

    def values(x: np.ndarray) -> np.ndarray:
        t = (x[:, 0] + 1) / 2
        return np.sin(2 * math.pi * (first * t + (last - first) * t * t / 2))

    formula = (
        f"sin 2π({first:g}t + {(last - first) / 2:g}t²), t = (x + 1)/2: {first:g} to {last:g} cycles per unit"
    )
    return Target("chirp", formula, MADE, 1, values, 1000)


def _intermodulation(c: Choices) -> Target:
    def values(x: np.ndarray) -> np.ndarray:
        t = (x[:, 0] + 1) / 2
        u = sum(np.cos(2 * math.pi * tone * t) for tone in TONES) / 2
        return np.asarray(u + u**2 / 2 + u**3 / 4)

    tones = " + ".join(f"cos {2 * tone:g}πt" for tone in TONES)
    formula = f"u + u²/2 + u³/4, u = ({tones})/2, t = (x + 1)/2: two tones, their sums and differences"
    return Target("intermodulation", formula, MADE, 1, values, 1000)


# name → maker, the options of its own, and the dimensions that it is defined in
NAMED: dict[str, tuple[Callable[[Choices], Target], frozenset[str], tuple[int, int]]] = {
    "high-frequency": (_high_frequency, frozenset({"k"}), (2, 2)),
    "random-labels": (_random_labels, frozenset(), (2, 2)),
    "sharp-ring": (_sharp_ring, frozenset({"epsilon"}), (2, 2)),
    "sharp-line": (_sharp_line, frozenset({"epsilon"}), (2, 2)),
    "cusp": (_cusp, frozenset({"alpha"}), (1, 3)),
    "cusp-log": (_cusp_log, frozenset({"alpha"}), (1, 3)),
    "anova": (_anova, frozenset({"order"}), (2, LARGEST_DIM)),
    "chirp": (_chirp, frozenset(), (1, 1)),
    "intermodulation": (_intermodulation, frozenset(), (1, 1)),
}
OWN_OPTIONS = ("epsilon", "alpha", "order", "k")


def named_target(name: str, choices: Choices) -> Target:
    """Return a target by name.

    Args:
        name: a key of `NAMED`.
        choices: its constants.

    Returns:
        The target.

    Raises:
        ConfigError: when the name is unknown, the target has no such constant, or not in this dimension.
    """
    if name not in NAMED:
        near = difflib.get_close_matches(name, NAMED, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"--target: unknown {name!r}; {hint}known: {', '.join(NAMED)}")
    make, takes, (low, high) = NAMED[name]
    for option in OWN_OPTIONS:
        if getattr(choices, option) is not None and option not in takes:
            owners = ", ".join(key for key, (_, own, _) in NAMED.items() if option in own)
            raise ConfigError(f"--{option} means nothing for {name}; it belongs to {owners}")
    if choices.dim is not None and not low <= choices.dim <= high:
        allowed = f"{low}" if low == high else f"{low} … {high}"
        raise ConfigError(f"--dim {choices.dim}: {name} is defined in {allowed} dimensions")
    return make(choices)


def expression_target(text: str, dim: int | None) -> Target:
    """Return a target from an expression in x, y, z or x1 … xd (see `numerics.expression`).

    Args:
        text: what the user wrote.
        dim: d; None for the least of 1, 2, 3 that has all names used.

    Returns:
        The target.

    Raises:
        ConfigError: when the dimension is out of range, or the expression cannot be read.
    """
    if dim is not None and not 1 <= dim <= LARGEST_DIM:
        raise ConfigError(f"--dim {dim}: expected 1 … {LARGEST_DIM}")
    found = _compile(text, [dim] if dim is not None else [1, 2, 3])
    d = found.n_inputs

    def values(x: np.ndarray) -> np.ndarray:
        parts = [found(torch.from_numpy(part)).numpy() for part in np.array_split(x, -(-len(x) // CHUNK))]
        return np.concatenate(parts)

    mesh = {1: 1000, 2: 100, 3: 24}.get(d)
    return Target("expression", text, "given by the user", d, values, mesh)


def _compile(text: str, dims: list[int]) -> Expression:
    """Read an expression in the first of the dimensions that has all names used."""
    *lower, last = dims
    for d in lower:
        with contextlib.suppress(ConfigError):
            return compile_expression(text, d)
    return compile_expression(text, last)
