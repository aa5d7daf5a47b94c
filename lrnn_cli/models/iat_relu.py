"""IAT-ReLU: an MLP whose activation acts on a function built from all neurons of a layer.

    z_k = W_k u_{k-1} + b_k,   u_k = I(z_k) = c int_{-1}^{1} q(s) max(0, z_k . p(s)) ds,   y = W u_L + b.

p, q: families of `width` functions on [-1, 1], the input and the output basis (`numerics.line_bases`); the
integral by the midpoint rule with M points, û = (2 c / M) Q max(0, P^T z), or by the roots of the state
function z . p (`integral_transform`). Rect with rect is the plain ReLU MLP.

c is the constant for which E|u|^2 = E|z|^2 / 2 for z ~ N(0, I), as ReLU has it; the transform is homogeneous
in p, q and z, so that scaling them is otherwise without effect.

Initialisation: W ~ U(-1, 1) sqrt(6 / n) for n inputs, variance 2 / n, which with that c keeps the mean square
through the layers; b ~ U(-1, 1) / sqrt(n) and the last layer as torch's default. The authors give none.

Source: Z. Zhang, F. Bao, G. Zhang, Improving the Expressive Power of Deep Neural Networks through Integral
Activation Transform, 2024, sections 3 and 4.
"""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.integral_transform import Spec, exact, midpoint
from lrnn_cli.models.mlp import Mlp, MlpConfig
from lrnn_cli.numerics.line_bases import Basis


class IatReluConfig(MlpConfig):
    """Shape, bases and rule of an IAT-ReLU network."""

    default_lr: ClassVar[float] = 4e-3
    width: int = Field(128, ge=1, description="neurons per layer, functions in each basis")
    depth: int = Field(4, ge=1, description="hidden layers")
    input_basis: Basis = Field("fourier", description="functions p that turn neurons into a state function")
    output_basis: Basis = Field(
        "pwq", description="functions q that the activated state is integrated against"
    )
    integral: Literal["midpoint", "exact"] = Field(
        "midpoint", description="midpoint rule, or by the roots of the state function"
    )
    points: int | None = Field(
        None, ge=1, le=2**16, description="points M of the integral; mesh_ratio times the width if left out"
    )
    mesh_ratio: int = Field(4, ge=1, le=1024, description="points per neuron if points is left out")


def draw_relu_weights(layers: list[nn.Linear]) -> None:
    """Draw W ~ U(-1, 1) sqrt(6 / n), which keeps the mean square behind an activation that halves it."""
    with torch.no_grad():
        for layer in layers:
            bound = math.sqrt(6.0 / layer.in_features)
            layer.weight.uniform_(-bound, bound)


class IatRelu(Mlp):
    """IAT-ReLU network from (n, d) to (n, c) with `depth` hidden layers and a linear head."""

    def __init__(self, config: IatReluConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__(config, n_inputs, n_outputs)
        draw_relu_weights([layer for layer in self.layers if isinstance(layer, nn.Linear)])
        points = config.points or config.mesh_ratio * config.width
        self.spec = Spec(config.input_basis, config.output_basis, config.width, points)
        self.rule = midpoint if config.integral == "midpoint" else exact

    def activate(self, z: Tensor) -> Tensor:
        """Return I(z), (n, width)."""
        return self.rule(z, self.spec)
