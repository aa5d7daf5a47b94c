"""Agreement of an image with measured projections, and the image that agrees best near a given one.

    E(x) = ½ Σ_i w_i (A x - p)_i²          or, ramp-filtered,   ½ (A x - p)ᵀ F (A x - p)

with line integrals p, inverse variances w (1 where nothing is known) and F the ramp filter along the
detector. AᵀA weights coarse structure up to a thousand times more than fine detail, which makes plain
descent slow; AᵀFA is close to a multiple of the identity. F assumes that all rays are equally good, so it
does not go with weights.

The proximal point argmin_x E(x) + ρ/2 |x - z|² is a linear system, solved on the explicit image by conjugate
gradients: there the ill-conditioned part is cheap.

Source: M. Najaf, G. Ongie, Accelerated optimization of implicit neural representations for CT
reconstruction, 2025 (arXiv 2504.13390), for the split between the explicit image and the network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrnn_cli.numerics.checks import check_shape
from lrnn_cli.numerics.fbp import filtered
from lrnn_cli.numerics.projection import Projector


class ProjectionObjective:
    """The data term of a tomographic reconstruction.

    Attributes:
        projector: A.
        sinogram: p, (views, bins).
        weights: w, (views, bins), scaled to a mean of 1; None for 1.
        mean_weight: what w was divided by.
        is_ramp: whether the residual is ramp-filtered.
    """

    def __init__(
        self, projector: Projector, sinogram: Tensor, weights: Tensor | None = None, *, ramp: bool = False
    ) -> None:
        """Take the data.

        Args:
            projector: A.
            sinogram: p, (views, bins).
            weights: w, not negative, (views, bins).
            ramp: filter the residual.

        Raises:
            ValueError: If shapes differ, a weight is negative, or both weights and ramp are asked for.
        """
        shape = projector.geometry.sinogram_shape
        check_shape("sinogram", sinogram, shape)
        if weights is not None:
            check_shape("weights", weights, shape)
            if ramp:
                raise ValueError("weights and ramp: the filter needs rays of equal weight; give one of them")
            if bool((weights < 0).any()) or not float(weights.mean()) > 0:
                raise ValueError("weights: expected numbers of at least 0, not all 0")
        self.projector, self.is_ramp = projector, ramp
        self.sinogram = sinogram.to(projector.device, projector.dtype)
        self.mean_weight = 1.0 if weights is None else float(weights.double().mean())
        self.weights = None if weights is None else (weights / self.mean_weight).to(self.sinogram)

    def _weigh(self, residual: Tensor) -> Tensor:
        """W r, or F r."""
        if self.is_ramp:
            return filtered(residual, self.projector.geometry.detector_spacing)
        return residual if self.weights is None else residual * self.weights

    def value(self, image: Tensor) -> Tensor:
        """Return E(x) as a tensor that can be differentiated.

        Args:
            image: x, (n, n).
        """
        residual = self.projector.forward(image) - self.sinogram
        return 0.5 * (residual * self._weigh(residual)).sum()

    def scale(self) -> float:
        """Return the mean of AᵀW 1 over the image (with the ramp of AᵀF A 1), a natural unit of ρ."""
        ones = torch.ones_like(self.sinogram)
        if self.is_ramp:
            n = self.projector.geometry.size
            ones = self.projector.forward(ones.new_ones(n, n))
        return float(self.projector.adjoint(self._weigh(ones)).mean())

    def relative_residual(self, image: Tensor) -> float:
        """Return |A x - p| / |p|, unweighted.

        Args:
            image: x, (n, n).
        """
        residual = self.projector.forward(image) - self.sinogram
        return float(residual.double().norm() / self.sinogram.double().norm())

    def proximal(self, z: Tensor, coupling: float, start: Tensor, iterations: int = 10) -> Tensor:
        """Return the image that minimises E(x) + ρ/2 |x - z|², nearly: (AᵀWA + ρ) x = AᵀW p + ρ z.

        Args:
            z: the image to stay near to, (n, n).
            coupling: ρ, more than 0.
            start: first guess, (n, n).
            iterations: steps of conjugate gradients; each is one projection and one backprojection.

        Returns:
            x, (n, n).

        Raises:
            ValueError: If ρ is not positive.
        """
        if not coupling > 0:
            raise ValueError(f"coupling: expected a positive number, got {coupling}")

        def normal(x: Tensor) -> Tensor:
            return self.projector.adjoint(self._weigh(self.projector.forward(x))) + coupling * x

        with torch.no_grad():
            x = start
            residual = self.projector.adjoint(self._weigh(self.sinogram)) + coupling * z - normal(x)
            direction, energy = residual, residual.square().sum()
            for _ in range(iterations):
                if not float(energy) > 0:
                    break
                image = normal(direction)
                step = energy / (direction * image).sum()
                x = x + step * direction
                residual = residual - step * image
                energy, before = residual.square().sum(), energy
                direction = residual + energy / before * direction
        return x
