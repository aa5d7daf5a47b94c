"""The measures that tables know, and targets on them: which way is better, how many digits, which unit."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.settings import parse_target
from lrnn_cli.studies.collect import RunRecord


@dataclass(frozen=True)
class Measure:
    """A column of figures.

    Attributes:
        title: of the column, with the unit.
        upward: whether larger is better; None for what is neither.
        form: how a figure is written.
    """

    title: str
    upward: bool | None
    form: str

    def show(self, value: float | None) -> str:
        """Write a figure; a dash for none, `exact` for the infinite PSNR of an exact fit."""
        if value is None:
            return "–"
        return "exact" if math.isinf(value) else format(value, self.form)


MEASURES: dict[str, Measure] = {
    "psnr_db": Measure("PSNR/dB", True, ".2f"),
    "ssim": Measure("SSIM", True, ".4f"),
    "snr_db": Measure("SNR/dB", True, ".2f"),
    "si_sdr_db": Measure("SI-SDR/dB", True, ".2f"),
    "rho_ag": Measure("rho_AG", True, ".4f"),
    "mse": Measure("MSE", False, ".2e"),
    "mse_heldout": Measure("held-out MSE", False, ".2e"),
    "accuracy": Measure("accuracy", True, ".3f"),
    "lsd_db": Measure("LSD/dB", False, ".2f"),
    "mrstft": Measure("MR-STFT", False, ".3f"),
    "rmse": Measure("RMSE", False, ".4f"),
    "data_residual": Measure("data residual", False, ".2e"),
    "rel_l2": Measure("rel. L2", False, ".2e"),
    "max_error": Measure("max. error", False, ".2e"),
    "residual_heldout": Measure("residual", False, ".2e"),
    "train_s": Measure("time/s", None, ".2f"),
    "ms_per_step": Measure("ms/step", False, ".2f"),
    "peak_mb": Measure("memory/MiB", False, ".0f"),
}

SHOWN: dict[str, tuple[str, ...]] = {
    "image": ("psnr_db", "ssim"),
    "audio": ("psnr_db", "snr_db", "mse", "rho_ag"),
    "slice": ("psnr_db", "ssim", "rmse"),
    "sinogram": ("data_residual",),
    "poisson": ("rel_l2", "max_error", "residual_heldout"),
    "function": ("mse", "mse_heldout", "accuracy", "max_error"),
}
# of the columns about a target
SECONDS, STEPS = Measure("time/s", False, ".2f"), Measure("steps", False, ".0f")
COSTS = ("train_s", "ms_per_step", "peak_mb")

DEFAULT_TARGETS = {"image": "25,30,35,40", "audio": "mse=1e-3,mse=1e-4"}


@dataclass(frozen=True)
class Target:
    """A figure to reach; a mean squared error at peak 1 is held as the PSNR that it is.

    Attributes:
        measure: key in `metrics`.
        value: what is to be reached.
        text: as people write it.
    """

    measure: str
    value: float
    text: str

    def met_by(self, figure: float | None) -> bool:
        """Tell whether a figure is as good as the target."""
        if figure is None:
            return False
        return figure >= self.value if MEASURES[self.measure].upward else figure <= self.value


def parse_targets(text: str) -> list[Target]:
    """Read targets such as `25,30dB,mse=1e-4,rel_l2=1e-3`; a bare number is a PSNR in dB.

    Returns:
        the targets in their order, each once.

    Raises:
        ConfigError: when one is no target.
    """
    found = {}
    for part in (each.strip() for each in text.split(",")):
        name, equals, number = part.partition("=")
        if equals and name in MEASURES and name != "mse" and MEASURES[name].upward is not None:
            target = Target(name, _number(number, part), part)
        else:
            target = _fidelity(part)
        found[target.measure, target.value] = target
    return list(found.values())


def _fidelity(part: str) -> Target:
    """Read a PSNR or a mean squared error at peak 1, which is a PSNR of -10 log10 mse."""
    name, equals, _ = part.partition("=")
    if equals and name.lower() != "mse":
        near = difflib.get_close_matches(name, MEASURES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"--targets {part!r}: unknown measure {name!r}; {hint}write 40, 40dB or mse=1e-4")
    try:
        kind, value = parse_target(part if equals or part.lower().endswith("db") else f"{part}dB")
    except ConfigError:
        raise ConfigError(f"--targets {part!r}: expected 40, 40dB, mse=1e-4 or rel_l2=1e-3") from None
    if kind == "mse":
        return Target("psnr_db", -10 * math.log10(value), part)
    return Target("psnr_db", value, f"{value:g} dB")


def _number(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"--targets {part!r}: expected a number after the =")
    return value


@dataclass(frozen=True)
class Reached:
    """When a run reached a target."""

    seconds: float | None
    step: int | None


def time_to(record: RunRecord, target: Target) -> Reached | None:
    """Return when a run reached a target, None when it did not.

    Success is decided by the final figure that the table shows, of a run that ended well: a PSNR is that of
    the network's values before they are clipped and rounded into a file; the time is that of the first record
    of the log that is as good. The log holds the running mean over
    batches, so that the time is an estimate; where the log does not have the measure or shows it too late,
    as after a last least-squares solution, it is the end of the training.
    """
    if not record.ok or not target.met_by(record.metrics.get(target.measure)):
        return None
    for point in record.log:
        if target.met_by(point.values.get(target.measure)):
            return Reached(point.seconds, point.step)
    return Reached(record.train_s, record.steps)


def shown_measures(records: Sequence[RunRecord]) -> list[str]:
    """Return the measures of a table: those of its kind that any of the runs has."""
    candidates = SHOWN.get(records[0].kind, tuple(MEASURES))
    return [name for name in candidates if any(name in record.metrics for record in records)]
