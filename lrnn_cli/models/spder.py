"""SPDER: an MLP with damped sine activations, h_k = f(omega_0 (W_k h_{k-1} + b_k)), y = W h_L + b.

    f(u) = sin(u) sqrt|u|  (images)   or   f(u) = sin(u) arctan(u)  (audio),

the authors' choices; unless given, the second for one input and the first for more. The derivative of the
first, cos(u) sqrt|u| + sin|u| / (2 sqrt|u|), tends to 0 at 0; sqrt|u| is bounded from below by 1e-15 there,
which changes no value in float32 and keeps automatic differentiation from dividing by 0.

Initialisation: as `siren`.

Source: K. Shah and C. Sitawarin, SPDER: Semiperiodic Damping-Enabled Object Representation, 2023 (arXiv
2306.15242).
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from lrnn_cli.models.siren import Siren, SirenConfig

_TINY = 1e-30  # bound of |u| under the root


class SpderConfig(SirenConfig):
    """Shape, constants and damping of a SPDER."""

    default_lr: ClassVar[float] = 1e-4
    damping: Literal["sqrt", "arctan"] | None = Field(
        None, description="factor on the sine; arctan for one input and sqrt for more if left out"
    )


def damped_sine(u: Tensor, damping: str) -> Tensor:
    """Return sin(u) sqrt|u| or sin(u) arctan(u)."""
    return torch.sin(u) * (u.abs().clamp_min(_TINY).sqrt() if damping == "sqrt" else torch.atan(u))


class Spder(Siren):
    """SPDER from (n, d) to (n, c) with `depth` damped sine layers and a linear head."""

    def __init__(self, config: SpderConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__(config, n_inputs, n_outputs)
        self.damping = config.damping or ("arctan" if n_inputs == 1 else "sqrt")

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last layer, (n, width)."""
        for omega, layer in zip(self.omegas, self.layers, strict=True):
            coords = damped_sine(omega * layer(coords), self.damping)
        return coords
