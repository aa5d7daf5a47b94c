"""A network as a reconstruction method: warm start on a classical image, then rounds with the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.loop import Step
from lrnn_cli.fitting.predict import predict
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.fitting.tomography import Prior, Splitting, TomographyFit
from lrnn_cli.models.catalog import config_class, configure
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.projection import ProjectionObjective
from lrnn_cli.signals.signal import Signal
from lrnn_cli.signals.slices import HOUNSFIELD
from lrnn_cli.tasks.ct_scan import Scan
from lrnn_cli.tasks.ct_settings import CtSettings
from lrnn_cli.tasks.regression import ModelChoice, Plan, Regression, make_plan

SHIFT, SCALE = 0.5, 0.5  # of u to the network's targets
ROUNDS, INNER = 12, 2


@dataclass(frozen=True)
class NetworkPlan:
    """What is decided about one network before it is trained."""

    name: str
    plan: Plan
    fit: FitSettings


def plan_network(name: str, scan: Scan, settings: CtSettings) -> NetworkPlan:
    """Resolve width, device and engine of a network for a scan.

    Args:
        name: a model of the catalog.
        scan: what it reconstructs.
        settings: of the run.

    Returns:
        The plan.

    Raises:
        ConfigError: when the network has no such option or cannot be sized.
    """
    configure(name, settings.model.options)  # a misspelt option is told by its nearest name
    n = scan.geometry.size
    blank = np.zeros((n, n, 1), dtype=np.float32)
    options = dict(settings.model.options)
    # a width of the user's own replaces the budget
    params = None if config_class(name).width_key in options else settings.model.params
    # the target moves, so that a rising loss is no sign of trouble
    fit = settings.fit.model_copy(update={"guard": False})
    plan = make_plan(_signal(scan, blank), ModelChoice(name=name, options=options, params=params), fit)
    return NetworkPlan(name, plan, fit)


def _signal(scan: Scan, values: np.ndarray) -> Signal:
    """An image for the trainer and for the writers of the checkpoint."""
    is_hu = scan.units == HOUNSFIELD
    dtype = "uint16" if scan.units.name == "1" and scan.data_range == 1 else "float32"
    return Signal(
        values=values,
        kind="image",
        peak=1.0,
        name=str(scan.source["name"]),
        path=str(scan.source["path"]),
        sha256=str(scan.source["sha256"]),
        format={
            "container": "PNG" if dtype == "uint16" else "TIFF",
            "dtype": dtype,
            "channels": ["L"],
            "modality": "ct",
            "units": scan.units.name,
            "pixel_size": scan.setting["pixel_size"],
            "window": [-1000.0, 1000.0] if is_hu else None,
        },
    )


class NetworkRun:
    """One network from warm start to its final image."""

    def __init__(
        self,
        planned: NetworkPlan,
        scan: Scan,
        objective: ProjectionObjective,
        start: torch.Tensor,
        prior: Prior,
        coupling: float,
    ) -> None:
        """Set up network, trainer and splitting.

        Args:
            planned: the network.
            scan: what is reconstructed.
            objective: the data term.
            start: classical image, u, (n, n).
            prior: of the image.
            coupling: ρ.
        """
        self.scan, self.plan = scan, planned.plan
        values = start.cpu().numpy().astype(np.float32)[..., None]
        self.regression = Regression(_signal(scan, values), (SHIFT, SCALE), planned.plan, planned.fit)
        splitting = Splitting(objective, prior, start.clone(), coupling)
        self.fit = TomographyFit(
            self.regression.trainer, splitting, self._render, n_rounds=ROUNDS, inner=INNER
        )

    def _render(self) -> torch.Tensor:
        """Evaluate the network on the grid, in u."""
        fitted = self.regression.fitted()
        image = predict(fitted, Grid((self.scan.geometry.size,) * 2), self.regression.runner)
        return image[..., 0].to(self.fit.splitting.image)

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[Step]:
        """Train, yielding a record per step."""
        return self.fit.run(should_stop)

    def fitted(self) -> Fitted:
        """Return the network with the map to physical units, v = shift + scale · output."""
        fitted, units = self.regression.fitted(), self.scan.units
        return replace(
            fitted,
            shift=units.offset + units.span * SHIFT,
            scale=units.span * SCALE,
            peak=units.span * self.scan.data_range,
        )

    def about(self) -> dict[str, Any]:
        """Return what was done, for the record."""
        trainer, splitting = self.regression.trainer, self.fit.splitting
        return {
            "params": self.plan.n_params,
            "config": self.plan.config.model_dump(mode="json"),
            "steps": trainer.step,
            "train_s": round(trainer.elapsed, 4),
            "lr": self.plan.lr,
            "engine": self.regression.engine.name,
            "loss_final": trainer.final_loss,
            "rounds": self.fit.rounds_done,
            "coupling": splitting.coupling,
            "prior": {
                "tv": splitting.prior.tv,
                "bandwidth": splitting.prior.bandwidth,
                "share": splitting.prior.share,
            },
        }

    def close(self) -> None:
        """End the threads."""
        self.regression.runner.close()


def render(fitted: Fitted, scan: Scan, runner: Any) -> np.ndarray:
    """Evaluate a network read back from its checkpoint.

    Args:
        fitted: in physical units.
        scan: what it reconstructs.
        runner: blocks and threads.

    Returns:
        u, float64 (n, n), not negative.

    Raises:
        ConfigError: when it is of another size.
    """
    n = scan.geometry.size
    if fitted.shape != (n, n):
        raise ConfigError(f"the network is of {fitted.shape} pixels, the scan of {n}x{n}")
    values = predict(fitted, Grid((n, n)), runner).numpy()[..., 0].astype(np.float64)
    return np.maximum((values - scan.units.offset) / scan.units.span, 0.0)
