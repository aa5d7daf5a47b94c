"""`info`: what a network consists of, and which of its factors do any work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.fields import AnyField
from lrnn_cli.models.contract import count_parameters
from lrnn_cli.objectives.poisson import Problem
from lrnn_cli.tasks.tones import learned_tones

NEAR_ZERO = 0.01  # of the median of its layer ...
SURELY_ZERO = 1e-3  # ... or this, where a whole layer is idle


@runtime_checkable
class HasRelevance(Protocol):
    """A layer that knows the relevance of its factors."""

    def relevance(self) -> Tensor:
        """Return the relevance of each factor, (D, R)."""


@dataclass(frozen=True)
class LayerRelevance:
    """How relevant the factors of a product layer are.

    The relevance of factor j of neuron l is |γ| Σ_m |a_ljm|, a bound of |γ g_lj| where |σ| <= 1. Where it is
    near 0 the factor 1 + γ g_lj stays near 1, and a neuron all of whose factors do is a constant.

    Attributes:
        layer: number, from 1.
        neurons: R.
        factors: R D, of all neurons together.
        smallest: least relevance of a factor.
        median: the median.
        largest: greatest relevance of a factor.
        factors_near_zero: factors whose relevance is at most `NEAR_ZERO` of the median, or `SURELY_ZERO`.
        neurons_near_zero: neurons all of whose factors are such.
        idle_factors: those factors, as (neuron, factor), from 0.
        idle_neurons: those neurons, from 0.
    """

    layer: int
    neurons: int
    factors: int
    smallest: float
    median: float
    largest: float
    factors_near_zero: int
    neurons_near_zero: int
    idle_factors: tuple[tuple[int, int], ...]
    idle_neurons: tuple[int, ...]


def layer_relevance(number: int, relevance: Tensor) -> LayerRelevance:
    """Count and name the factors and neurons of a layer that do nothing.

    Args:
        number: of the layer, from 1.
        relevance: of each factor, (D, R), not negative.

    Returns:
        The counts and numbers.
    """
    median = float(relevance.median())
    idle = relevance <= max(NEAR_ZERO * median, SURELY_ZERO)
    constant = idle.all(0)
    return LayerRelevance(
        layer=number,
        neurons=relevance.shape[1],
        factors=relevance.numel(),
        smallest=float(relevance.min()),
        median=median,
        largest=float(relevance.max()),
        factors_near_zero=int(idle.sum()),
        neurons_near_zero=int(constant.sum()),
        idle_factors=tuple((int(neuron), int(factor)) for neuron, factor in idle.T.nonzero()),
        idle_neurons=tuple(constant.nonzero()[:, 0].tolist()),
    )


def relevance_table(model: nn.Module) -> list[LayerRelevance]:
    """Describe every layer that knows the relevance of its factors.

    Args:
        model: any network.

    Returns:
        One row per product layer, in order; none for models without.
    """
    with torch.no_grad():
        found = [module.relevance() for module in model.modules() if isinstance(module, HasRelevance)]
    return [layer_relevance(k, values) for k, values in enumerate(found, 1)]


def describe(fitted: Fitted) -> dict[str, Any]:
    """Say what a checkpoint holds.

    Args:
        fitted: the fit.

    Returns:
        JSON-able values: kind, model, signal, transform, evaluation, tones of a sound, and layers.
    """
    parameters = list(fitted.model.parameters())
    return {
        "kind": fitted.kind,
        "model": {
            "name": fitted.model_name,
            "config": fitted.config.model_dump(mode="json"),
            "params": count_parameters(fitted.model),
            "bytes": sum(p.numel() * p.element_size() for p in parameters),
            "precision": str(parameters[0].dtype).removeprefix("torch."),
            "n_inputs": fitted.n_inputs,
            "n_outputs": fitted.n_outputs,
        },
        "signal": {"shape": [*fitted.shape, fitted.n_outputs], **fitted.signal},
        "transform": {"shift": fitted.shift, "scale": fitted.scale, "peak": fitted.peak},
        "evaluation": fitted.evaluation,
        "tones": learned_tones(fitted),
        "layers": [asdict(row) for row in relevance_table(fitted.model)],
    }


def describe_solution(solution: AnyField, problem: Problem, header: dict[str, Any]) -> dict[str, Any]:
    """Say what the checkpoint of a solved equation holds.

    Args:
        solution: the field.
        problem: what it solves.
        header: of the checkpoint.

    Returns:
        JSON-able values: kind, field, problem and how it was solved.
    """
    about = dict(header["field"])
    about.pop("functions", None)
    about.pop("ends", None)
    config = problem.config.model_dump(mode="json", exclude_none=True)
    return {
        "kind": "poisson",
        "field": {**about, "numbers": solution.n_coefficients, "precision": "float64"},
        "problem": {"dimensions": problem.n_inputs, "hard_boundary": problem.hard, **config},
        "solve": dict(header.get("solve", {})),
    }
