"""Any model of the catalog on an equation: residuals by Taylor mode, their gradient and their dense Jacobian.

    u = G + m s N_θ((x - c) / h),    G lift and m mask where the boundary is hard,

c and h centre and half sides of the bounding box. s, a constant, is chosen at the start such that the two
sides of the equation are of one size; the weights then need not grow.
"""

from __future__ import annotations

import copy
import threading
import warnings
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.blocks import BlockRunner, paired, ranges
from lrnn_cli.fitting.fields import NetworkField
from lrnn_cli.fitting.linear_jacobian import LayerWatch, linear_layers
from lrnn_cli.models.budget import fit_budget
from lrnn_cli.models.catalog import build, config_class, configure
from lrnn_cli.models.contract import CoordinateModel, ModelConfig, use_engine
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.numerics.taylor import field_jet
from lrnn_cli.objectives.poisson import Problem

BLOCK = 768  # rows per thread and turn; the fewest, 1024, are two blocks
PER_SAMPLE = 128  # rows of the Jacobian at once
PER_PASS = 256  # the same for linear layers
ROUNDING = 1e-14
PARAMETERS = 1000  # where no size is given
SAMPLES = 32  # per axis, of the signal that stands in for a problem where a model asks for one
PIECEWISE_LINEAR = ("mlp-relu", "maxout")

# What differs from images: two layers and few periods per side; solutions are smooth.
_OPTIONS: dict[str, dict[str, Any]] = {
    "lrnn": {"sigma": "sin", "depth": 1, "layer_norm": False},
    **{key: {"depth": 2, "omega_first": 20.0, "omega_hidden": 3.0} for key in ("siren", "spder", "finer")},
    "wire": {"depth": 2, "omega_first": 10.0, "omega_hidden": 3.0, "scale": 2.0},
    "gauss": {"depth": 2, "scale": 2.0},
    "kan": {"depth": 1, "grid": 10, "order": 4},
    **{key: {"depth": 2} for key in ("mfn", "fourier", "relu-pe", "maxout")},
    **{key: {"depth": 2} for key in ("mlp-relu", "mlp-tanh", "mlp-sigmoid", "iat-relu-decoupled")},
    "iat-relu": {"depth": 2, "integral": "exact"},  # the midpoint rule is piecewise linear
}
_OMEGA_PER_AXIS = 8.0  # of product layers, whose first weights are divided by the number of inputs


class PerThread:
    """A module for each thread: `functional_call` puts weights into the module itself for the time of a call.

    Two threads in one module would compute with each other's weights.
    """

    def __init__(self, module: CoordinateModel) -> None:
        """Keep the module for the calling thread; others copy it when they first ask."""
        self.module, self._local = module, threading.local()
        self._local.module = module

    def get(self) -> CoordinateModel:
        """Return the module of this thread."""
        found = getattr(self._local, "module", None)
        if found is None:
            with _COPYING:
                found = self._local.module = copy.deepcopy(self.module)
        return cast(CoordinateModel, found)


_COPYING = threading.Lock()


@dataclass(frozen=True)
class CatalogNetwork:
    """A model with its weights as one vector θ (P,), float64."""

    problem: Problem
    name: str
    config: ModelConfig
    modules: PerThread
    theta: Tensor
    scale: float = 1.0
    engine: str = "reference"  # of product layers; the Jacobian by rows takes the reference

    @property
    def module(self) -> CoordinateModel:
        """The module of the thread that asks; its own weights mean nothing."""
        return self.modules.get()

    def vector(self) -> Tensor:
        """Return θ."""
        return self.theta

    def moved(self, step: Tensor) -> CatalogNetwork:
        """Return the network with θ + step."""
        return replace(self, theta=self.theta + step)

    def weights(self, theta: Tensor) -> dict[str, Tensor]:
        """Return θ cut into the parameters of the module."""
        named = dict(self.module.named_parameters())
        parts = theta.split([p.numel() for p in named.values()])
        return {key: part.view_as(p) for (key, p), part in zip(named.items(), parts, strict=True)}

    def rows_of(self, weights: dict[str, Tensor], rows: Rows) -> Tensor:
        """Return ρ (n,), differentiable by the weights."""
        lower, upper = (rows.points.new_tensor(b) for b in self.problem.domain.bounds())
        module = self.module
        jet = field_jet(
            lambda t: functional_call(module, weights, (t,)), rows.points,
            origin=(lower + upper) / 2, scale=(upper - lower) / 2,
        )  # fmt: skip
        return rows.apply(Jet(jet.value, jet.gradient, jet.laplacian)) * self.scale - rows.target

    def residual(self, rows: Rows, runner: BlockRunner) -> Tensor:
        """Return ρ (n,)."""
        weights = self.weights(self.theta)

        def block(span: tuple[int, int]) -> Tensor:
            with torch.no_grad():
                return self.rows_of(weights, rows.take(slice(*span)))

        return torch.cat(list(runner.map(block, _blocks(len(rows), runner))))

    def loss_and_gradient(self, theta: Tensor, rows: Rows, runner: BlockRunner) -> tuple[float, Tensor]:
        """Return |ρ|² and its gradient by θ (P,), the blocks added in their order."""

        def block(span: tuple[int, int]) -> tuple[float, Tensor]:
            leaf = theta.detach().clone().requires_grad_(True)
            with torch.enable_grad():
                cost = self.rows_of(self.weights(leaf), rows.take(slice(*span))).square().sum()
            return float(cost.detach()), torch.autograd.grad(cost, leaf)[0]

        parts = list(runner.map(block, _blocks(len(rows), runner)))
        return sum(cost for cost, _ in parts), torch.stack([gradient for _, gradient in parts]).sum(0)

    def jacobian(self, rows: Rows, runner: BlockRunner) -> tuple[Tensor, Tensor]:
        """Return ρ (n,) and J (n, P): from linear layers in one backward pass, else by one per row."""
        if linear_layers(self.module):
            weights = self.weights(self.theta)

            def at_once(span: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
                part = rows.take(slice(*span))
                with LayerWatch(linear_layers(self.module)) as watch:
                    return watch.jacobian(lambda leaves: self.rows_of(leaves, part), weights)

            found = list(runner.map(at_once, ranges(len(rows), PER_PASS)))
            known = [part for part in found if part is not None]
            if len(known) == len(found):
                return torch.cat([value for value, _ in known]), torch.cat([part for _, part in known])
        return self._jacobian_by_rows(rows, runner)

    def _jacobian_by_rows(self, rows: Rows, runner: BlockRunner) -> tuple[Tensor, Tensor]:
        """Return ρ (n,) and J (n, P), one backward pass per row, many rows at once."""

        def one(
            theta: Tensor, point: Tensor, second: Tensor, first: Tensor, zeroth: Tensor, target: Tensor
        ) -> Tensor:
            row = Rows(point[None], second[None], first[None], zeroth[None], target[None])
            return self.rows_of(self.weights(theta), row)[0]

        each = vmap(grad_and_value(one), in_dims=(None, 0, 0, 0, 0, 0))

        def block(span: tuple[int, int]) -> tuple[Tensor, Tensor]:
            r = rows.take(slice(*span))
            use_engine(self.module, "reference")  # the operators of the others are not for vmap
            try:
                return each(self.theta, r.points, r.second, r.first, r.zeroth, r.target)
            finally:
                use_engine(self.module, self.engine)

        with warnings.catch_warnings():  # about the speed of splines, once per program
            warnings.filterwarnings("ignore", message="torch.searchsorted")
            parts = list(runner.map(block, ranges(len(rows), PER_SAMPLE)))
        return torch.cat([value for _, value in parts]), torch.cat([gradient for gradient, _ in parts])

    def field(self, problem: Problem) -> NetworkField:
        """Return the solution that it stands for."""
        model = build(self.name, self.config, n_inputs=problem.n_inputs, n_outputs=1, seed=0).double()
        state = {**self.module.state_dict(), **self.weights(self.theta)}
        model.load_state_dict(state)
        return NetworkField(problem, self.name, self.config, model, self.scale)


def _blocks(n: int, runner: BlockRunner) -> list[tuple[int, int]]:
    """Return the parts that the threads work on; a GPU takes all rows at once."""
    return paired(n, BLOCK) if runner.device.type == "cpu" else [(0, n)]


def choose_config(
    name: str, options: dict[str, Any], n_params: int | None, n_inputs: int
) -> tuple[ModelConfig, int]:
    """Return the configuration of a model for an equation: given options over those that suit equations.

    Args:
        name: a row of the catalog.
        options: given by the user.
        n_params: budget that sets the width; `PARAMETERS` where neither it nor the width is given.
        n_inputs: d.

    Returns:
        the configuration and its number of parameters.

    Raises:
        ConfigError: when the model or an option is unknown or out of range, or the budget is too small.
    """
    cls = config_class(name)
    chosen = {**_OPTIONS.get(name, {}), **options}
    if name == "lrnn":
        chosen = {"omega_first": _OMEGA_PER_AXIS * n_inputs, **chosen}
    start = configure(name, chosen).for_signal((SAMPLES,) * n_inputs)
    chosen = {**start.model_dump(exclude_unset=True), **_decided(start, chosen)}
    if n_params is None and cls.width_key in options:
        config = cls(**chosen)
        with torch.device("meta"):
            module = build(name, config, n_inputs=n_inputs, n_outputs=1)
        return config, sum(p.numel() for p in module.parameters())
    if n_params is not None and cls.width_key in options:
        raise ConfigError(f"--params sets {cls.width_key} of {name}: give one of them")
    return fit_budget(name, chosen, n_params or PARAMETERS, n_inputs=n_inputs, n_outputs=1)


def _decided(config: ModelConfig, chosen: dict[str, Any]) -> dict[str, Any]:
    """Return what `for_signal` filled in."""
    plain = type(config)(**chosen).model_dump()
    return {key: value for key, value in config.model_dump().items() if plain[key] != value}


def start_catalog_network(
    problem: Problem,
    name: str,
    config: ModelConfig,
    seed: int,
    rows: Rows,
    runner: BlockRunner,
    engine: str = "reference",
) -> CatalogNetwork:
    """Build a model with weights that depend on the seed alone, and choose s by the rows.

    Args:
        problem: what to solve.
        name: of the model in the catalog.
        config: its configuration.
        seed: of the weights.
        rows: whose targets tell the size of the solution; on the device of the runner.
        runner: of the blocks; the weights are made on the CPU and moved to its device.
        engine: of product layers, as resolved by `dispatch.choose_engine` for Laplacians.

    Returns:
        the network.
    """
    module = build(name, config, n_inputs=problem.n_inputs, n_outputs=1, seed=seed).double()
    module.to(runner.device)
    use_engine(module, engine)
    module.requires_grad_(False)
    theta = nn.utils.parameters_to_vector(module.parameters()).detach()
    network = CatalogNetwork(problem, name, config, PerThread(module), theta, engine=engine)
    size = float((network.residual(rows, runner) + rows.target).norm())
    wanted = float(rows.target.norm())
    # where nothing is left to solve the network starts as small as rounding
    return replace(network, scale=max(wanted, ROUNDING) / size if size > 0 else 1.0)
