"""Which function is fitted, and where it is sampled: the settings of `fit-function`."""

from __future__ import annotations

import hashlib
import re

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lrnn_cli.objectives.function_targets import Choices, Target, expression_target, named_target

SLUG = 40  # characters of an expression that its folder shows


class FunctionOptions(BaseModel):
    """A named target with its constants, or an expression, and the samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str | None = Field(default=None, description="a named target")
    expression: str | None = Field(default=None, description="a function of x, y, z or x1 … xd")
    dim: int | None = Field(default=None, description="dimension d, where it is free")
    mesh: int | None = Field(default=None, ge=2, description="samples per axis of a regular mesh")
    points: int | None = Field(default=None, ge=2, description="scattered points instead of a mesh")
    epsilon: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="width of the transition of sharp-ring and -line"
    )
    alpha: float | None = Field(default=None, gt=0, le=10, description="exponent of cusp and cusp-log")
    order: int | None = Field(default=None, ge=1, description="interaction order m of anova")
    k: float | None = Field(default=None, gt=0, le=1e4, description="wave number of high-frequency, times pi")
    zygmund: float | None = Field(
        default=None, gt=0, le=2, description="order s of the Zygmund seminorm; the target's own if left out"
    )
    data_seed: int = Field(default=0, ge=0, lt=2**31, description="of random labels and scattered points")
    heldout: int = Field(default=2**15, ge=1, le=2**22, description="fresh points where there is no mesh")

    @model_validator(mode="after")
    def _one_function(self) -> FunctionOptions:
        if self.target is None and self.expression is None:
            raise ValueError(
                "no function: give an expression such as 'sin(8*pi*x)*exp(-y)', or --target NAME"
            )
        if self.target is not None and self.expression is not None:
            raise ValueError("an expression and --target exclude each other: give one function")
        if self.mesh is not None and self.points is not None:
            raise ValueError("mesh and points exclude each other: give --mesh or --points")
        own = [name for name in ("epsilon", "alpha", "order", "k") if getattr(self, name) is not None]
        if self.expression is not None and own:
            raise ValueError(f"--{own[0]} belongs to a named target; write the number into the expression")
        return self


def make_target(options: FunctionOptions) -> Target:
    """Return the function that the settings name.

    Raises:
        ConfigError: when there is no such target, or the expression cannot be read.
    """
    if options.expression is not None:
        return expression_target(options.expression, options.dim)
    choices = Choices(
        dim=options.dim,
        epsilon=options.epsilon,
        alpha=options.alpha,
        order=options.order,
        k=options.k,
        seed=options.data_seed,
    )
    return named_target(str(options.target), choices)


def label(options: FunctionOptions) -> str:
    """Return a name for the run folder: the target and what was chosen for it, or the expression's letters.

    Two expressions that share their letters differ in the six hexadecimal digits at the end.

    Raises:
        ConfigError: when the settings name no function.
    """
    target = make_target(options)
    chosen = [("dim", "d"), ("order", "m"), ("k", "k"), ("alpha", "a"), ("epsilon", "e")]
    chosen += [("mesh", "n"), ("points", "n")]
    values = [(short, getattr(options, name)) for name, short in chosen] + [("s", options.data_seed or None)]
    tail = "".join(f"-{short}{value:g}".replace(".", "p") for short, value in values if value is not None)
    if options.expression is None:
        return target.name + tail
    letters = re.sub(r"[^A-Za-z0-9]+", "-", options.expression).strip("-")[:SLUG].strip("-")
    return f"{letters}{tail}-{hashlib.sha256(options.expression.encode()).hexdigest()[:6]}"
