"""Expressions written by a user, such as `sin(8*pi*x) * exp(-y^2)`: read safely, evaluated with derivatives.

The text is parsed by `ast` and only these nodes pass: numbers, known names, + - * / ** (or ^), unary signs,
comparisons, `A if B else C` and calls of known functions. Nothing of it is ever executed as Python: the
tree is turned into closures over `numerics.expression_table`. Numbers become floating point at once, so
that no power of integers can grow without bound.

Names: the coordinates x, y, z or x1 … xd; r = |x| and theta, the polar angle in [0, 2π) of a plane
problem; pi, e; and parameters given by the caller. `^` means power and binds like `**`. Where the first
coordinate is time it is called t, the others are named as before, and r, theta and Δ are those of space.
"""

from __future__ import annotations

import ast
import difflib
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics import jets
from lrnn_cli.numerics.expression_table import (
    CROSSINGS,
    FUNCTIONS,
    ROOTS,
    Operand,
    alike,
    angle,
    plain,
    power,
    reciprocal,
    select,
)
from lrnn_cli.numerics.jets import Jet

LONGEST = 4000  # characters
DEEPEST = 120  # levels of the syntax tree, and of brackets
LARGEST_EXPONENT = 100.0
_ROUGH = {"abs", "min", "max", "sqrt", "step", "sign", "log", "asin", "acos", "atan2", "r", "theta"}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_SQUARE = "r^2"  # smooth at the origin, where r is not; no name that a user could write
_COMPARE: dict[type, Callable[[Tensor, Tensor], Tensor]] = {
    ast.Lt: torch.lt,
    ast.LtE: torch.le,
    ast.Gt: torch.gt,
    ast.GtE: torch.ge,
}

Environment = dict[str, Any]
Closure = Callable[[Environment], Operand]


@dataclass(frozen=True)
class Expression:
    """A compiled expression in d coordinates.

    Attributes:
        text: as the user wrote it.
        n_inputs: d, time included.
        n_time: 1 where the first coordinate is time.
        smooth: it has no kinks, jumps and roots by the look of it, but for those that poles make.
        poles: it may have some: it divides by what varies, or takes a tangent.
        crossings: it may break where one of these changes its sign: what it compares, divides by and so on.
        roots: its slope may be infinite where one of these vanishes: what stands under a root or logarithm.
    """

    text: str
    n_inputs: int
    _closure: Closure
    _names: frozenset[str]
    n_time: int = 0
    smooth: bool = True
    poles: bool = False
    crossings: tuple[Closure, ...] = ()
    roots: tuple[Closure, ...] = ()

    def __call__(self, points: Tensor) -> Tensor:
        """Return the values (n,) at points (n, d), float64."""
        return self._evaluate(list(points.T), points).value

    def jet(self, points: Tensor, at: Mapping[int, float] = MappingProxyType({})) -> Jet:
        """Return value (n,), gradient (d, n) and Laplacian (n,) at points (n, d), by forward Taylor mode.

        Args:
            points: (n, d).
            at: coordinates, by their number, that are held at a value instead: the result does not depend on
                them. Not for expressions of time.
        """
        if not self.n_time:
            axes: list[Operand] = [*jets.coordinates(points)]
            for k, value in at.items():
                axes[k] = jets.constant(value, points)
            return self._evaluate(axes, points)
        plain, space = list(points.T), points[:, 1:]
        found = self._evaluate([plain[0], *jets.coordinates(space)], space)
        rate = self._evaluate([*jets.coordinates(points[:, :1]), *plain[1:]], points[:, :1]).gradient
        return Jet(found.value, torch.cat([rate, found.gradient]), found.laplacian)

    def part(self, closure: Closure, points: Tensor) -> Tensor:
        """Return the values (n,) of one of `crossings` or `roots` at points (n, d)."""
        return plain(closure(self._environment(list(points.T)))).expand(len(points))

    def _evaluate(self, axes: list[Operand], like: Tensor) -> Jet:
        """Evaluate at coordinates that are jets or plain; a plain result becomes a constant at the points."""
        result = self._closure(self._environment(axes))
        if isinstance(result, Jet):
            return result
        return jets.constant(0.0, like) + result.expand(len(like))

    def _environment(self, axes: list[Operand]) -> Environment:
        environment: Environment = {
            name: axes[k] for name, k in _coordinate_names(self.n_inputs, self.n_time).items()
        }
        if "r" in self._names:
            total = _product(axes[self.n_time], axes[self.n_time])
            for axis in axes[self.n_time + 1 :]:
                total = _sum(total, _product(axis, axis))
            environment |= {"r": FUNCTIONS["sqrt"][1](total), _SQUARE: total}
        if "theta" in self._names:
            turn = angle(environment["y"], environment["x"])
            whole = turn + torch.tensor(2 * math.pi, dtype=torch.float64)
            environment["theta"] = select(plain(environment["y"]) < 0, whole, turn)
        return environment


def compile_expression(
    text: str,
    n_inputs: int,
    *,
    name: str = "expression",
    parameters: Mapping[str, float] | None = None,
    n_time: int = 0,
) -> Expression:
    """Read an expression.

    Args:
        text: what the user wrote.
        n_inputs: d, the number of coordinates.
        name: what to call it in messages, such as `f`.
        parameters: further names and their values.
        n_time: 1 where the first of the d coordinates is time, t.

    Returns:
        the compiled expression.

    Raises:
        ConfigError: when it is too long or too deep, is no expression of the kind described above, or uses an
            unknown name; the message gives the column, counted from 1, and where it can the nearest name.
    """
    return _Compiler(str(text), n_inputs, name, dict(parameters or {}), n_time).compile()


def _coordinate_names(n_inputs: int, n_time: int = 0) -> dict[str, int]:
    space = range(n_time, n_inputs)
    named = dict(zip("xyz", space, strict=False)) | {f"x{k + 1}": axis for k, axis in enumerate(space)}
    return named | {"t": 0} if n_time else named


class _Compiler:
    def __init__(
        self, text: str, n_inputs: int, name: str, parameters: dict[str, float], n_time: int
    ) -> None:
        self.text, self.n_inputs, self.name, self.parameters = text, n_inputs, name, parameters
        self.n_time, self.n_space = n_time, n_inputs - n_time
        plane = {"theta"} if self.n_space == 2 else set()
        known = set(_coordinate_names(n_inputs, n_time)) | {"r"} | plane
        self.variables = known - set(parameters)
        self.used: set[str] = set()
        self.smooth, self.poles = True, False
        self.crossings: list[Closure] = []
        self.roots: list[Closure] = []

    def compile(self) -> Expression:
        text = self.text
        if not text.strip():
            raise ConfigError(f"{self.name}: empty expression")
        if len(text) > LONGEST:
            raise ConfigError(f"{self.name}: {len(text)} characters, at most {LONGEST} are read")
        self._check_characters()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text.replace("^", "**").strip(), mode="eval")
        except SyntaxError as error:
            column = self._column((error.offset or 1) - 1)
            raise ConfigError(
                f"{self.name}, column {column}: cannot be read ({error.msg}); write products with *, as 2*x"
            ) from None
        except (ValueError, MemoryError, RecursionError):
            raise ConfigError(f"{self.name}: nested too deeply") from None
        closure = self._build(tree.body, 0)
        return Expression(
            text, self.n_inputs, closure, frozenset(self.used), self.n_time, self.smooth, self.poles,
            tuple(self.crossings), tuple(self.roots),
        )  # fmt: skip

    def _check_characters(self) -> None:
        depth = 0
        for column, letter in enumerate(self.text, 1):
            depth += (letter in "([{") - (letter in ")]}")
            if depth > DEEPEST:
                raise ConfigError(f"{self.name}, column {column}: more than {DEEPEST} nested brackets")
            if not (" " <= letter <= "~"):
                raise ConfigError(f"{self.name}, column {column}: unexpected character {letter!r}")

    def _column(self, offset: int) -> int:
        """Column, from 1, in the text as written, of an offset behind `strip` and `^` → `**`."""
        shift = len(self.text) - len(self.text.lstrip())
        position = 0
        for column, letter in enumerate(self.text[shift:], shift + 1):
            position += 2 if letter == "^" else 1
            if position > offset:
                return column
        return len(self.text)

    def _refuse(self, node: ast.AST, message: str) -> ConfigError:
        return ConfigError(f"{self.name}, column {self._column(getattr(node, 'col_offset', 0))}: {message}")

    def _build(self, node: ast.expr, depth: int) -> Closure:
        if depth > DEEPEST:
            raise self._refuse(node, f"nested more than {DEEPEST} levels deep")
        match node:
            case ast.Constant(value=value):
                return self._number(node, value)
            case ast.Name(id=identifier):
                return self._name(node, identifier)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                inner = self._build(operand, depth + 1)
                return inner if isinstance(node.op, ast.UAdd) else (lambda env: -inner(env))
            case ast.BinOp():
                return self._binary(node, depth)
            case ast.Compare():
                self.smooth = False
                condition = self._condition(node, depth)
                return lambda env: condition(env).to(torch.float64)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.smooth = False
                choose, yes, no = (
                    self._condition(test, depth),
                    self._build(body, depth + 1),
                    self._build(orelse, depth + 1),
                )
                return lambda env: select(choose(env), *alike(yes(env), no(env)))
            case ast.Call():
                return self._call(node, depth)
        raise self._refuse(node, f"{_spoken(node)} not allowed in an expression")

    def _number(self, node: ast.Constant, value: object) -> Closure:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(node, f"expected a number, got {str(value)[:20]!r}")
        try:
            number = torch.tensor(float(value), dtype=torch.float64)
        except OverflowError:
            number = torch.tensor(math.inf)
        if not math.isfinite(number):
            raise self._refuse(node, "a number beyond 1e308")
        return lambda env: number

    def _name(self, node: ast.Name, name: str) -> Closure:
        value = self.parameters.get(name, None if name in self.variables else _CONSTANTS.get(name))
        if value is not None:
            number = torch.tensor(value, dtype=torch.float64)
            return lambda env: number
        if name not in self.variables:
            if name in FUNCTIONS:
                raise self._refuse(node, f"{name} is a function: write {name}(…)")
            known = [*sorted(self.variables), *_CONSTANTS, *self.parameters, *FUNCTIONS]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise self._refuse(node, f"unknown name {name[:40]!r}; {hint}")
        self.used.add(name)
        self.smooth &= name not in _ROUGH
        if name == "theta" or (name == "r" and self.n_space == 1):  # r = |x| on the line
            turns_at = "y" if name == "theta" else "x"
            self.crossings.append(lambda env: env[turns_at])
        return lambda env: env[name]

    def _binary(self, node: ast.BinOp, depth: int) -> Closure:
        if isinstance(node.op, ast.Pow):
            return self._power(node, depth)
        left, right = self._build(node.left, depth + 1), self._build(node.right, depth + 1)
        match node.op:
            case ast.Add():
                return lambda env: _sum(left(env), right(env))
            case ast.Sub():
                return lambda env: _sum(left(env), -right(env))
            case ast.Mult():
                return lambda env: _product(left(env), right(env))
            case ast.Div():
                self._divide_by(node.right, right)
                return lambda env: _product(left(env), reciprocal(right(env)))
        raise self._refuse(node, f"operator {type(node.op).__name__} not allowed; there are + - * / ^")

    def _power(self, node: ast.BinOp, depth: int) -> Closure:
        right = self._build(node.right, depth + 1)
        if self._varies(node.right):
            left = self._build(node.left, depth + 1)
            if self._varies(node.left):
                self.smooth = False
                self.roots.append(left)
            log, exp = FUNCTIONS["log"][1], FUNCTIONS["exp"][1]
            return lambda env: exp(_product(right(env), log(left(env))))
        exponent = right({})
        p = float(exponent.value if isinstance(exponent, Jet) else exponent)
        if not abs(p) <= LARGEST_EXPONENT:
            raise self._refuse(node.right, f"exponent {p:g}; at most {LARGEST_EXPONENT:g} is allowed")
        smooth, radius = self.smooth, self._is_radius(node.left)
        left = self._build(node.left, depth + 1)
        if p < 0:
            self._divide_by(node.left, left)
        if radius and p % 2 == 0:
            self.smooth = smooth
            return lambda env: power(env[_SQUARE], p / 2)
        if p != round(p) and self._varies(node.left):
            self.smooth = False
            # above 1 the slope is 0 at the root; beyond the line r^p sends no flux out of the origin
            if p < 1 and not (radius and self.n_space > 1):
                self.roots.append(left)
        return lambda env: power(left(env), p)

    def _divide_by(self, node: ast.expr, divisor: Closure) -> None:
        if self._varies(node):
            self.poles = True
            (self.roots if self._is_radius(node) else self.crossings).append(divisor)

    def _is_radius(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == "r" and "r" in self.variables

    def _varies(self, node: ast.expr) -> bool:
        """Tell whether a part of the expression depends on the point."""
        return bool({n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & self.variables)

    def _call(self, node: ast.Call, depth: int) -> Closure:
        if not isinstance(node.func, ast.Name):
            what = (
                "attributes are" if isinstance(node.func, ast.Attribute) else "a call of something unnamed is"
            )
            raise self._refuse(node, f"{what} not allowed in an expression; write products with *")
        name = node.func.id
        if name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FUNCTIONS)}"
            raise self._refuse(node, f"unknown function {name[:40]!r}; {hint}")
        n_arguments, function = FUNCTIONS[name]
        if node.keywords or len(node.args) != n_arguments:
            raise self._refuse(node, f"{name} takes {n_arguments} argument{'s' * (n_arguments > 1)}")
        varies = any(self._varies(argument) for argument in node.args)
        self.smooth &= name not in _ROUGH or not varies
        self.poles |= name == "tan" and varies
        arguments = [self._build(argument, depth + 1) for argument in node.args]
        for table, found in ((CROSSINGS, self.crossings), (ROOTS, self.roots)):
            if varies and name in table:
                found.append(lambda env, u=table[name]: u(*(plain(v(env)) for v in arguments)))  # type: ignore[misc]
        if n_arguments == 1:
            return lambda env: function(arguments[0](env))
        return lambda env: function(*alike(arguments[0](env), arguments[1](env)))

    def _condition(self, node: ast.expr, depth: int) -> Callable[[Environment], Tensor]:
        if not isinstance(node, ast.Compare) or len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
            raise self._refuse(node, "expected one comparison such as x < 0.5")
        left, right = self._build(node.left, depth + 1), self._build(node.comparators[0], depth + 1)
        self.crossings.append(lambda env: plain(left(env)) - plain(right(env)))
        compare = _COMPARE[type(node.ops[0])]
        return lambda env: compare(plain(left(env)), plain(right(env)))


def _sum(u: Operand, v: Operand) -> Operand:
    return v + u if isinstance(v, Jet) else u + v


def _product(u: Operand, v: Operand) -> Operand:
    return v * u if isinstance(v, Jet) else u * v


def _spoken(node: ast.AST) -> str:
    words = {
        ast.Attribute: "attributes are",
        ast.Lambda: "lambda is",
        ast.Subscript: "indexing is",
        ast.List: "lists are",
        ast.Tuple: "a comma is",
        ast.BoolOp: "and/or is",
        ast.ListComp: "a comprehension is",
        ast.NamedExpr: "an assignment is",
        ast.JoinedStr: "text is",
    }
    return words.get(type(node), f"{type(node).__name__} is")
