"""`fit-image`: a picture becomes a network, and the network a picture again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.predict import predict
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.contract import count_parameters, weight_bits
from lrnn_cli.numerics import metrics
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.pictures.image import draw_fit
from lrnn_cli.signals.image import default_container, encode_image, output_suffix, quantise, read_image
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.regression import Evaluation, ModelChoice, Plan, make_plan
from lrnn_cli.tasks.tuned import Tuned, settle, tuned_for

CONVENTION = (
    "values as stored (sRGB), peak {peak:g}, all channels together; psnr_db, ssim, mse and max_error before "
    "clipping and rounding, psnr_db_written of the file written; SSIM: Gaussian 11x11, sigma 1.5, "
    "mean over channels"
)


@dataclass(frozen=True)
class ImageTask:
    """What is particular to images: targets in [-1, 1], image measures, an image file, and the preview."""

    signal: Signal
    tuned: Tuned | None = None  # in place of what pictures want of the model

    def plan(self, choice: ModelChoice, fit: FitSettings) -> Plan:
        """Return the plan: what a model needs to know of an image is its shape."""
        tuned = self.tuned or tuned_for("image", choice.name)
        plan = make_plan(self.signal, *settle(self.signal, choice, fit, tuned))
        return replace(plan, start_ridge=tuned.start_ridge)

    def transform(self) -> tuple[float, float]:
        """Return shift and scale that map [lower, lower + peak] to [-1, 1].

        lower is 0 for values in [0, peak], else their minimum.
        """
        low, high = float(self.signal.values.min()), float(self.signal.values.max())
        lower = low if low < 0 or high > self.signal.peak else 0.0
        return lower + self.signal.peak / 2, self.signal.peak / 2

    def evaluate(self, fitted: Fitted, runner: BlockRunner) -> Evaluation:
        """Measure the fit on all pixels, and again on the file as written."""
        target, peak = self.signal.values, self.signal.peak
        values = predict(fitted, Grid(target.shape[:-1]), runner).numpy()
        container, dtype = default_container(self.signal.format), str(self.signal.format["dtype"])
        output = encode_image(
            values, container=container, dtype=dtype, channels=self.signal.format["channels"]
        )
        written = read_image("output", data=output).values
        psnr, psnr_written = (metrics.psnr(v, target=target, peak=peak) for v in (values, written))
        n_params = count_parameters(fitted.model)
        record = {
            "psnr_db": psnr,
            "psnr_infinite": bool(np.isposinf(psnr)),
            "psnr_db_written": psnr_written,
            "psnr_written_infinite": bool(np.isposinf(psnr_written)),
            "ssim": metrics.ssim(values, target=target, peak=peak),
            "mse": metrics.mse(values, target=target),
            "max_error": metrics.max_error(values, target=target),
            "lossless_after_rounding": bool(np.array_equal(quantise(values, dtype), quantise(target, dtype))),
            "bits_per_pixel": weight_bits(fitted.model) / (target.shape[0] * target.shape[1]),
            "data_range": peak,
            "convention": CONVENTION.format(peak=peak),
        }
        shown = f"{psnr:.2f} dB" if np.isfinite(psnr) else "exact"
        summary = f"{fitted.model_name}, {n_params} parameters: PSNR {shown}"
        if not np.isnan(record["ssim"]):  # an image smaller than the window has none
            summary += f", SSIM {record['ssim']:.4f}"
        return Evaluation(record, values, output, output_suffix(container), summary)

    def picture(self, evaluation: Evaluation, history: list[dict[str, Any]]) -> bytes:
        """Return original | fit | error x 10 | training curve as PNG."""
        title = f"{self.signal.name}: {evaluation.summary}"
        return draw_fit(
            self.signal.values, evaluation.values, title=title, history=history, peak=self.signal.peak
        )
