"""From the flags of `solve-poisson`, a file and a named problem to validated settings."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lrnn_cli.cli.merge import load_yaml, merge, nest
from lrnn_cli.cli.settings import model_options
from lrnn_cli.errors import ConfigError

_SHAPES = (
    "box:0,0:1,2, disc:0,0:1, annulus:0,0:0.5:1, l-shape, polygon:0,0:2,0:1,1 "
    "or implicit:-2,-1:2,1:x^2/4+y^2-1"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


def resolve_problem(flags: Mapping[str, Any], solve_flags: Sequence[str]) -> Any:
    """Lay named problem, file and flags over each other and validate the result.

    Args:
        flags: the values of the command's options by name; None where not given.
        solve_flags: those that are fields of the solver's settings under their own name.

    Returns:
        an object with `problem`, a `ProblemConfig`, and `solve`, a `SolveSettings`.

    Raises:
        ConfigError: when anything is unknown or makes no sense.
    """
    from lrnn_cli.objectives.named_problems import TAKES_K, named_problem
    from lrnn_cli.tasks.poisson_settings import PoissonSettings

    yaml = load_yaml(flags["config"]) if flags.get("config") is not None else {}
    name, k, dim = flags.get("problem"), flags.get("k"), flags.get("dim")
    parameters = _parameters(flags.get("param"))
    if name in TAKES_K and "k" in parameters:  # its name tells the wave number
        if k is not None:
            raise ConfigError("--k and --param k=… are the same number of the problem: give one of them")
        k = parameters["k"]
    if flags.get("manufacture") and (flags.get("f") or flags.get("exact")):
        raise ConfigError("--manufacture derives f from the exact solution: leave --f and --exact out")
    given = nest(
        {
            "problem.domain": _domain(flags),
            "problem.f": flags.get("f"),
            "problem.exact": flags.get("manufacture") or flags.get("exact"),
            "problem.a": flags.get("a"),
            "problem.c": flags.get("c"),
            "problem.time_to": flags.get("time_to"),
            "problem.initial": flags.get("initial"),
            "problem.velocity": flags.get("velocity") or None,
            "problem.boundary": _boundary(flags) or None,
            "problem.parameters": parameters or None,
            **{f"solve.{key}": flags.get(key) for key in solve_flags},
            "solve.time_s": flags.get("time"),
            "solve.options": model_options(flags, without=("rank", "dbar")) or None,
        }
    )
    preset: dict[str, Any] = {}
    if name is not None:
        data = named_problem(name, k, dim)
        if "domain" in given.get("problem", {}):
            data.pop("domain")
        preset = {"problem": _without_stale(data, flags)}
    elif k is not None:
        raise ConfigError("--k belongs to a named problem: give --problem too, or --param k=…")
    if isinstance(yaml.get("problem"), Mapping):
        yaml = {**yaml, "problem": _without_stale(yaml["problem"], flags)}
    inner = yaml.get("problem")
    if "domain" in given.get("problem", {}) and isinstance(inner, Mapping):
        yaml = {**yaml, "problem": {key: value for key, value in inner.items() if key != "domain"}}
    config = flags.get("config")
    return merge(
        PoissonSettings, preset=preset, yaml=yaml, flags=given, preset_name=f"problem {name}",
        yaml_name=str(config) if config else "--config",
    )  # fmt: skip


def _without_stale(problem: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problem with what `--manufacture` makes wrong left out: data of another exact solution.

    The kinds of the conditions stay, their data are those of the exact solution.
    """
    if not flags.get("manufacture"):
        return dict(problem)
    kept = {key: value for key, value in problem.items() if key not in ("f", "initial")}
    if isinstance(kept.get("boundary"), Mapping):
        kept["boundary"] = {
            side: dict.fromkeys((k for k, v in condition.items() if v is not None), "exact")
            if isinstance(condition, Mapping)
            else condition
            for side, condition in kept["boundary"].items()
        }
    return kept


def _domain(flags: Mapping[str, Any]) -> dict[str, Any] | None:
    text, dim, name = flags.get("domain"), flags.get("dim"), flags.get("problem")
    if text is None:
        if dim is None or name is not None:
            return None
        if not 1 <= dim <= 20:
            raise ConfigError(f"--dim {dim}: expected 1 … 20")
        return {"kind": "box", "lower": [0.0] * dim, "upper": [1.0] * dim}
    found = parse_domain(text)
    if dim is not None and dim != (len(found["lower"]) if found["kind"] == "box" else 2):
        raise ConfigError(f"--dim {dim} does not agree with --domain {text}")
    return found


def parse_domain(text: str) -> dict[str, Any]:
    """Read a shape such as disc:0,0:1.

    Args:
        text: one of box:LOWER:UPPER, disc:CENTRE:RADIUS, annulus:CENTRE:INNER:OUTER, l-shape,
            polygon:V1:V2:…, implicit:LOWER:UPPER:EXPRESSION.

    Returns:
        the data of the domain.

    Raises:
        ConfigError: when it is none of these.
    """
    kind, *parts = text.strip().split(":")
    kind = kind.lower()
    level = parts.pop() if kind == "implicit" and len(parts) == 3 else None
    try:
        numbers = [[float(number) for number in part.split(",")] for part in parts]
    except ValueError:
        numbers = []
    sizes = [len(part) for part in numbers]
    if kind == "l-shape" and not parts:
        return {"kind": "polygon"}
    if kind == "box" and len(sizes) == 2 and sizes[0] == sizes[1]:
        return {"kind": "box", "lower": numbers[0], "upper": numbers[1]}
    if kind == "disc" and sizes == [2, 1]:
        return {"kind": "disc", "centre": numbers[0], "radius": numbers[1][0]}
    if level is not None and sizes == [2, 2]:
        return {"kind": "implicit", "lower": numbers[0], "upper": numbers[1], "expression": level}
    if kind == "annulus" and sizes == [2, 1, 1]:
        return {"kind": "annulus", "centre": numbers[0], "inner": numbers[1][0], "outer": numbers[2][0]}
    if kind == "polygon" and set(sizes) <= {2} and len(parts) == len(numbers):
        return {"kind": "polygon", "vertices": numbers}
    raise ConfigError(f"--domain: expected {_SHAPES}, got {text!r}")


def _boundary(flags: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for kind in ("dirichlet", "neumann"):
        for item in flags.get(kind) or ():
            side, equals, text = item.partition("=")
            # `x<=1` and the like are expressions; a side is a name
            side, text = (side.strip(), text) if equals and _NAME.fullmatch(side.strip()) else ("all", item)
            if side in found:
                raise ConfigError(f"--{kind} {item!r}: side {side} has a condition already")
            found[side] = {kind: text.strip()}
    return found


def _parameters(items: Sequence[str] | None) -> dict[str, float]:
    found = {}
    for item in items or ():
        name, _, text = item.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = None
        if value is None or not _NAME.fullmatch(name.strip()):
            raise ConfigError(f"--param {item!r}: expected NAME=NUMBER, as k=8")
        found[name.strip()] = value
    return found
