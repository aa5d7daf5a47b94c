"""ReLU MLP on random Fourier features.

    gamma(x) = (cos 2 pi B x, sin 2 pi B x),   B (m, d) ~ N(0, scale^2), drawn once and not learned,
    y = MLP(gamma(x)).

The kernel of the features is that of a Gaussian: gamma(x) . gamma(y) / m -> exp(-2 pi^2 scale^2 |x - y|^2)
as m grows. Coordinates lie on [-1, 1]; the authors' lie on [0, 1], so that their scale of 10 is 5 here.
Theirs suited 256 training samples per axis; unless given, scale = 5 N / 256 for the longest axis of the
signal, the same part of its Nyquist frequency, and m is the width. B is stored with the model but is no
parameter of it.

Initialisation of the MLP: torch's default, as `mlp`.

Source: M. Tancik et al., Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional
Domains, NeurIPS 2020, sections 5 and 6.
"""

import math
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from lrnn_cli.models.mlp import MlpConfig, MlpRelu

SCALE = 5.0  # of the authors for images, in periods per unit of length, for ...
SAMPLES = 256  # ... this many samples per axis


class FourierConfig(MlpConfig):
    """Shape and scale of a network on Fourier features."""

    default_lr: ClassVar[float] = 1e-3
    frequencies: int | None = Field(
        None, ge=1, description="rows m of B, for 2 m features; as many as the width if left out"
    )
    scale: float | None = Field(
        None,
        gt=0,
        description="standard deviation of the frequencies B; from the signal's samples if left out",
    )

    def for_signal(self, shape: tuple[int, ...]) -> Self:
        """Return the configuration with scale = 5 max_k n_k / 256 unless it was given."""
        return (
            self
            if self.scale is not None
            else self.model_copy(update={"scale": SCALE * max(shape) / SAMPLES})
        )


class Fourier(MlpRelu):
    """ReLU MLP from the Fourier features (n, 2 m) of coordinates (n, d) to (n, c)."""

    matrix: Tensor

    def __init__(self, config: FourierConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw B and the initial weights from the global generator."""
        count = config.frequencies or config.width
        super().__init__(config, 2 * count, n_outputs)
        self.register_buffer("matrix", torch.randn(count, n_inputs) * (config.scale or SCALE))

    def encode(self, coords: Tensor) -> Tensor:
        """Map (n, d) to (n, 2 m): the cosines, then the sines."""
        angles = 2 * math.pi * (coords @ self.matrix.T)
        return torch.cat([angles.cos(), angles.sin()], 1)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last hidden layer, (n, width)."""
        return super().features(self.encode(coords))
