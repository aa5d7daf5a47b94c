"""Solutions of a problem as fields.

Evaluated anywhere with gradient and Laplacian, stored as tensors and a header.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import ValidationError
from torch import Tensor

from lrnn_cli.errors import CheckpointError, ConfigError
from lrnn_cli.fitting import checkpoint
from lrnn_cli.fitting.enrichment import Enrichment, SingularFunction
from lrnn_cli.fitting.linear_features import ProductFeatures
from lrnn_cli.fitting.separable import AxisBasis, SeparableField
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.objectives.poisson import Problem, ProblemConfig, compile_problem

FORMAT = "lrnn.solution/1"


class Field(Protocol):
    """What every solution can do."""

    @property
    def n_coefficients(self) -> int:
        """Numbers that make it up, inner weights included."""

    def jet(self, points: Tensor) -> Jet:
        """Return value (n,), gradient (d, n) and Laplacian (n,) at points (n, d), float64."""


@dataclass(frozen=True)
class ProductField:
    """u = m Σ_ℓ S_ℓ φ_ℓ + Σ_k s_k + shift.

    Product neurons behind the mask where there is one, singular functions, a constant.
    """

    problem: Problem
    features: ProductFeatures
    head: Tensor
    enrichment: Enrichment = field(default_factory=Enrichment)
    singular: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    shift: float = 0.0

    @property
    def n_coefficients(self) -> int:
        """Inner weights, output layer and coefficients of the singular functions."""
        inner = self.features.weight.numel() + self.features.bias.numel()
        return inner + self.features.amplitude.numel() + self.head.numel() + self.singular.numel()

    def jet(self, points: Tensor) -> Jet:
        """Return value, gradient and Laplacian."""
        total = self.features.jet(points, self.head)
        mask = self.problem.domain.mask(points) if self.problem.hard else None
        if mask is not None:
            total = mask * total
        if len(self.enrichment):
            total = total + self.enrichment.jet(points, self.singular)
        return total + points.new_tensor(self.shift)

    def shifted(self, by: float) -> ProductField:
        """Return the field plus a constant."""
        return replace(self, shift=self.shift + by)


AnyField = ProductField | SeparableField


def encode(solution: AnyField, problem: Problem, about: dict[str, Any]) -> bytes:
    """Return the bytes of a checkpoint: tensors, and in the header the problem and how it was solved."""
    header: dict[str, Any] = {"format": FORMAT, "problem": problem.config.model_dump(mode="json"), **about}
    if isinstance(solution, SeparableField):
        tensors = {"core": solution.core}
        for k, axis in enumerate(solution.axes):
            tensors |= {
                f"axis{k}.frequency": axis.frequency,
                f"axis{k}.phase": axis.phase,
                f"axis{k}.combination": axis.combination,
            }
        header["field"] = {"kind": "separable", "ends": [[axis.lower, axis.upper] for axis in solution.axes]}
    else:
        tensors = {
            "weight": solution.features.weight,
            "bias": solution.features.bias,
            "amplitude": solution.features.amplitude,
            "head": solution.head,
            "singular": solution.singular,
        }
        functions = [asdict(function) for function in solution.enrichment.functions]
        header["field"] = {"kind": "product", "shift": solution.shift, "functions": functions}
    return checkpoint.encode(tensors, header)


def load(path: Path) -> tuple[AnyField, Problem, dict[str, Any]]:
    """Read a checkpoint of `encode`.

    Args:
        path: the file.

    Returns:
        the field, its problem, and the header.

    Raises:
        CheckpointError: when the file is corrupt, foreign, or header and tensors do not agree.
    """
    tensors, header = checkpoint.read(path, FORMAT)
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise CheckpointError(f"{path}: the weights hold NaN or infinity")
    try:
        problem = compile_problem(ProblemConfig(**header["problem"]))
        about = header["field"]
        if about["kind"] == "separable":
            return _separable(tensors, about["ends"], problem), problem, header
        features = ProductFeatures(tensors["weight"], tensors["bias"], tensors["amplitude"])
        enrichment = Enrichment(tuple(SingularFunction(**entry) for entry in about["functions"]))
        n_factors, rank, d = features.weight.shape
        found = (
            features.bias.shape,
            features.amplitude.shape,
            tensors["head"].shape,
            tensors["singular"].shape,
        )
        expected = ((n_factors, rank), (n_factors, 1, rank), (rank,), (len(enrichment),))
        if d != problem.n_inputs or found != expected:
            raise CheckpointError(f"{path}: header and weights do not agree")
        loaded = ProductField(
            problem, features, tensors["head"], enrichment, tensors["singular"], float(about["shift"])
        )
        return loaded, problem, header
    except (KeyError, TypeError, ValueError, ValidationError, ConfigError) as error:
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise CheckpointError(f"{path}: the header makes no sense ({reason})") from error


def _separable(tensors: dict[str, Tensor], ends: list[list[float]], problem: Problem) -> SeparableField:
    axes = tuple(
        AxisBasis(
            float(lower), float(upper), tensors[f"axis{k}.frequency"], tensors[f"axis{k}.phase"],
            tensors[f"axis{k}.combination"],
        )
        for k, (lower, upper) in enumerate(ends)
    )  # fmt: skip
    core = tensors["core"]
    if core.ndim != problem.n_inputs or tuple(core.shape) != tuple(a.combination.shape[1] for a in axes):
        raise CheckpointError("header and weights do not agree")
    return SeparableField(axes, core)
