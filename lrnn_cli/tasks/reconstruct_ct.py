"""`reconstruct-ct`: few views become a slice, by several methods, each with the figures that judge it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tifffile
import torch

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.device import resolve_device, resolve_threads
from lrnn_cli.fitting.loop import Step
from lrnn_cli.fitting.tomography import Prior, coupling_for
from lrnn_cli.numerics import metrics
from lrnn_cli.numerics.projection import Projector
from lrnn_cli.objectives.projection import ProjectionObjective
from lrnn_cli.pictures.ct import draw_reconstructions
from lrnn_cli.signals.image import encode_image
from lrnn_cli.signals.sinogram import Sinogram
from lrnn_cli.signals.slices import HOUNSFIELD, Slice
from lrnn_cli.tasks.ct_choice import FEWEST, PRIORS, choose_prior
from lrnn_cli.tasks.ct_classical import Classical, ClassicalRun
from lrnn_cli.tasks.ct_network import NetworkPlan, NetworkRun, plan_network, render
from lrnn_cli.tasks.ct_scan import Scan, measured, simulate
from lrnn_cli.tasks.ct_settings import CLASSICAL, CtSettings

SOFT_TISSUE_HU = (-160.0, 240.0)  # level 40, width 400
CONVENTION = (
    "psnr_db, ssim and rmse against the truth over the mask, before rounding, peak data_range; "
    "SSIM: Gaussian 11x11, sigma 1.5; data_residual |Ax - p| / |p| with the operator that reconstructs; "
    "chi2_reduced the mean of squared residuals over their variance, about 1 where the data are met"
)


@dataclass(frozen=True)
class CtStep:
    """A record of progress for whoever shows it."""

    step: int
    loss: float
    psnr_db: float | None
    seconds: float
    steps_per_s: float
    progress: float
    event: str | None = None


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a method made of the scan: u (n, n), its measures, and what it chose."""

    u: np.ndarray
    metrics: dict[str, Any]
    about: dict[str, Any]


@dataclass
class Done:
    """What is finished so far, by method."""

    images: dict[str, torch.Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: dict[str, Fitted] = field(default_factory=dict)


class CtTask:
    """One scan and the methods asked for.

    Attributes:
        scan: what is reconstructed.
        plans: of the networks among the methods.
        done: what is finished.
    """

    def __init__(self, found: Slice | Sinogram, settings: CtSettings) -> None:
        """Prepare the scan; nothing is reconstructed yet."""
        self.settings = settings
        self.scan: Scan = (
            simulate(found, settings.scan, settings.fit.seed)
            if isinstance(found, Slice)
            else measured(found, settings.scan)
        )
        self.device = resolve_device(settings.fit.device)
        self.threads = resolve_threads(settings.fit.threads)
        self.plans: dict[str, NetworkPlan] = {
            name: plan_network(name, self.scan, settings) for name in settings.method.networks
        }
        self.runner = BlockRunner(self.device, threads=self.threads)
        self.done = Done()

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[CtStep]:
        """Reconstruct by one method after the other, classical ones first, yielding records.

        Args:
            should_stop: asked before every step.

        Yields:
            the records of the networks' training, and one with an event after every method.
        """
        projector = Projector(self.scan.geometry, self.scan.operator, device=self.device)  # type: ignore[arg-type]
        classical = ClassicalRun(self.scan, projector, self.settings.method, should_stop)
        began = time.perf_counter()
        for name in self.settings.method.methods:
            if name in CLASSICAL and not should_stop():
                self._classical(name, classical)
                yield self._said(name, began)
        if not self.plans or should_stop():
            return
        began_start = time.perf_counter()
        start = (
            Classical(self.done.images["tv"], self.done.about["tv"])
            if "tv" in self.done.images
            else classical.tv()
        )
        step, bandwidth = self._strengths(classical, start.about["weight"])
        start_s = self.done.seconds.get("tv", 0.0) + time.perf_counter() - began_start
        objective = ProjectionObjective(
            projector, classical.data, classical.weights, ramp=self.settings.method.ramp
        )
        prior = make_prior(self.settings.method.prior, step, bandwidth)
        coupling = coupling_for(objective, start.about["weight"], step)
        for name in self.plans:
            if should_stop():
                return
            began_one = time.perf_counter()
            run = NetworkRun(self.plans[name], self.scan, objective, start.image, prior, coupling)
            try:
                for record in run.steps(should_stop):
                    yield _record(record)
                self.done.networks[name] = run.fitted()
                self.done.about[name] = {**run.about(), "start": {"method": "tv", **start.about}}
            finally:
                run.close()
            self.done.seconds[name] = start_s + time.perf_counter() - began_one
            yield self._said(name, began)

    def _classical(self, name: str, classical: ClassicalRun) -> None:
        torch.set_num_threads(self.threads)  # networks set it to 1: their blocks bring threads of their own
        began = time.perf_counter()
        found = classical.run(name)
        self.done.seconds[name] = time.perf_counter() - began
        self.done.images[name], self.done.about[name] = found.image, found.about

    def _strengths(self, classical: ClassicalRun, tv_weight: float) -> tuple[float, float]:
        """TV's proximal weight and the bandwidth of the networks' prior, in u, chosen by views held out."""
        method, scan = self.settings.method, self.scan
        if method.bandwidth != "auto":
            return 0.5 * float(method.bandwidth), float(method.bandwidth)
        if scan.geometry.n_views < FEWEST or method.prior == "none":
            return PRIORS[1]
        found, _ = choose_prior(
            classical.projector, classical.data, classical.weights, tv_weight,
            lambda *strengths: make_prior(method.prior, *strengths), should_stop=classical.should_stop,
        )  # fmt: skip
        return found

    def _said(self, name: str, began: float) -> CtStep:
        seconds = self.done.seconds[name]
        return CtStep(0, 0.0, None, time.perf_counter() - began, 0.0, 0.0, f"{name}: {seconds:.1f} s")

    def reconstructions(self, networks: dict[str, Fitted]) -> dict[str, Reconstruction]:
        """Measure every finished method.

        Args:
            networks: as read back from their checkpoints.

        Returns:
            image and measures by method, in the order asked for.
        """
        torch.set_num_threads(self.threads)
        projector = Projector(self.scan.geometry, self.scan.operator, torch.float64, self.device)  # type: ignore[arg-type]
        found = {}
        for name in self.settings.method.methods:
            if name in networks:
                u = render(networks[name], self.scan, self.runner)
            elif name in self.done.images:
                u = self.done.images[name].cpu().double().numpy()
            else:
                continue
            found[name] = Reconstruction(u, self._measure(u, projector, name), self.done.about[name])
        return found

    def _measure(self, u: np.ndarray, projector: Projector, name: str) -> dict[str, Any]:
        scan = self.scan
        residual = projector.forward(torch.from_numpy(u).to(self.device)).cpu().numpy() - scan.sinogram
        measures: dict[str, Any] = {"psnr_db": None, "ssim": None, "rmse": None}
        if scan.truth is not None:
            top, bottom, left, right = scan.box
            x, y = u[top:bottom, left:right], scan.truth[top:bottom, left:right]
            psnr = metrics.psnr(x, target=y, peak=scan.data_range)
            measures = {
                "psnr_db": psnr,
                "ssim": metrics.ssim(x, target=y, peak=scan.data_range),
                "rmse": scan.units.span * float(np.sqrt(metrics.mse(x, target=y))),
            }
        measures["data_residual"] = float(np.linalg.norm(residual) / np.linalg.norm(scan.sinogram))
        measures["chi2_reduced"] = (
            None if scan.variance is None else float((residual**2 / scan.variance).mean())
        )
        measures["seconds"] = round(self.done.seconds[name], 3)
        return measures

    def metrics(self, found: dict[str, Reconstruction]) -> dict[str, Any]:
        """Return the measures of the first method asked for that is done, with their convention."""
        first = next(iter(found))
        scan = self.scan
        top, bottom, left, right = scan.box
        whole = (top, bottom, left, right) == (0, scan.geometry.size, 0, scan.geometry.size)
        mask = "whole slice" if whole else f"rows {top}:{bottom}, columns {left}:{right}, without the padding"
        psnr = found[first].metrics["psnr_db"]
        return {
            "method": first,
            **{key: value for key, value in found[first].metrics.items() if key != "seconds"},
            "psnr_infinite": psnr is not None and bool(np.isposinf(psnr)),
            "data_range": scan.units.span * scan.data_range if scan.truth is not None else None,
            "mask": mask if scan.truth is not None else None,
            "units": scan.units.name,
            "setting": scan.setting,
            "convention": CONVENTION,
        }

    def summary(self, found: dict[str, Reconstruction]) -> str:
        """Return one line: the methods with their figures, and the setting."""
        parts = []
        for name, one in found.items():
            m = one.metrics
            if m["psnr_db"] is None:
                parts.append(f"{name} residual {m['data_residual']:.2e}")
            else:
                parts.append(f"{name} {m['psnr_db']:.2f} dB / {m['ssim']:.3f}")
        return f"{', '.join(parts)} ({self.scan.sentence})"

    def table(self, found: dict[str, Reconstruction]) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of the comparison."""
        header = ["method", "PSNR dB", "SSIM", f"RMSE {self.scan.units.name}", "residual", "chi2", "seconds"]
        forms = {
            "psnr_db": "{:.2f}", "ssim": "{:.4f}", "rmse": "{:.4g}", "data_residual": "{:.2e}",
            "chi2_reduced": "{:.3g}", "seconds": "{:.1f}",
        }  # fmt: skip

        def cells(measures: dict[str, Any]) -> list[str]:
            return [
                "-" if measures[key] is None else form.format(measures[key]) for key, form in forms.items()
            ]

        return header, [[name, *cells(one.metrics)] for name, one in found.items()]

    def window(self) -> tuple[float, float]:
        """Return black and white of the windowed picture, in physical units."""
        if self.scan.units == HOUNSFIELD:
            return SOFT_TISSUE_HU
        return self.scan.units.offset, self.scan.units.offset + self.scan.units.span * self.scan.data_range

    def files(self, found: dict[str, Reconstruction]) -> dict[str, bytes]:
        """Return the output files by name.

        output.tif and output.npy hold the first method in physical units, output.u16.png the same in 16 bits
        over the data range, output.window.png in 8 bits through a window; output.slices.npz holds everything.
        """
        scan = self.scan
        first = next(iter(found.values()))
        values = scan.units.restore(first.u)
        low, high = self.window()
        grey = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
        full = np.clip(first.u / scan.data_range, 0, 1).astype(np.float32)
        arrays = {name: scan.units.restore(one.u) for name, one in found.items()}
        arrays |= {"sinogram": scan.sinogram, "angles_rad": scan.geometry.theta}
        if scan.truth is not None:
            arrays["truth"] = scan.units.restore(scan.truth)
        return {
            "output.tif": _tiff(values),
            "output.npy": _npy(values),
            "output.u16.png": _png(full, "uint16"),
            "output.window.png": _png(grey, "uint8"),
            "output.slices.npz": _npz(arrays),
        }

    def picture(self, found: dict[str, Reconstruction]) -> bytes:
        """Return the methods beside the truth, their errors and the residual of the first, as PNG."""
        scan = self.scan
        first = next(iter(found.values()))
        projector = Projector(scan.geometry, scan.operator, torch.float64, self.device)  # type: ignore[arg-type]
        residual = projector.forward(torch.from_numpy(first.u).to(self.device)).cpu().numpy() - scan.sinogram
        return draw_reconstructions(
            {name: one.u for name, one in found.items()},
            None if scan.truth is None else scan.truth,
            residual,
            labels={name: self._label(one) for name, one in found.items()},
            title=f"{scan.source['name']}: {scan.sentence}",
            peak=scan.data_range,
            units=scan.units.name,
            span=scan.units.span,
        )

    def _label(self, one: Reconstruction) -> str:
        m = one.metrics
        if m["psnr_db"] is None:
            return f"residual {m['data_residual']:.2e}"
        return f"{m['psnr_db']:.2f} dB, SSIM {m['ssim']:.3f}"


def make_prior(kind: str, step: float, bandwidth: float) -> Prior:
    """Return the networks' prior: tv+nlm, tv, nlm or none, with the weight of TV and the bandwidth."""
    return Prior(tv=step if "tv" in kind else 0.0, bandwidth=bandwidth if "nlm" in kind else 0.0)


def _record(step: Step) -> CtStep:
    """A record of the training, without the PSNR, which here is one against a moving target."""
    return CtStep(step.step, step.loss, None, step.seconds, step.steps_per_s, step.progress, step.event)


def _tiff(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric="minisblack", metadata=None, software=False)
    return stream.getvalue()


def _png(values: np.ndarray, dtype: str) -> bytes:
    return encode_image(values[..., None], container="PNG", dtype=dtype, channels=["L"])


def _npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()
