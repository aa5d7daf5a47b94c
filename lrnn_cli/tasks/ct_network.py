"""A network as a reconstruction method: warm start on a classical image, then rounds with the data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.loop import Step
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.fitting.predict import predict
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.fitting.tomography import Prior, Splitting, TomographyFit
from lrnn_cli.models.catalog import config_class, configure
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.projection import ProjectionObjective
from lrnn_cli.signals.signal import Signal
from lrnn_cli.signals.slices import HOUNSFIELD
from lrnn_cli.tasks.ct_scan import Scan
from lrnn_cli.tasks.ct_settings import DEFAULT_PARAMS, CtSettings
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
    # a width of the user's own replaces the default budget
    width = config_class(name).width_key
    if width in options and settings.model.params != DEFAULT_PARAMS:
        raise ConfigError(f"--params sets {width} of {name}: give one of them")
    params = None if width in options else settings.model.params
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


@dataclass(frozen=True, eq=False)
class Start:
    """What all networks of a run begin with; it depends on the scan alone, not on a network.

    Attributes:
        image: classical image, u, (n, n).
        about: what was chosen for it.
        step: proximal weight of the prior's total variation, in u.
        bandwidth: of the prior's nonlocal means, in u.
        coupling: ρ.
        seconds: that this took.
    """

    image: torch.Tensor
    about: dict[str, Any]
    step: float
    bandwidth: float
    coupling: float
    seconds: float


def make_prior(kind: str, step: float, bandwidth: float) -> Prior:
    """Return the networks' prior: tv+nlm, tv, nlm or none, with the weight of TV and the bandwidth."""
    return Prior(tv=step if "tv" in kind else 0.0, bandwidth=bandwidth if "nlm" in kind else 0.0)


class NetworkRun:
    """One network from warm start to its final image."""

    def __init__(
        self, planned: NetworkPlan, scan: Scan, objective: ProjectionObjective, start: Start, prior: Prior
    ) -> None:
        """Set up network, trainer and splitting.

        Args:
            planned: the network.
            scan: what is reconstructed.
            objective: the data term.
            start: where it begins.
            prior: of the image.
        """
        self.scan, self.name, self.plan, self.start = scan, planned.name, planned.plan, start
        values = start.image.cpu().numpy().astype(np.float32)[..., None]
        self.regression = Regression(_signal(scan, values), (SHIFT, SCALE), planned.plan, planned.fit)
        splitting = Splitting(objective, prior, start.image.clone(), start.coupling)
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

    @property
    def is_interrupted(self) -> bool:
        """Whether the last steps ended because they were told to."""
        return self.regression.trainer.outcome is Outcome.INTERRUPTED

    def state(self, run_key: str) -> tuple[dict[str, torch.Tensor], int]:
        """Return all that decides the further steps: tensors, and the number of rounds done.

        Args:
            run_key: digest of all that decides the result.
        """
        splitting, samples = self.fit.splitting, self.regression.trainer.samples
        trainer = torch.frombuffer(bytearray(self.regression.state(run_key)), dtype=torch.uint8)
        tensors = {"image": splitting.image, "x": splitting.x, "dual": splitting.dual}
        return {**tensors, "targets": samples.targets, "trainer": trainer}, self.fit.rounds_done

    def restore(self, tensors: dict[str, torch.Tensor], rounds_done: int, run_key: str) -> None:
        """Go on from what `state` returned.

        Args:
            tensors: by name.
            rounds_done: of the splitting.
            run_key: as when it was written.

        Raises:
            CheckpointError: when it is of another run.
            LookupError: when a tensor is missing.
        """
        splitting, samples = self.fit.splitting, self.regression.trainer.samples
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "state.safetensors"
            copy.write_bytes(tensors["trainer"].numpy().tobytes())
            self.regression.resume_from(copy, run_key)
        splitting.x, splitting.dual = tensors["x"].to(splitting.x), tensors["dual"].to(splitting.dual)
        splitting.image = tensors["image"].to(splitting.image)
        samples.targets.copy_(tensors["targets"])
        self.fit.rounds_done = rounds_done

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
            "outcome": str(trainer.outcome or Outcome.INTERRUPTED),
            "lr": trainer.lr,
            "optimizer": trainer.optimizer_name,
            "engine": self.regression.engine.name,
            "loss_final": trainer.final_loss,
            "rounds": self.fit.rounds_done,
            "coupling": splitting.coupling,
            "prior": {
                "tv": splitting.prior.tv,
                "bandwidth": splitting.prior.bandwidth,
                "share": splitting.prior.share,
            },
            "start": self.start.about,
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
