"""When the matrix products of the backward pass are rounded no more: from a quality at which that shows."""

import math

from lrnn_cli.kernels.precision import Precision
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.objectives.samples import Samples

FULL_FROM_DB = 45.0  # training PSNR


class BackwardSwitch:
    """Tells a model with product layers its precision, and once, for good, to go back to the full one."""

    def __init__(self, model: CoordinateModel, samples: Samples, precision: Precision) -> None:
        """Begin with this precision; other models have nothing to choose."""
        self.model, self.precision = model, precision
        self.full_from = math.inf  # the step from which products were in full
        self._full_below = samples.peak**2 * 10 ** (-FULL_FROM_DB / 10) / samples.scale**2
        self._tell(precision)

    def _tell(self, precision: Precision) -> None:
        self.precision = precision
        if (setter := getattr(self.model, "use_backward", None)) is not None:
            setter(precision)

    def watch(self, step: int, smooth_loss: float) -> str | None:
        """Look at the running mean of the loss before a step; return in words what was switched, if so."""
        if self.precision == "full" or not (smooth_loss < self._full_below or self.full_from < step):
            return None
        self._tell("full")
        self.full_from = min(self.full_from, step)
        return f"products of the backward pass in full from here on: {FULL_FROM_DB:g} dB"
