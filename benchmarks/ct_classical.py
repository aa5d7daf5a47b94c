"""FBP, SART, SIRT and TV on sparse views of 512² slices: PSNR, SSIM and seconds.

    python -m benchmarks.ct_classical [--dicom FILE] [--store]

Truth: 2 x 2 means of the slice. Data: exact strip areas of the 512² slice on 363 bins, angles half-open,
with or without readout noise (τ = 30, r = 2). Reconstruction: Joseph's model at 256². Rows named best chose
their setting with the truth, which no user can, and say what a method could reach; rows named chosen did not.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import save
from lrnn_cli.numerics.choice import choose_sart, choose_tv
from lrnn_cli.numerics.fbp import FILTERS, fbp
from lrnn_cli.numerics.metrics import psnr, ssim
from lrnn_cli.numerics.noise import readout, readout_weights
from lrnn_cli.numerics.projection import Geometry, Projector
from lrnn_cli.numerics.sart import sart, sirt
from lrnn_cli.numerics.total_variation import tv, weight_scale

SAMPLE = Path(__file__).parent.parent / "sample_data" / "chest_phantom512_u16.png"
SETTINGS = ((20, False), (50, False), (100, False), (100, True))
LAMBDAS = {False: (0.02, 0.05, 0.1, 0.2, 0.5), True: (4.0, 8.0, 12.0, 16.0)}
WEIGHTED_LAMBDAS = (3.0, 6.0, 9.0, 12.0)
N_BINS = 363


def read_dicom(path: str) -> np.ndarray:
    """Values with water at 0.5: (HU + 1000) / 2000, clipped to [0, 1]."""
    import pydicom

    data = pydicom.dcmread(path)
    hu = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    return np.clip((hu + 1000) / 2000, 0, 1)


def half_turn(n_views: int) -> np.ndarray:
    return np.arange(n_views) * math.pi / n_views


class Bench:
    """One slice in one setting."""

    def __init__(self, full: np.ndarray, n_views: int, noisy: bool) -> None:
        self.truth = full.reshape(256, 2, 256, 2).mean(axis=(1, 3))
        fine = Geometry(512, half_turn(n_views), N_BINS, pixel_size=0.5)
        data = Projector(fine, "strip", torch.float64, memory_limit_mb=0).forward(torch.as_tensor(full))
        p = readout(data.numpy(), seed=0) if noisy else data.numpy()
        self.relative_noise = float(np.linalg.norm(p - data.numpy()) / np.linalg.norm(p))
        self.data = torch.as_tensor(p, dtype=torch.float32)
        self.weights = torch.as_tensor(readout_weights(p), dtype=torch.float32) if noisy else None
        self.projector = Projector(Geometry(256, half_turn(n_views), N_BINS))
        self.noisy = noisy

    def score(self, image: torch.Tensor) -> dict[str, float]:
        clipped = image.numpy().clip(0, 1)
        return {
            "psnr_db": round(psnr(clipped, target=self.truth, peak=1.0), 3),
            "ssim": round(ssim(clipped, target=self.truth, peak=1.0), 4),
        }

    def rows(self) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for name in FILTERS:
            rows[f"fbp {name}"] = self.score(fbp(self.data, self.projector.geometry, name))
        for name, solve, most in (("sart", sart, 20), ("sirt", sirt, 200)):
            path: dict[int, dict[str, float]] = {}
            began = time.process_time()
            solve(
                self.projector, self.data, most, callback=lambda k, x, to=path: to.update({k: self.score(x)})
            )
            best = max(path, key=lambda k: path[k]["psnr_db"])
            rows[f"{name} best"] = {**path[best], "setting": best, "cpu_s": _since(began)}
        rows["tv best"] = self._best_tv(LAMBDAS[self.noisy], None)
        if self.weights is not None:
            rows["tv weighted best"] = self._best_tv(WEIGHTED_LAMBDAS, self.weights)
        rows["sart chosen"] = self._chosen(choose_sart, None)
        rows["tv chosen"] = self._chosen(choose_tv, None)
        if self.weights is not None:
            rows["tv weighted chosen"] = self._chosen(choose_tv, self.weights)
            rows["tv weighted discrepancy"] = self._chosen(choose_tv, self.weights, noise_known=True)
        return rows

    def _best_tv(self, lambdas: tuple[float, ...], weights: torch.Tensor | None) -> dict[str, float]:
        scale, found = weight_scale(self.projector, self.data, weights), []
        for lam in lambdas:
            began = time.process_time()
            image = tv(self.projector, self.data, lam, 150, weights=weights)
            relative = float(f"{lam / scale:.3g}")
            found.append({**self.score(image), "setting": lam, "relative": relative, "cpu_s": _since(began)})
        return max(found, key=lambda row: row["psnr_db"])

    def _chosen(self, choose: Any, weights: torch.Tensor | None, **options: Any) -> dict[str, Any]:
        began = time.process_time()
        choice = choose(self.projector, self.data, weights, **options)
        setting = float(f"{choice.setting:.4g}")
        return {**self.score(choice.image), "setting": setting, "rule": choice.rule, "cpu_s": _since(began)}


def speed() -> dict[str, float]:
    """CPU milliseconds of Joseph's operator at 256², 100 views, 363 bins, float32, one thread."""
    began = time.process_time()
    projector = Projector(Geometry(256, half_turn(100), N_BINS))
    build, image = _since(began), torch.rand(256, 256)
    data = projector.forward(image)
    figures = {"build_s": build}
    for name, run in (
        ("forward", lambda: projector.forward(image)),
        ("adjoint", lambda: projector.adjoint(data)),
    ):
        times = []
        for _ in range(20):
            began = time.process_time()
            run()
            times.append(time.process_time() - began)
        figures[f"{name}_ms"] = round(1e3 * min(times), 2)
    return figures


def _since(began: float) -> float:
    return round(time.process_time() - began, 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dicom", default="", help="a 512 x 512 CT slice, measured beside the phantom")
    parser.add_argument("--store", action="store_true", help="write benchmarks/results/ct_classical.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    slices = {"chest phantom": np.asarray(Image.open(SAMPLE), dtype=np.float64) / 65535}
    if options.dicom:
        slices[Path(options.dicom).name] = read_dicom(options.dicom)
    record: dict[str, Any] = {
        "speed": speed(),
        "convention": "clipped to [0, 1], peak 1, SSIM as in numerics",
    }
    print(record["speed"])
    for title, full in slices.items():
        for n_views, noisy in SETTINGS:
            bench = Bench(full, n_views, noisy)
            rows = bench.rows()
            record[f"{title}, {n_views} views{', readout noise' if noisy else ''}"] = {
                "relative_noise": round(bench.relative_noise, 4),
                **rows,
            }
            for name, row in rows.items():
                print(title, n_views, "noisy" if noisy else "", name, row, flush=True)
    if options.store:
        print(save("ct_classical", record))


if __name__ == "__main__":
    main()
