"""How to solve an equation: one frozen, validated record."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class SolveSettings(BaseModel):
    """Solver, network, target, measuring and machine of one solution."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    solver: Literal["auto", "lstsq", "lm", "adam", "lbfgs"] = Field(
        "auto", description="least squares, Levenberg-Marquardt, Adam, L-BFGS, or by model and dimension"
    )
    model: str | None = Field(
        None, description="a model of the catalog; the shallow product network if left out"
    )
    params: int | None = Field(None, ge=1, description="parameter budget of a trained network")
    options: dict[str, Any] = Field(
        default_factory=dict, description="further fields of the model's configuration"
    )
    lr: float | None = Field(None, gt=0, description="peak rate of Adam; 1e-2 when left out")
    features: Literal["auto", "product", "separable"] = Field(
        "auto", description="of the least-squares solver"
    )
    collocation: Literal["auto", "gauss", "sobol", "adaptive"] = Field(
        "auto", description="where the equation is asked for; auto is gauss"
    )
    rank: int | None = Field(
        None, ge=1, le=20_000, description="product neurons; grown or by the solver if left out"
    )
    dbar: int | None = Field(None, ge=1, le=16, description="factors per neuron")
    omega: float | None = Field(None, gt=0, description="largest frequency at the start; chosen if left out")
    until: float | None = Field(None, gt=0, description="relative residual at which to stop")
    time_s: float | None = Field(None, gt=0, description="begin nothing new after this many seconds")
    steps: int | None = Field(
        None,
        ge=1,
        description="most steps of training; without a time 400 of lm, 2000 of adam and lbfgs",
    )
    enrich: bool = Field(True, description="add the singular functions of re-entrant corners")
    reference: Literal["auto", "chebyshev", "fd", "fem", "none"] = Field(
        "auto", description="classical solver to compare with"
    )
    grid: int | None = Field(None, ge=2, le=4097, description="nodes per axis of the output")
    device: str | None = Field(
        None, description="of a network trained by adam or lbfgs; the CPU when left out"
    )
    engine: Literal["auto", "reference", "fused", "compiled", "triton"] | None = Field(
        None, description="of the product layers of a trained network; auto when left out"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of the random weights")
    threads: int | None = Field(None, ge=1, description="CPU threads; all cores when left out")
