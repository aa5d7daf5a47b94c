"""Decoupled IAT-ReLU: one set of weights says where the activation is on, another what is linear there.

    y = F(x, W1, D(x, W2)),
    zeta_k = V_k v_{k-1} + a_k,   D_k = {s in [-1, 1] : zeta_k . p'(s) > 0},   v_k = I(zeta_k),
    z_k = W_k u_{k-1} + b_k,      u_k = S(D_k) z_k = c int_{D_k} q(s) p(s)^T z_k ds,   y = W u_L + b.

W2 = (V, a), the pattern, is an `iat-relu` network of its own, without output layer; y is linear in each layer
of W1 = (W, b). p' are `pattern_width` functions of the same family as the `width` functions p: all patterns
are subsets of [-1, 1], so that `pattern` goes with linear layers of any width. With W1 = W2 it is `iat-relu`.

Integrals are by the roots of the state function of the pattern (`integral_transform`), whose derivatives
carry the gradient to W2; the midpoint rule would have none. The family p has to be continuous: otherwise D,
and with it y, would jump.

Initialisation: both sets as `iat-relu`, independently.

Source: Z. Zhang, F. Bao, G. Zhang, Improving the Expressive Power of Deep Neural Networks through Integral
Activation Transform, 2024, section 4.4, equation (26).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig
from lrnn_cli.models.iat_relu import draw_relu_weights
from lrnn_cli.models.integral_transform import Spec, decoupled, exact
from lrnn_cli.numerics.line_bases import Basis


class IatReluDecoupledConfig(ModelConfig):
    """Shape and bases of a decoupled IAT-ReLU network."""

    default_lr: ClassVar[float] = 4e-3
    width: int = Field(128, ge=1, description="neurons per linear layer, functions in each basis")
    pattern_width: int | None = Field(
        None, ge=1, le=2**16, description="neurons per layer of the pattern; the width if left out"
    )
    depth: int = Field(4, ge=1, description="hidden layers")
    input_basis: Literal["pwl", "pwq", "fourier", "pwl-w"] = Field(
        "pwl-w", description="continuous functions p that turn neurons into a state function"
    )
    output_basis: Basis = Field(
        "pwq", description="functions q that the activated state is integrated against"
    )
    mesh_ratio: int = Field(
        4,
        ge=1,
        le=1024,
        description="cells per neuron on which bases that are not piecewise linear are replaced",
    )


class Pattern(nn.Module):
    """States zeta_1 ... zeta_L of an IAT-ReLU network, which give its activation patterns."""

    def __init__(self, sizes: list[int], spec: Spec) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        draw_relu_weights(layers)
        self.layers = nn.ModuleList(layers)
        self.spec = spec

    def forward(self, coords: Tensor) -> Iterator[Tensor]:
        """Yield the states (n, pattern_width) at coordinates (n, d), layer by layer."""
        state = coords
        for depth, layer in enumerate(self.layers):
            state = layer(exact(state, self.spec) if depth else state)
            yield state


class IatReluDecoupled(CoordinateModel):
    """Decoupled IAT-ReLU network from (n, d) to (n, c) with `depth` hidden layers and a linear head."""

    def __init__(self, config: IatReluDecoupledConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        wide, narrow = config.width, config.pattern_width or config.width
        bases = (config.input_basis, config.output_basis)
        self.spec = Spec(*bases, wide, config.mesh_ratio * max(wide, narrow), narrow)
        layers = [nn.Linear(a, b) for a, b in pairwise([n_inputs] + [wide] * config.depth)]
        draw_relu_weights(layers)
        self.layers = nn.ModuleList(layers)
        self.pattern = Pattern(
            [n_inputs] + [narrow] * config.depth, Spec(*bases, narrow, config.mesh_ratio * narrow)
        )
        self.head = nn.Linear(wide, n_outputs)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to u_L, (n, width)."""
        h = coords
        for layer, state in zip(self.layers, self.pattern(coords), strict=True):
            h = decoupled(layer(h), state, self.spec)
        return h
