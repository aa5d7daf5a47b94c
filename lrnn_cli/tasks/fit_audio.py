"""`fit-audio`: a sound becomes a network, and the network a sound again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.predict import predict
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.contract import count_parameters, weight_bits
from lrnn_cli.numerics import audio_metrics, metrics
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.speech_metrics import check_speech, speech_measures
from lrnn_cli.pictures.audio import draw_sound
from lrnn_cli.signals.audio import AudioOptions, encode_audio, output_format, output_suffix
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.audio_defaults import plan_sound
from lrnn_cli.tasks.regression import Evaluation, ModelChoice, Plan
from lrnn_cli.tasks.tuned import Tuned

CONVENTION = (
    "sound divided by its gain, so that its peak is 1, before clipping and rounding, all channels together; "
    "psnr_db: peak amplitude 1 (peak to peak 2 adds 6.02 dB); mse_file_scale: sound as in the file; "
    "lsd_db, mrstft: mean over channels, floor -100 dB of the loudest; rho_ag: full spectra with the mean"
)

Measure = Callable[..., float]
MEASURES: dict[str, Measure] = {
    "mse": metrics.mse,
    "psnr_db": lambda x, *, target: metrics.psnr(x, target=target, peak=1.0),
    "snr_db": metrics.snr,
    "si_sdr_db": metrics.si_sdr,
    "lsd_db": audio_metrics.lsd,
    "mrstft": audio_metrics.mrstft,
    "rho_ag": metrics.rho_ag,
    "max_error": metrics.max_error,
}


def measure(
    prediction: np.ndarray, *, target: np.ndarray, gain: float, speech_rate_hz: int | None = None
) -> dict[str, Any]:
    """Return every measure of a sound, over all channels and for each.

    Silence has mse and psnr_db like any other sound; snr_db is -inf, si_sdr_db and rho_ag NaN, lsd_db and
    mrstft +inf, unless the fit is silent, too: then snr_db is +inf, lsd_db and mrstft 0.

    Args:
        prediction: at peak 1, (n, c).
        target: the same shape.
        gain: from peak 1 to the scale of the file.
        speech_rate_hz: sample rate where measures of speech are wanted, too: of each channel and, over all
            channels, their mean.
    """

    def all_of(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        record = {name: function(x, target=y) for name, function in MEASURES.items()}
        record["mse_file_scale"] = record["mse"] * gain**2
        record["psnr_infinite"] = math.isinf(record["psnr_db"])
        return record

    numbers = range(target.shape[1])
    channels = [all_of(prediction[:, [c]], target[:, [c]]) for c in numbers]
    record = all_of(prediction, target)
    if speech_rate_hz is not None:
        for c in numbers:
            channels[c] |= speech_measures(prediction[:, c], target=target[:, c], rate_hz=speech_rate_hz)
        for name in ("stoi", "estoi", "pesq"):
            if name in channels[0]:
                record[name] = float(np.mean([channel[name] for channel in channels]))
    return {**record, "channels": channels}


@dataclass(frozen=True)
class AudioTask:
    """What is particular to sounds: targets of variance 1, measures, a sound file, and the preview."""

    signal: Signal
    options: AudioOptions
    tuned: Tuned | None = None  # in place of what sounds want of the model

    def plan(self, choice: ModelChoice, fit: FitSettings) -> Plan:
        """Return the plan: frequencies from the spectrum unless given, segments where they are needed.

        Raises:
            ConfigError: when measures of speech are asked for and cannot be had.
        """
        notes = check_speech(int(self.signal.format["sample_rate"])) if self.options.speech_metrics else ()
        fmt = self.signal.format
        container, subtype = output_format(fmt, self.options.subtype)
        own = (fmt["container"], fmt["dtype"])
        if container != own[0] or (self.options.subtype is None and subtype != own[1]):
            kept = own[1] if self.options.subtype is None else subtype
            notes = (*notes, f"the output is {container} {subtype}: {own[0]} {kept} cannot be written here")
        plan = plan_sound(self.signal, choice, fit, self.options.segments, self.tuned)
        return replace(plan, notes=(*plan.notes, *notes))

    def transform(self) -> tuple[float, float]:
        """Return mean and standard deviation of all samples: targets of mean 0 and variance 1."""
        values = self.signal.values
        mean = float(values.mean(dtype=np.float64))
        # in parts: numpy would make a copy of all samples in double precision
        parts = (values[k : k + 2**20].astype(np.float64) for k in range(0, len(values), 2**20))
        deviation = math.sqrt(sum(float(np.square(part - mean).sum()) for part in parts) / values.size)
        return mean, deviation if deviation > 1e-6 else 1.0

    def evaluate(self, fitted: Fitted, runner: BlockRunner) -> Evaluation:
        """Measure the fit on all samples, and encode it as the input was."""
        target, fmt = self.signal.values, self.signal.format
        rate_hz, gain = int(fmt["sample_rate"]), float(fmt["gain"])
        values = predict(fitted, Grid(target.shape[:-1]), runner).numpy()
        container, subtype = output_format(fmt, self.options.subtype)
        output, n_clipped = encode_audio(
            values, container=container, subtype=subtype, sample_rate=rate_hz, gain=gain
        )
        n_params = count_parameters(fitted.model)
        record = {
            **measure(
                values,
                target=target,
                gain=gain,
                speech_rate_hz=rate_hz if self.options.speech_metrics else None,
            ),
            "gain": gain,
            "clipped_samples": n_clipped,
            "output_container": container,
            "output_subtype": subtype,
            "bits_per_sample": weight_bits(fitted.model) / target.size,
            "convention": CONVENTION,
        }
        shown = f"{record['psnr_db']:.2f} dB" if np.isfinite(record["psnr_db"]) else "exact"
        summary = (
            f"{fitted.model_name}, {n_params} parameters: PSNR {shown}, MSE {record['mse']:.3g} at peak 1"
        )
        summary += f", {n_clipped} samples clipped" if n_clipped else ""
        return Evaluation(record, values, output, output_suffix(container), summary)

    def picture(self, evaluation: Evaluation, history: list[dict[str, Any]]) -> bytes:
        """Return waveforms, errors, spectrograms and training curve as PNG."""
        return draw_sound(
            self.signal.values,
            evaluation.values,
            sample_rate=int(self.signal.format["sample_rate"]),
            start_s=float(self.signal.format["start_s"]),
            title=f"{self.signal.name}: {evaluation.summary}",
            history=history,
        )
