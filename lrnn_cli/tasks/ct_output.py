"""What a CT run says and writes: measures, the line and table of the methods, files, the picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
import torch

from lrnn_cli.numerics import metrics as numerics
from lrnn_cli.numerics.projection import Projector
from lrnn_cli.pictures.ct import draw_reconstructions
from lrnn_cli.signals.image import encode_image
from lrnn_cli.signals.slices import HOUNSFIELD
from lrnn_cli.tasks.ct_scan import Scan

SOFT_TISSUE_HU = (-160.0, 240.0)  # level 40, width 400
CONVENTION = (
    "psnr_db, ssim and rmse against the truth over the mask, before rounding, peak data_range; "
    "SSIM: Gaussian 11x11, sigma 1.5; data_residual |Ax - p| / |p| with the operator that reconstructs; "
    "chi2_reduced the mean of squared residuals over their variance, about 1 where the data are met, rays "
    "with less noise than one photon's left out"
)
MEASURES = ("psnr_db", "ssim", "rmse", "data_residual", "chi2_reduced", "seconds")


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a method made of the scan.

    Attributes:
        u: image, float64 (n, n).
        residual: A u - p with the operator that reconstructs, (views, bins).
        metrics: its measures, `MEASURES`.
        about: what it chose.
    """

    u: np.ndarray
    residual: np.ndarray
    metrics: dict[str, Any]
    about: dict[str, Any]


Found = Mapping[str, Reconstruction]


def measure(
    u: np.ndarray, scan: Scan, projector: Projector, seconds: float, about: dict[str, Any]
) -> Reconstruction:
    """Measure an image against the data and, where there is one, the truth.

    Args:
        u: image, float64 (n, n).
        scan: what it was made of.
        projector: the operator that reconstructs, in float64.
        seconds: that the method took.
        about: what it chose.

    Returns:
        The image with its measures.
    """
    sinogram = scan.sinogram.astype(np.float64)
    residual = projector.forward(torch.from_numpy(u).to(projector.device)).cpu().numpy() - sinogram
    measures: dict[str, Any] = dict.fromkeys(MEASURES)
    if scan.truth is not None:
        top, bottom, left, right = scan.box
        x, y = u[top:bottom, left:right], scan.truth[top:bottom, left:right]
        measures["psnr_db"] = numerics.psnr(x, target=y, peak=scan.data_range)
        measures["ssim"] = numerics.ssim(x, target=y, peak=scan.data_range)
        measures["rmse"] = scan.units.span * float(np.sqrt(numerics.mse(x, target=y)))
    measures["data_residual"] = float(np.linalg.norm(residual) / np.linalg.norm(sinogram))
    if scan.variance is not None:
        counted = np.isfinite(scan.variance)
        squares = residual[counted] ** 2 / scan.variance[counted]
        measures["chi2_reduced"] = float(squares.mean()) if squares.size else None
    measures["seconds"] = round(seconds, 3)
    return Reconstruction(u, residual, measures, about)


def metrics_of(scan: Scan, found: Found) -> dict[str, Any]:
    """Return the measures of the first method asked for that is done, with their convention.

    Without any method, after an interruption, all measures are None.
    """
    first = next(iter(found), None)
    top, bottom, left, right = scan.box
    whole = (top, bottom, left, right) == (0, scan.geometry.size, 0, scan.geometry.size)
    mask = "whole slice" if whole else f"rows {top}:{bottom}, columns {left}:{right}, without the padding"
    measures = dict.fromkeys(MEASURES) if first is None else found[first].metrics
    psnr = measures["psnr_db"]
    return {
        "method": first,
        **{key: value for key, value in measures.items() if key != "seconds"},
        "psnr_infinite": psnr is not None and bool(np.isposinf(psnr)),
        "data_range": scan.units.span * scan.data_range if scan.truth is not None else None,
        "mask": mask if scan.truth is not None else None,
        "units": scan.units.name,
        "setting": scan.setting,
        "u16_range": [scan.units.offset, scan.units.offset + scan.units.span * scan.data_range],
        "convention": CONVENTION,
    }


def summary_of(scan: Scan, found: Found) -> str:
    """Return one line: the methods with their figures, and the setting."""
    parts = []
    for name, one in found.items():
        m = one.metrics
        if m["psnr_db"] is None:
            parts.append(f"{name} residual {m['data_residual']:.2e}")
        else:
            parts.append(f"{name} {m['psnr_db']:.2f} dB / {m['ssim']:.3f}")
    return f"{', '.join(parts) or 'no method done'} ({scan.sentence})"


def table_of(scan: Scan, found: Found) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the comparison."""
    header = ["method", "PSNR dB", "SSIM", f"RMSE {scan.units.name}", "residual", "chi2", "seconds"]
    forms = dict(zip(MEASURES, ("{:.2f}", "{:.4f}", "{:.4g}", "{:.2e}", "{:.3g}", "{:.1f}"), strict=True))

    def cells(measures: dict[str, Any]) -> list[str]:
        return ["-" if measures[key] is None else form.format(measures[key]) for key, form in forms.items()]

    return header, [[name, *cells(one.metrics)] for name, one in found.items()]


def files_of(scan: Scan, found: Found) -> dict[str, bytes]:
    """Return the output files by name.

    output.tif and output.npy hold the first method in physical units, output.hu16.tif the same as integers
    where they are HU, output.u16.png in 16 bits over `u16_range`, output.window.png in 8 bits through a
    window; output.slices.npz holds everything.
    """
    first = next(iter(found.values()))
    values = scan.units.restore(first.u)
    black, white = scan.units.offset, scan.units.offset + scan.units.span * scan.data_range
    low, high = SOFT_TISSUE_HU if scan.units == HOUNSFIELD else (black, white)
    grey = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    full = np.clip(first.u / scan.data_range, 0, 1).astype(np.float32)
    arrays = {name: scan.units.restore(one.u) for name, one in found.items()}
    arrays |= {"sinogram": scan.sinogram, "angles_rad": scan.geometry.theta}
    if scan.truth is not None:
        arrays["truth"] = scan.units.restore(scan.truth)
    files = {
        "output.tif": _tiff(values),
        "output.npy": _npy(values),
        "output.u16.png": _png(full, "uint16"),
        "output.window.png": _png(grey, "uint8"),
        "output.slices.npz": _npz(arrays),
    }
    if scan.units == HOUNSFIELD:
        files["output.hu16.tif"] = _tiff(np.rint(np.clip(values, -32768, 32767)).astype(np.int16))
    return files


def picture_of(scan: Scan, found: Found) -> bytes:
    """Return the methods beside the truth, their errors and the residual of the first, as PNG."""
    return draw_reconstructions(
        {name: one.u for name, one in found.items()},
        scan.truth,
        next(iter(found.values())).residual,
        labels={name: _label(one) for name, one in found.items()},
        title=f"{scan.source['name']}: {scan.sentence}",
        peak=scan.data_range,
        units=scan.units.name,
        span=scan.units.span,
    )


def _label(one: Reconstruction) -> str:
    m = one.metrics
    if m["psnr_db"] is None:
        return f"residual {m['data_residual']:.2e}"
    return f"{m['psnr_db']:.2f} dB, SSIM {m['ssim']:.3f}"


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
