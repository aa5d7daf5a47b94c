"""Six families of d functions on [-1, 1], and what an integral of ReLU of their combinations needs of them.

With R_i^n the indicator of the i-th of n equal cells, H_i^n the hat that is 1 at the i-th of n equidistant
nodes from -1 to 1 and 0 at the others, and B the quadratic B-spline on unit knots, centred at 0, i = 1 ... d:

    rect     R_i^d
    pwl      H_i^d
    pwq      B((s - c_i) d / 2), c_i the centre of cell i of d      continuously differentiable
    fourier  sin(pi s), cos(pi s), sin(2 pi s), ...                 the first d
    rect-w   R_i^{d+1} - R_{i+1}^{d+1}
    pwl-w    m_i H_i^{d+1} - m_{i+1} H_{i+1}^{d+1}                  m = 2 for half hats at the ends, else 1

The last three have integral 0; all families are linearly independent. Combinations of `pwl` and `pwl-w` may
have any value at the ends, so that their roots come and go there and the set where they are positive moves
continuously.

Source: the six kinds are those of Z. Zhang, F. Bao, G. Zhang, Improving the Expressive Power of Deep Neural
Networks through Integral Activation Transform, 2024, section 5.1 with its table of properties. Their formulas
are not printed there; those above are the plainest with these properties.
"""

from functools import lru_cache
from typing import Literal, get_args

import numpy as np

Basis = Literal["rect", "pwl", "pwq", "fourier", "pwl-w", "rect-w"]
BASES: tuple[Basis, ...] = get_args(Basis)
DEGREE: dict[Basis, int] = {"rect": 0, "pwl": 1, "pwq": 2, "fourier": 2, "pwl-w": 1, "rect-w": 0}
"""Degree of the pieces; that of the polynomials that replace them for `fourier`."""

LARGEST_EXACT = 64  # functions up to which `gain` integrates; a power law beyond


def _hats(size: int, s: np.ndarray) -> np.ndarray:
    """Return H_1 ... H_size at s; the constant 1 if there is one node only."""
    if size == 1:
        return np.ones((1, s.size))
    return np.maximum(0.0, 1.0 - np.abs((s + 1.0) * (size - 1) / 2.0 - np.arange(size)[:, None]))


def evaluate(name: Basis, size: int, s: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
    """Evaluate a family.

    Args:
        name: the family.
        size: d, its functions.
        s: places (m,) in [-1, 1].
        inside: places (m,) near them; a function that jumps at s takes the limit from that side.

    Returns:
        the values (d, m).
    """
    if name == "fourier":
        index = np.arange(size)[:, None]
        angle = np.pi * (1 + index // 2) * s
        return np.where(index % 2 == 0, np.sin(angle), np.cos(angle))
    if name == "rect-w":
        cells = evaluate("rect", size + 1, s, inside)
        return cells[:-1] - cells[1:]
    if name == "pwl":
        return _hats(size, s)
    if name == "pwl-w":
        hats = _hats(size + 1, s)
        hats[[0, -1]] *= 2.0
        return hats[:-1] - hats[1:]
    if name == "rect":
        position = ((s if inside is None else inside) + 1.0) * size / 2.0
        return (np.clip(np.floor(position), 0, size - 1) == np.arange(size)[:, None]).astype(float)
    t = np.abs((s + 1.0) * size / 2.0 - 0.5 - np.arange(size)[:, None])
    return np.where(t < 0.5, 0.75 - t**2, 0.5 * np.maximum(0.0, 1.5 - t) ** 2)


def breakpoints(name: Basis, size: int) -> np.ndarray:
    """Return the places in [-1, 1], ends included, between which a family is smooth."""
    cells = {
        "rect": size,
        "pwl": max(1, size - 1),
        "pwq": size,
        "fourier": 1,
        "pwl-w": size,
        "rect-w": size + 1,
    }
    return np.linspace(-1.0, 1.0, cells[name] + 1)


def mesh(families: list[tuple[Basis, int]], inputs: set[Basis], n_uniform: int) -> np.ndarray:
    """Return edges -1 = e_0 < ... < e_K = 1 of cells on which all families are polynomial.

    Families that are not, or that are quadratic where their combinations must be linear, add n_uniform cells
    of equal length.

    Args:
        families: names and sizes.
        inputs: those of them whose combinations must be linear.
        n_uniform: M.
    """
    edges = [breakpoints(name, size) for name, size in families]
    if any(name == "fourier" or (name == "pwq" and name in inputs) for name, _ in families):
        edges.append(np.linspace(-1.0, 1.0, n_uniform + 1))
    every = np.sort(np.concatenate(edges))
    return every[np.concatenate([[True], np.diff(every) > 1e-9])]


def end_values(name: Basis, size: int, edges: np.ndarray) -> np.ndarray:
    """Return the limits of a family at the ends of K cells (d, 2 K): all left ends, then all right ends."""
    middle = 0.5 * (edges[:-1] + edges[1:])
    places = np.concatenate([edges[:-1], edges[1:]])
    return evaluate(name, size, places, np.concatenate([middle, middle]))


def cell_polynomials(name: Basis, size: int, edges: np.ndarray) -> np.ndarray:
    """Return the coefficients of a family in t in [-1, 1] across each cell, times half the cell's length.

    Exact for polynomials of degree up to 2; `fourier` is interpolated at ends and middle.

    Returns:
        ((degree + 1) K, d): all constants, then all linear, then all quadratic terms.
    """
    half, middle = 0.5 * np.diff(edges), 0.5 * (edges[:-1] + edges[1:])
    left, right = np.split(end_values(name, size, edges), 2, axis=1)
    centre = evaluate(name, size, middle)
    terms = [centre, 0.5 * (right - left), 0.5 * (right + left) - centre][: DEGREE[name] + 1]
    return np.concatenate([term * half for term in terms], axis=1).T


@lru_cache(maxsize=256)
def gain(inputs: Basis, outputs: Basis, size: int) -> float:
    """Return the c for which u = c int q(s) max(0, z . p(s)) ds has E|u|^2 = d / 2 for z ~ N(0, I).

    That is what max(0, z) has, and for rect with rect u is max(0, z): c = d / 2. The expectation is a double
    integral of the arc-cosine kernel, k(s, t) = (|p(s)| |p(t)| / 2 pi) (sin a + (pi - a) cos a), a the angle
    of p(s) and p(t), by the midpoint rule; beyond 64 functions c grows as d^(1/2) for each local family. It
    is 1 where u is 0 for every z: a constant against a function of integral 0.
    """
    if size > LARGEST_EXACT:
        power = 0.5 * (inputs != "fourier") + 0.5 * (outputs != "fourier")
        return gain(inputs, outputs, LARGEST_EXACT) * (size / LARGEST_EXACT) ** power
    n = 16 * size * max(1, 8 // size)
    s = (np.arange(n) + 0.5) * 2.0 / n - 1.0
    p, q = evaluate(inputs, size, s), evaluate(outputs, size, s)
    norm = np.sqrt((p**2).sum(0))
    scale = np.outer(norm, norm)
    cosine = np.clip(np.divide(p.T @ p, scale, out=np.zeros_like(scale), where=scale > 0), -1.0, 1.0)
    kernel = scale / (2 * np.pi) * (np.sqrt(1 - cosine**2) + cosine * (np.pi - np.arccos(cosine)))
    energy = float((kernel * (q.T @ q)).sum()) * (2.0 / n) ** 2
    return float(np.sqrt(0.5 * size / energy)) if energy > 1e-12 else 1.0
