"""Regression on the samples of a signal: the mean squared error over points and channels."""

import math

from torch import Tensor

from lrnn_cli.numerics.points import Places


class Samples:
    """Targets on a grid or at points, normalised by an affine map that is undone on output.

    The training target is t = (v - shift) / scale for a stored value v. n points, c channels.
    """

    def __init__(self, grid: Places, values: Tensor, *, shift: float, scale: float, peak: float) -> None:
        """Take values (n, c) as stored, in the order of the flat grid index."""
        self.grid = grid
        self.shift, self.scale, self.peak = shift, scale, peak
        self.targets = values.sub(shift).div_(scale)
        self.n_points, self.n_outputs = values.shape

    def coords(self, indices: Tensor) -> Tensor:
        """Return the coordinates (m, d) of the flat indices (m,), in the precision of the targets."""
        return self.grid.coords(indices, self.targets.dtype)

    def squared_error(self, prediction: Tensor, indices: Tensor) -> Tensor:
        """Return the sum over points of the mean over channels of (prediction - target)^2, normalised."""
        return (prediction - self.targets[indices]).square().sum() / self.n_outputs

    def variance(self) -> float:
        """Return the loss of the best constant: the mean over channels of the variance of the targets."""
        return float(self.targets.double().var(0, correction=0).mean())

    def psnr_db(self, loss: float) -> float:
        """Return 10 log10(peak^2 / mse) in dB, mse = loss scale^2 being in stored units; inf for loss 0."""
        mse = self.mse(loss)
        if mse == 0:
            return math.inf
        return 10 * math.log10(self.peak**2 / mse) if mse < math.inf else -mse  # NaN stays NaN

    def mse(self, loss: float) -> float:
        """Return the mean squared error in stored units that belongs to a normalised loss."""
        return loss * self.scale**2

    def restore(self, prediction: Tensor) -> Tensor:
        """Map normalised predictions back to stored units."""
        return prediction * self.scale + self.shift
