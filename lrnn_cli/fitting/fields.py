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
from lrnn_cli.fitting.linear_features import ProductFeatures, jet_in_blocks
from lrnn_cli.fitting.separable import AxisBasis, SeparableField
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel, ModelConfig, count_parameters, use_engine
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.taylor import field_jet
from lrnn_cli.objectives.poisson import Problem, ProblemConfig
from lrnn_cli.objectives.unsteady import compile_equation

FORMAT = "lrnn.solution/1"
# what a header may raise that is none of ours
NONSENSE = (KeyError, TypeError, AttributeError, ValueError, RuntimeError, ValidationError, ConfigError)


class Field(Protocol):
    """What every solution can do."""

    @property
    def n_coefficients(self) -> int:
        """Numbers that make it up, inner weights included."""

    def jet(self, points: Tensor) -> Jet:
        """Return value (n,), gradient (d, n) and Laplacian (n,) at points (n, d), float64."""


def with_boundary(problem: Problem, points: Tensor, inner: Jet) -> Jet:
    """Return the jet of G + m N for that of N; N itself where the problem has no hard boundary.

    Args:
        problem: with mask m and lift G.
        points: (n, d).
        inner: jet of N there.
    """
    mask = problem.domain.mask(points) if problem.hard else None
    total = inner if mask is None else mask * inner
    return total if problem.lift is None else problem.lift.jet(points) + total


@dataclass(frozen=True)
class ProductField:
    """u = G + m Σ_ℓ S_ℓ φ_ℓ + Σ_k s_k + shift.

    Product neurons behind lift and mask where the boundary is hard, singular functions, a constant.
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
        total = with_boundary(self.problem, points, self.features.jet(points, self.head))
        if len(self.enrichment):
            total = total + self.enrichment.jet(points, self.singular)
        return total + points.new_tensor(self.shift)

    def shifted(self, by: float) -> ProductField:
        """Return the field plus a constant."""
        return replace(self, shift=self.shift + by)


@dataclass(frozen=True)
class NetworkField:
    """u = G + m s N((x - c) / h) + shift: a model of the catalog, the bounding box mapped to [-1, 1]^d."""

    problem: Problem
    name: str
    config: ModelConfig
    model: CoordinateModel
    scale: float = 1.0
    shift: float = 0.0

    @property
    def n_coefficients(self) -> int:
        """Parameters of the model."""
        return count_parameters(self.model)

    def jet(self, points: Tensor) -> Jet:
        """Return value, gradient and Laplacian."""
        return jet_in_blocks(self._jet, points)

    def _jet(self, points: Tensor) -> Jet:
        lower, upper = (points.new_tensor(b) for b in self.problem.domain.bounds())
        found = field_jet(self.model, points, origin=(lower + upper) / 2, scale=(upper - lower) / 2)
        plain = Jet(found.value.detach(), found.gradient.detach(), found.laplacian.detach())
        total = with_boundary(self.problem, points, plain * points.new_tensor(self.scale))
        return total + points.new_tensor(self.shift)

    def shifted(self, by: float) -> NetworkField:
        """Return the field plus a constant."""
        return replace(self, shift=self.shift + by)


AnyField = ProductField | SeparableField | NetworkField


def with_mean(problem: Problem, solution: AnyField | None) -> AnyField | None:
    """Fix the constant where only ∇u is determined: the mean of the exact solution if known, else 0.

    Args:
        problem: what was solved.
        solution: the field, or None.

    Returns:
        the same field where the problem determines it.
    """
    if not problem.pure_neumann or not isinstance(solution, ProductField | NetworkField):
        return solution
    points, weights = problem.domain.quadrature(10_000)
    wanted = problem.exact(points) if problem.exact else torch.zeros(len(points), dtype=torch.float64)
    return solution.shifted(float((weights * (wanted - solution.jet(points).value)).sum() / weights.sum()))


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
    elif isinstance(solution, NetworkField):
        tensors = dict(solution.model.state_dict())
        config = solution.config.model_dump(mode="json")
        header["field"] = {
            "kind": "network",
            "model": solution.name,
            "config": config,
            "scale": solution.scale,
            "shift": solution.shift,
        }
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
    header["field"] |= {"hard": problem.hard, "lift": problem.lift is not None}
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
        problem = compile_equation(ProblemConfig(**header["problem"]))
        about = header["field"]
        problem = _as_solved(problem, about)
        if about["kind"] == "separable":
            return _separable(tensors, about["ends"], problem), problem, header
        if about["kind"] == "network":
            return _network(tensors, about, problem), problem, header
        features = ProductFeatures(tensors["weight"], tensors["bias"], tensors["amplitude"], problem.n_time)
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
            raise CheckpointError("header and weights do not agree")
        loaded = ProductField(
            problem, features, tensors["head"], enrichment, tensors["singular"], float(about["shift"])
        )
        return loaded, problem, header
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except NONSENSE as error:
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise CheckpointError(f"{path}: the header makes no sense ({reason})") from error


def _as_solved(problem: Problem, about: dict[str, Any]) -> Problem:
    """Return the problem with the kind of boundary that a solution was made for.

    Files of before lifts existed say nothing of them: hard meant u = 0 then. Older ones say nothing of a hard
    boundary, either.

    Raises:
        CheckpointError: when the problem has no such boundary any more.
    """
    lifted = bool(about.get("lift", problem.lift is not None))
    hard = bool(about.get("hard", problem.hard and problem.lift is None))
    if hard and not (problem.hard and lifted == (problem.lift is not None)):
        raise CheckpointError(
            "written by a version that met the boundary in another way for this problem; solve it again"
        )
    return problem if hard else replace(problem, hard=False, lift=None)


def _network(tensors: dict[str, Tensor], about: dict[str, Any], problem: Problem) -> NetworkField:
    name = str(about["model"])
    config = config_class(name)(**about["config"])
    if int(getattr(config, "depth", 1)) > max(64, len(tensors)):
        raise CheckpointError("header and weights do not agree")
    with torch.device("meta"):  # so that a header cannot ask for more memory than the file has bytes
        model = build(name, config, n_inputs=problem.n_inputs, n_outputs=1)
    expected = {key: tuple(t.shape) for key, t in model.state_dict().items()}
    if expected != {key: tuple(t.shape) for key, t in tensors.items()}:
        raise CheckpointError("header and weights do not agree")
    if {t.dtype for t in tensors.values()} != {torch.float64}:
        raise CheckpointError("expected weights in float64")
    model.load_state_dict(tensors, assign=True)
    model.requires_grad_(False)
    use_engine(model, "reference")  # differentiable by coordinates, in any precision
    shift = float(about.get("shift", 0.0))  # not in files of before
    return NetworkField(problem, name, config, model, float(about["scale"]), shift)


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
    return SeparableField(axes, core, problem.lift)
