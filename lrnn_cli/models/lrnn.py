"""LRNN: low-rank separated neural network with learnable product-structured activations.

    z^l = W^l x + b^l,   phi_l(z) = prod_{j=1..D} (1 + gamma g_lj(z_j)),   gamma = D^(-1/2),
    g_lj(z) = sum_{m=1..M} a_m (sigma(omega_0 w_m z + c_m) - mu),
    y(x) = S (phi^(L) o ... o phi^(1))(x) + s_0,   LayerNorm on each phi^(k).

d inputs, D = d-bar factors per neuron, R neurons (the separation rank) per layer, M components per factor,
L layers. One layer is the shallow network of equation (1); D = 1 is an MLP with learnable activations.

Initialisation: first layer W ~ U(-1, 1) / d as SIREN, or with `first_scales` = spread each projection times
a scale of its own, U(0, 2), so that low frequencies are there, too; hidden layers W ~ U(-1, 1) sqrt(3 / n)
/ omega_0 for n inputs, so that omega_0 W x has variance 1 behind a LayerNorm; b ~ U(-1, 1) pi / omega_0, a
random phase; w = 1; c = 0 for M = 1 and c ~ U(-pi, pi) beyond; mu, a constant of the layer, is the mean of
sigma under these arguments, and all a are the positive number that gives g the variance sigma_g^2 (Lemma 1,
`components`; where scales are spread both are those of scale 1). Sigma `fourier` and `bspline` start
otherwise, and keep w (both) and c (the second) as they are: see there.

Source: S. Maharaj and P. B. Nair, Deep Learning with Learnable Product-Structured Activations, ICLR 2026.
The paper leaves the constants of the initialisation open; those above come from early trials,
not stored.
"""

import math
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.kernels.dispatch import product_layer
from lrnn_cli.kernels.layer_norm import layer_norm
from lrnn_cli.kernels.precision import Precision
from lrnn_cli.models.components import Sigma, kernel_family, start
from lrnn_cli.models.contract import CoordinateModel, ModelConfig

# Factors on the learning rate, since parameters differ in scale: amplitudes and phases are O(1) and few, a
# projection weight is O(1 / (omega_0 sqrt(n))); the first layer sets the frequencies and wants to stay near
# its start.
RATE_FACTORS = {"layers.0.weight": 0.3, "norm": 3.0, "amplitude": 10.0, "phase": 10.0, "bias": 0.3}

# At one point all g_j of the first layer share |x|, on which the mean of a sigma that is not odd depends:
# with more factors than this, by `first_scales`, signs alternate there, or Lemma 1 would fail.
SHARED_FACTORS = {"equal": 16, "spread": 4}

STEADY_OMEGA = 60.0  # rad per half span, the largest omega_0 at which RATE_FACTORS hold for the first layer


class LrnnConfig(ModelConfig):
    """Shape and constants of an LRNN."""

    width_key: ClassVar[str] = "rank"
    default_lstsq: ClassVar[tuple[str, ...]] = ("start", "end")
    rank: int = Field(156, ge=1, description="neurons per layer, the separation rank r")
    dbar: int = Field(4, ge=1, description="factors per neuron")
    depth: int = Field(3, ge=1, description="product layers; 1 is the shallow network")
    component_width: int = Field(1, ge=1, description="terms M of each component function")
    sigma: Sigma = Field("spder", description="univariate family of the component functions")
    components: Literal["flex", "shared"] = Field(
        "flex", description="component functions per neuron, or shared by the neurons of a layer"
    )
    omega_first: float = Field(80.0, gt=0, le=1e5, description="base frequency of the first layer")
    omega_hidden: float = Field(30.0, gt=0, le=1e5, description="base frequency of the other layers")
    first_scales: Literal["equal", "spread"] = Field(
        "equal", description="scales of the first layer's projections: equal, or spread over (0, 2)"
    )
    hidden_rate: float = Field(
        1.0, gt=0, le=100, description="on the learning rate of projections between first and last layer"
    )
    layer_norm: bool = Field(True, description="LayerNorm after each product layer")
    product: Literal["one-plus", "plain"] = Field("one-plus", description="factors 1 + gamma g, or g alone")
    sigma_g: float = Field(
        1.0, gt=0, description="standard deviation of the component functions at the start"
    )

    @property
    def kernel_family(self) -> str:
        """Name in `kernels.families` of sigma."""
        return kernel_family(self.sigma)


class ProductLayer(nn.Module):
    """One layer phi: (n, d) -> (n, R), followed by LayerNorm unless switched off."""

    amplitude: Tensor
    frequency: Tensor
    phase: Tensor

    def __init__(self, n_inputs: int, config: LrnnConfig, *, first: bool) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        rank, dbar, width = config.rank, config.dbar, config.component_width
        functions = rank if config.components == "flex" else 1
        self.family = kernel_family(config.sigma)
        self.omega = config.omega_first if first else config.omega_hidden
        self.offset = 1.0 if config.product == "one-plus" else 0.0
        self.gamma = 1.0 / math.sqrt(dbar) if config.product == "one-plus" else 1.0
        self.engine = "reference"
        self.backward: Precision = "full"
        bound = 1.0 / n_inputs if first else math.sqrt(3.0 / n_inputs) / self.omega
        weight = torch.empty(dbar, rank, n_inputs).uniform_(-bound, bound)
        if first and config.first_scales == "spread":
            weight *= torch.empty(dbar, rank, 1).uniform_(0.0, 2.0)
        self.weight = nn.Parameter(weight)
        largest = math.pi / self.omega
        self.bias = nn.Parameter(torch.empty(dbar, rank).uniform_(-largest, largest))
        spread = self.omega * bound * math.sqrt(n_inputs) / 3.0 if first else 1.0
        initial = start(config.sigma, (width, dbar, functions), spread=spread, sigma_g=config.sigma_g)
        self.centre = initial.centre
        if first and dbar > SHARED_FACTORS[config.first_scales]:
            initial.amplitude[:, 1::2].neg_()
        for name in ("amplitude", "frequency", "phase"):
            values = getattr(initial, name).contiguous()
            if name in initial.fixed:
                self.register_buffer(name, values)
            else:
                self.register_parameter(name, nn.Parameter(values))
        self.norm = nn.LayerNorm(rank) if config.layer_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, d) to (n, R)."""
        shape = (self.amplitude.shape[0], *self.bias.shape)
        phi = product_layer(
            x,
            self.weight,
            self.bias,
            self.amplitude.expand(shape),
            (self.omega * self.frequency).expand(shape),
            self.phase.expand(shape),
            family=self.family,
            gamma=self.gamma,
            offset=self.offset,
            centre=self.centre,
            engine=self.engine,
            backward=self.backward,
        )
        if not isinstance(self.norm, nn.LayerNorm):
            return phi
        return layer_norm(phi, self.norm.weight, self.norm.bias, eps=self.norm.eps, engine=self.engine)

    def relevance(self) -> Tensor:
        """Return |gamma| sum_m |a_m| per factor, (D, R); where it is near 0 the factor stays near 1."""
        return self.gamma * self.amplitude.detach().abs().sum(0).expand(self.bias.shape)


class Lrnn(CoordinateModel):
    """Deep (or, with one layer, shallow) LRNN from (n, d) to (n, c)."""

    def __init__(self, config: LrnnConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        self.omega_first, self.hidden_rate = config.omega_first, config.hidden_rate
        sizes = [n_inputs] + [config.rank] * (config.depth - 1)
        self.layers = nn.ModuleList(ProductLayer(n, config, first=k == 0) for k, n in enumerate(sizes))
        self.head = nn.Linear(config.rank, n_outputs)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last product layer, (n, R)."""
        for layer in self.layers:
            coords = layer(coords)
        return coords

    def rate_factor(self, name: str) -> float:
        """Return the factor on the learning rate of a parameter, from early trials.

        What is multiplied by omega_0 of the first layer must move the less the larger that is, or the
        frequencies learned never settle: beyond `STEADY_OMEGA` the factor falls as 1 / omega_0
        (docs/audio.md).
        """
        factor = next((factor for part, factor in RATE_FACTORS.items() if part in name), 1.0)
        if name in ("layers.0.weight", "layers.0.bias", "layers.0.frequency"):
            factor *= min(1.0, STEADY_OMEGA / self.omega_first)
        between = [f"layers.{k}.weight" for k in range(1, len(self.layers) - 1)]
        return factor * self.hidden_rate if name in between else factor

    def use_engine(self, name: str) -> None:
        """Evaluate all product layers with the engine of this name (see `kernels.dispatch`)."""
        for layer in self.layers:
            cast(ProductLayer, layer).engine = name

    def use_backward(self, name: Precision) -> None:
        """Multiply in this precision in the backward pass of all product layers (see `kernels.precision`)."""
        for layer in self.layers:
            cast(ProductLayer, layer).backward = name
