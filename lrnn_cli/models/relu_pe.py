"""ReLU MLP on the positional encoding of NeRF.

    gamma(x) = (x, sin(pi x), cos(pi x), ..., sin(2^(K-1) pi x), cos(2^(K-1) pi x)) per coordinate,
    y = MLP(gamma(x)).

K octaves turn d coordinates into d (2 K + 1) inputs. Octave k has 2^k / 2 periods per unit of length; N
cell centres on [-1, 1] resolve N / 4, their Nyquist frequency. Unless given, K = floor(log2 N) for the
longest axis of the signal, the largest K all of whose octaves lie at or below it. The coordinates
themselves are among the inputs, as in the authors' code, because every octave takes opposite borders for
the same place.

Initialisation: torch's default, as `mlp`.

Source: B. Mildenhall et al., NeRF: Representing Scenes as Neural Radiance Fields for View Synthesis, ECCV
2020, section 5.1; the Nyquist rule after V. Sitzmann et al., NeurIPS 2020, who stop two octaves earlier.
"""

import math
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from lrnn_cli.models.mlp import MlpConfig, MlpRelu

OCTAVES = 8  # where no signal is known: that of an axis of 256 samples


class ReluPeConfig(MlpConfig):
    """Shape of a ReLU MLP with positional encoding."""

    default_lr: ClassVar[float] = 1e-3
    octaves: int | None = Field(
        None,
        ge=1,
        le=24,
        description="octaves K of the encoding; up to the signal's Nyquist frequency if left out",
    )

    def for_signal(self, shape: tuple[int, ...]) -> Self:
        """Return the configuration with K = floor(log2 max_k n_k), at least 1, unless it was given."""
        nyquist = min(24, max(1, max(shape).bit_length() - 1))
        return self if self.octaves is not None else self.model_copy(update={"octaves": nyquist})


class ReluPe(MlpRelu):
    """ReLU MLP from the encoding (n, d (2 K + 1)) of coordinates (n, d) to (n, c)."""

    def __init__(self, config: ReluPeConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        self.octaves = config.octaves or OCTAVES
        super().__init__(config, n_inputs * (2 * self.octaves + 1), n_outputs)

    def encode(self, coords: Tensor) -> Tensor:
        """Map (n, d) to (n, d (2 K + 1)): coordinates, then all sines, then all cosines, octave by octave."""
        octaves = torch.arange(self.octaves, dtype=coords.dtype, device=coords.device)
        angles = (torch.exp2(octaves) * math.pi * coords.unsqueeze(-1)).transpose(1, 2).flatten(1)  # (n, K d)
        return torch.cat([coords, angles.sin(), angles.cos()], 1)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last hidden layer, (n, width)."""
        return super().features(self.encode(coords))
