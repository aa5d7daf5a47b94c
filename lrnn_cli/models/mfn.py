"""Multiplicative filter network: products of filters of the coordinates, no activation of an activation.

    h_1 = g_1(x),   h_k = (W_k h_{k-1} + b_k) * g_k(x)  for k = 2 ... K,   y = W h_K + b,   * elementwise,
    Fourier: g(x) = sin(Omega x + c),   Gabor: g_i(x) = exp(-gamma_i |x - mu_i|^2 / 2) sin(Omega_i x + c_i).

The network is a linear combination of exponentially many sines or Gabor functions of x.

Initialisation: Omega ~ U(-1, 1) / sqrt(d) scale / sqrt(K) for d inputs, for Gabor filters times
sqrt(gamma_i); c ~ U(-pi, pi); gamma ~ Gamma(6 / K, rate 1); mu ~ U(-1, 1); W ~ U(-1, 1) / sqrt(n) for n
neurons, b and output layer as torch's default. Unless given, scale is the number N of samples on the
longest axis of the signal, 256 in the authors' setting for 256 x 256 pixels: the products of all filters
then reach to about the Nyquist frequency, pi N / 2 per unit of length.

Source: R. Fathony, A. K. Sahu, D. Willmott, J. Z. Kolter, Multiplicative Filter Networks, ICLR 2021,
sections 3.1 and 3.2; constants of the initialisation as in the authors' release.
"""

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig

SCALE = 256.0  # where no signal is known: the authors' for images of 256 x 256
CONCENTRATION = 6.0  # of the Gamma distribution of the inverse squared widths, over K


class MfnConfig(ModelConfig):
    """Shape, filter and scale of a multiplicative filter network."""

    default_lr: ClassVar[float] = 1e-2
    width: int = Field(256, ge=1, description="neurons per layer")
    depth: int = Field(4, ge=1, description="filters K; all but the first follow a linear layer")
    filter: Literal["fourier", "gabor"] = Field("fourier", description="sines, or sines in a Gaussian window")
    scale: float | None = Field(
        None,
        gt=0,
        description="spread of the frequencies Omega over all filters; the signal's samples if left out",
    )

    def for_signal(self, shape: tuple[int, ...]) -> Self:
        """Return the configuration with scale = max_k n_k unless it was given."""
        return self if self.scale is not None else self.model_copy(update={"scale": float(max(shape))})


class Filter(nn.Module):
    """g: (n, d) -> (n, width)."""

    def __init__(self, config: MfnConfig, n_inputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        bound = (config.scale or SCALE) / math.sqrt(n_inputs * config.depth)
        omega = torch.empty(config.width, n_inputs).uniform_(-bound, bound)
        self.gabor = config.filter == "gabor"
        if self.gabor:
            shape = torch.full((config.width,), CONCENTRATION / config.depth)
            self.gamma = nn.Parameter(torch._standard_gamma(shape))
            self.centre = nn.Parameter(torch.empty(config.width, n_inputs).uniform_(-1, 1))
            omega = omega * self.gamma.detach().sqrt().unsqueeze(1)
        self.omega = nn.Parameter(omega)
        self.phase = nn.Parameter(torch.empty(config.width).uniform_(-math.pi, math.pi))

    def forward(self, coords: Tensor) -> Tensor:
        """Map (n, d) to (n, width)."""
        wave = torch.sin(torch.addmm(self.phase, coords, self.omega.T))
        if not self.gabor:
            return wave
        products = torch.addmm(self.centre.square().sum(1), coords, self.centre.T, alpha=-2.0)
        distance = (
            coords.square().sum(1, keepdim=True) + products
        )  # |x - mu|^2 without an (n, width, d) tensor
        return torch.exp(-0.5 * self.gamma * distance) * wave


class Mfn(CoordinateModel):
    """Multiplicative filter network from (n, d) to (n, c) with `depth` filters and a linear head."""

    def __init__(self, config: MfnConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        self.filters = nn.ModuleList(Filter(config, n_inputs) for _ in range(config.depth))
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth - 1))
        self.head = nn.Linear(config.width, n_outputs)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the last product, (n, width)."""
        h = self.filters[0](coords)
        for layer, filter_ in zip(self.layers, list(self.filters)[1:], strict=True):
            h = layer(h) * filter_(coords)
        return h
