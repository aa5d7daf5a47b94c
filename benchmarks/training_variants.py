"""Ways of training that are not part of the tool, for `ablate_training`: batches, an optimiser, a start."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.fitting.sampling import BatchSampler
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.objectives.samples import Samples

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of Jordan et al.


class GrowingBatch(BatchSampler):
    """Batches whose size goes through a list, each size for the same number of passes."""

    def __init__(self, n_points: int, sizes: Sequence[int], passes: float, seed: int) -> None:
        """Start with the first size."""
        super().__init__(n_points, sizes[0], seed)
        self.sizes, self.budget, self.seen = sizes, passes * n_points, 0

    def next(self) -> Tensor:
        """Return the flat indices of the next batch."""
        stage = int(len(self.sizes) * self.seen / self.budget)
        self.batch_points = self.sizes[min(stage, len(self.sizes) - 1)]
        self.seen += self.batch_points
        return super().next()


class StratifiedBatch(BatchSampler):
    """Batches of one pixel from each of the rectangles that tile a picture; every pixel once per pass."""

    def __init__(self, resolution: Sequence[int], stratum: tuple[int, int], seed: int) -> None:
        """Draw nothing yet; `stratum` is height and width of a rectangle, divisors of the picture's."""
        self.tiles = (resolution[0] // stratum[0], resolution[1] // stratum[1])
        self.stratum, self.width = stratum, resolution[1]
        super().__init__(resolution[0] * resolution[1], math.prod(self.tiles), seed)

    def _permutation(self) -> Tensor:
        (rows, columns), (height, width) = self.tiles, self.stratum
        shuffled = torch.rand(rows * columns, height * width, generator=self._generator())
        ranks = shuffled.argsort(1)  # (tiles, pixels)
        corner = torch.arange(rows)[:, None] * height * self.width + torch.arange(columns) * width
        inside = torch.arange(height)[:, None] * self.width + torch.arange(width)
        return (corner.reshape(-1, 1) + inside.reshape(-1)[ranks]).T.reshape(-1)


class RecordingSamples(Samples):
    """Samples that remember the last squared error of each point, which costs nothing extra."""

    def watch(self, start: float) -> None:
        """Take this number for the error of all points not met so far."""
        self.errors = torch.full((self.n_points,), start)

    def squared_error(self, prediction: Tensor, indices: Tensor) -> Tensor:
        """Return what `Samples` returns."""
        if prediction.requires_grad:
            error = (prediction.detach() - self.targets[indices]).square().mean(1)
            self.errors[indices] = error.to(self.errors.dtype)
        return super().squared_error(prediction, indices)


class LossAwareBatch(BatchSampler):
    """A part of each batch is drawn by the last known |error| of the points, the rest by permutations.

    The idea of EVOS (Zhang et al., CVPR 2025): spend steps where the error is. As there, the loss of a batch
    is not weighted back.
    """

    def __init__(self, samples: RecordingSamples, batch_points: int, share: float, seed: int) -> None:
        """Draw nothing yet."""
        self.chosen = round(share * batch_points)
        super().__init__(samples.n_points, batch_points - self.chosen, seed)
        self.batch_points, self.samples, self.rest = batch_points, samples, batch_points - self.chosen
        self.generator = torch.Generator().manual_seed(seed)

    def next(self) -> Tensor:
        """Return the flat indices of the next batch, without doubles in either part."""
        self.batch_points = self.rest
        spread = super().next()
        self.batch_points = self.rest + self.chosen
        weights = self.samples.errors.sqrt() + 1e-12
        return torch.cat([spread, torch.multinomial(weights, self.chosen, generator=self.generator)])


class ProjectionAdam(torch.optim.Adam, ABC):
    """Adam for all parameters but the projections of the hidden layers, which `update` steps.

    Those are the weights (D, R, d) of product layers, one matrix per factor; the first layer, whose inputs
    are coordinates, is Adam's.
    """

    def __init__(self, model: CoordinateModel, lr: float, factor: float = 1.0) -> None:
        """Sort the parameters; groups carry `factor`, as those of `fitting.optimizers`."""
        groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
        for key, parameter in model.named_parameters():
            matrix = key.startswith("layers.") and key.endswith(".weight") and parameter.dim() == 3
            matrix = matrix and not key.startswith("layers.0.")
            rate = model.rate_factor(key) * (factor if matrix else 1.0)
            groups.setdefault((matrix, rate), []).append(parameter)
        self.matrices = [p for (matrix, _), members in groups.items() if matrix for p in members]
        super().__init__(
            [{"params": members, "factor": rate, "lr": lr * rate} for (_, rate), members in groups.items()],
            lr=lr,
        )

    @abstractmethod
    def update(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """Return what is subtracted from a projection, times the rate, of the shape of its gradient."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Step the matrices, take their gradients away from Adam, step the rest."""
        taken = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if any(parameter is each for each in self.matrices):
                    update = self.update(parameter.grad, self.state[parameter])
                    parameter.add_(update, alpha=-group["lr"])
                    taken.append((parameter, parameter.grad))
                    parameter.grad = None
        super().step()
        for parameter, gradient in taken:
            parameter.grad = gradient


class MuonAdam(ProjectionAdam):
    """Muon for the projections, Adam for all else.

    The momentum buffer B of a matrix is replaced by a nearly orthogonal matrix, five Newton-Schulz steps of
    X <- a X + (b A + c A^2) X, A = X X^T, and scaled by 0.2 sqrt(max(R, d)), which gives it the size of an
    update by Adam, so that rates carry over.

    Source: K. Jordan et al., Muon, 2024; the scale: J. Liu et al., Muon is scalable, 2025.
    """

    def __init__(
        self, model: CoordinateModel, lr: float, momentum: float = 0.95, factor: float = 1.0
    ) -> None:
        """Keep the momentum."""
        self.momentum = momentum
        super().__init__(model, lr, factor)

    def update(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """Return the orthogonal matrix nearest to the momentum, scaled."""
        buffer = state.setdefault("muon", torch.zeros_like(gradient))
        buffer.lerp_(gradient, 1 - self.momentum)
        return orthogonal(gradient.lerp(buffer, self.momentum)) * (0.2 * math.sqrt(max(gradient.shape[-2:])))


class SoapAdam(ProjectionAdam):
    """SOAP for the projections, Adam for all else.

    L <- b L + (1 - b) G G^T and H <- b H + (1 - b) G^T G follow the gradients G; Adam works in the basis of
    their eigenvectors, U^T G V, and its step is turned back. Every `every` steps one step of the QR algorithm
    follows the bases.

    Source: N. Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, 2024.
    """

    def __init__(
        self,
        model: CoordinateModel,
        lr: float,
        *,
        factor: float = 1.0,
        memory: float = 0.95,
        beta2: float = 0.95,
        every: int = 10,
    ) -> None:
        """Keep the constants: b, the memory of Adam's second moment, steps between two of the bases."""
        self.memory, self.beta2, self.every = memory, beta2, every
        super().__init__(model, lr, factor)

    def update(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """Return Adam's step in the turned basis, turned back."""
        left, right = gradient @ gradient.mT, gradient.mT @ gradient
        if "soap" not in state:
            state["soap"] = {
                "step": 0, "left": left, "right": right, "u": torch.linalg.eigh(left)[1],
                "v": torch.linalg.eigh(right)[1], "mean": torch.zeros_like(gradient),
                "square": torch.zeros_like(gradient),
            }  # fmt: skip
        soap = state["soap"]
        soap["step"] += 1
        soap["mean"].lerp_(gradient, 0.1)
        soap["square"].lerp_((soap["u"].mT @ gradient @ soap["v"]).square(), 1 - self.beta2)
        mean = soap["u"].mT @ soap["mean"] @ soap["v"] / (1 - 0.9 ** soap["step"])
        square = soap["square"] / (1 - self.beta2 ** soap["step"])
        update = soap["u"] @ (mean / (square.sqrt() + 1e-8)) @ soap["v"].mT
        soap["left"].lerp_(left, 1 - self.memory)
        soap["right"].lerp_(right, 1 - self.memory)
        if soap["step"] % self.every == 0:
            soap["u"] = torch.linalg.qr(soap["left"] @ soap["u"])[0]
            soap["v"] = torch.linalg.qr(soap["right"] @ soap["v"])[0]
        return update


def orthogonal(matrices: Tensor) -> Tensor:
    """Return U V^T, nearly, of matrices (D, R, d) with singular value decompositions U S V^T."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.transpose(-1, -2) if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-20)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(-1, -2) if matrices.shape[-2] > matrices.shape[-1] else x


def rms_frequency(values: Tensor) -> float:
    """Return the root mean square frequency of an image (h, w, c) in radians per half span.

    sqrt(sum |k|^2 |F_k|^2 / sum |F_k|^2) over k != 0, with k = pi (cycles per side); a Hann window keeps the
    jump at the border out.
    """
    h, w = values.shape[:2]
    window = torch.hann_window(h)[:, None] * torch.hann_window(w)
    power = torch.fft.fft2((values - values.mean((0, 1))).mul(window[..., None]), dim=(0, 1)).abs().square()
    power = power.sum(-1)
    k = math.pi * torch.hypot(
        torch.fft.fftfreq(h, 1 / h)[:, None].expand(h, w), torch.fft.fftfreq(w, 1 / w).expand(h, w)
    )
    return math.sqrt(float((k.square() * power).sum() / power.sum()))
