"""Problems with a name: benchmarks of the literature and manufactured ones, each with its source."""

import difflib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.polygons import L_SHAPE

MANUFACTURED = "manufactured for this program"
MITCHELL = "W. F. Mitchell, A collection of 2D elliptic problems, Appl. Math. Comput. 220, 2013"


def _cube(dim: int) -> dict[str, Any]:
    return {"kind": "box", "lower": [0.0] * dim, "upper": [1.0] * dim}


def _names(dim: int) -> list[str]:
    return list("xyz"[:dim]) if dim <= 3 else [f"x{i + 1}" for i in range(dim)]


def _high_frequency(k: float, dim: int) -> dict[str, Any]:
    exact = " * ".join(f"sin(k*pi*{x})" for x in _names(dim))
    return {
        "domain": _cube(dim),
        "exact": exact,
        "parameters": {"k": k},
        "source": "benchmark of Maharaj and Nair, ICLR 2026; one product of sines, kind to product networks",
    }


def _multi_scale(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": _cube(2),
        "exact": "16*x*(1-x)*y*(1-y) * (cos(2*x*y + y) + 0.1*sin(20*x*y + 12*x - 9*y))",
        "source": f"{MANUFACTURED}: two scales, and no sum of few products",
    }


def _non_separable(k: float, dim: int) -> dict[str, Any]:
    exact = "16*x*(1-x)*y*(1-y) * sin(20*x*y + 6*x - 3*y)"
    return {"domain": _cube(2), "exact": exact, "source": f"{MANUFACTURED}: no sum of few products"}


def _two_modes(k: float, dim: int) -> dict[str, Any]:
    exact = "sin(pi*x)*sin(pi*y) + 0.1*sin(k*pi*x)*sin(k*pi*y)"
    return {
        "domain": _cube(2),
        "exact": exact,
        "parameters": {"k": k},
        "source": "after the multi-scale example of Wang, Wang and Perdikaris, CMAME 384, 2021",
    }


def _peak(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": _cube(2),
        "exact": "exp(-1000*((x - 0.5)^2 + (y - 0.5)^2))",
        "source": MITCHELL,
    }


def _l_shape(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": {"kind": "polygon", "vertices": [list(v) for v in L_SHAPE]},
        "exact": "r^(2/3) * sin(2*theta/3)",
        "f": "0",
        "boundary": {"all": {"dirichlet": "exact"}},
        "source": MITCHELL,
    }


def _disc(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": {"kind": "disc", "centre": [0.0, 0.0], "radius": 1.0},
        "exact": "(1 - x^2 - y^2) * sin(5*x*y + 3*x - 2*y)",
        "source": f"{MANUFACTURED}: no sum of few products",
    }


def _anova(k: float, dim: int) -> dict[str, Any]:
    names = _names(dim)
    pairs = " + ".join(f"{a}*{b}" for a, b in pairwise(names))
    waves = " + ".join(f"cos(pi*{x})" for x in names)
    return {
        "domain": _cube(dim),
        "exact": f"{pairs} + {waves}",
        "source": "terms of one and two variables, after E and Yu, The deep Ritz method, 2018",
    }


def _variable(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": _cube(2),
        "a": "1 + 0.5*sin(2*pi*x)*cos(2*pi*y)",
        "exact": "sin(pi*x) * sin(2*pi*y) * exp(x*y)",
        "source": f"{MANUFACTURED}: -div(a grad u) = f",
    }


def _helmholtz(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": _cube(2),
        "c": "-k^2",
        "exact": "x*(1-x)*y*(1-y) * sin(k*(x + 0.5*y))",
        "parameters": {"k": k},
        "source": f"{MANUFACTURED}: -Δu - k² u = f",
    }


def _heat(k: float, dim: int) -> dict[str, Any]:
    """Two modes of the heat equation; the second dies k² times as fast."""

    def mode(number: str) -> str:
        waves = " * ".join(f"sin({number}*pi*{x})" for x in _names(dim))
        return f"exp(-{dim}*a*({number}*pi)^2*t) * {waves}"

    return {
        "domain": _cube(dim),
        "time_to": 1.0,
        "a": "a",
        "f": "0",
        "exact": f"{mode('1')} + 0.5 * {mode('k')}",
        "boundary": {"all": {"dirichlet": "0"}},
        "parameters": {"a": 0.05, "k": k},
        "source": "separation of variables: L. C. Evans, Partial Differential Equations, 2010",
    }


def _advection_diffusion(k: float, dim: int) -> dict[str, Any]:
    """A spreading bump that is carried along: the heat kernel from the time s²/(4a) on, shifted by b t."""
    squares = " + ".join(f"({x} - 0.3 - 0.4*t)^2" for x in _names(dim))
    return {
        "domain": _cube(dim),
        "time_to": 1.0,
        "a": "a",
        "velocity": ["0.4"] * dim,
        "f": "0",
        "exact": f"(1 + 4*a*t/s^2)^(-{dim}/2) * exp(-({squares}) / (s^2 + 4*a*t))",
        "parameters": {"a": 0.01, "s": 0.15},
        "source": "heat kernel in a moving frame: L. C. Evans, Partial Differential Equations, 2010",
    }


def _transport(k: float, dim: int) -> dict[str, Any]:
    return {
        "domain": _cube(1),
        "time_to": 1.0,
        "a": "0",
        "velocity": ["0.5"],
        "f": "0",
        "exact": "exp(-((x - 0.25 - 0.5*t) / 0.1)^2)",
        "source": "method of characteristics: L. C. Evans, Partial Differential Equations, 2010",
    }


NAMED: dict[str, Callable[[float, int], dict[str, Any]]] = {
    "high-frequency": _high_frequency,
    "multi-scale": _multi_scale,
    "non-separable": _non_separable,
    "two-modes": _two_modes,
    "peak": _peak,
    "l-shape": _l_shape,
    "disc": _disc,
    "anova": _anova,
    "variable-coefficient": _variable,
    "helmholtz": _helmholtz,
    "heat": _heat,
    "advection-diffusion": _advection_diffusion,
    "transport": _transport,
}
_DEFAULTS = {
    "high-frequency": (8.0, 2),
    "two-modes": (10.0, 2),
    "anova": (0.0, 10),
    "helmholtz": (10.0, 2),
    "heat": (4.0, 1),
    "advection-diffusion": (0.0, 1),
    "transport": (0.0, 1),
}
_TAKES_DIM = {"high-frequency": (1, 3), "anova": (2, 10), "heat": (1, 2), "advection-diffusion": (1, 2)}
_TAKES_DIM |= {"transport": (1, 1)}
TAKES_K = {"high-frequency", "two-modes", "helmholtz", "heat"}


def named_problem(name: str, k: float | None = None, dim: int | None = None) -> dict[str, Any]:
    """Return the data of a named problem, for `ProblemConfig`.

    Args:
        name: a key of `NAMED`.
        k: its wave number, where it has one.
        dim: its dimension, where that is free.

    Returns:
        the fields of the problem.

    Raises:
        ConfigError: when the name is unknown, or the problem has no such number or dimension.
    """
    if name not in NAMED:
        near = difflib.get_close_matches(name, NAMED, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"problem: unknown {name!r}; {hint}known: {', '.join(NAMED)}")
    if k is not None and name not in TAKES_K:
        raise ConfigError(f"--k: {name} has no wave number; {', '.join(sorted(TAKES_K))} have one")
    if dim is not None:
        low, high = _TAKES_DIM.get(name, (2, 2))
        if not low <= dim <= high:
            raise ConfigError(f"--dim {dim}: {name} is defined for {low} … {high} dimensions" if low < high
                              else f"--dim {dim}: {name} is a problem in the plane" if low == 2
                              else f"--dim {dim}: {name} is a problem on the line")  # fmt: skip
    default_k, default_dim = _DEFAULTS.get(name, (1.0, 2))
    chosen_k = default_k if k is None else k
    data = NAMED[name](chosen_k, default_dim if dim is None else dim)
    label = (
        f"{name}-k{chosen_k:g}"
        if name in TAKES_K
        else f"{name}-{dim or default_dim}"
        if name == "anova"
        else name
    )
    if dim not in (None, default_dim) and name != "anova":
        label += f"-{dim}d"
    return {"name": label, **data}
