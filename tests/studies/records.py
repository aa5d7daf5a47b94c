"""Records of runs made up for tests: what a comparison gets to see, with a training log of known shape."""

import math
from pathlib import Path

from lrnn_cli.studies.collect import LogPoint, RunRecord


def record(
    label: str, input_name: str, seed: int, psnr: float | None, *, params: int = 1000, rate: float = 1.0
) -> RunRecord:
    """A run whose logged PSNR rises by `rate` dB a second from 10 dB; without a figure it crashed."""
    ok = psnr is not None
    seconds = [0.5 * k for k in range(1, 41)] if ok else []
    log = tuple(LogPoint(s, round(10 * s), {"psnr_db": min(psnr or 0.0, 10 + rate * s)}) for s in seconds)
    return RunRecord(
        folder=Path(f"/runs/{label}/{input_name}/{seed}"),
        kind="image",
        input_id=input_name,
        input_name=input_name,
        source=input_name,
        model=label.split()[0],
        label=label,
        settings={"model": {"name": label}},
        params=params if ok else None,
        seed=seed,
        status="ok" if ok else "crashed",
        reason="" if ok else "killed by SIGKILL",
        metrics={"psnr_db": psnr, "ssim": 0.5 + psnr / 100 if math.isfinite(psnr) else 1.0}
        if psnr is not None
        else {},
        convention="image, range 1" if ok else "",
        steps=200 if ok else None,
        train_s=20.0 if ok else None,
        limit_s=20.0,
        peak_mb=100.0 if ok else None,
        machine="a machine" if ok else "",
        log=log,
    )


def some() -> list[RunRecord]:
    """Two models, two inputs, two seeds; one run of siren was killed."""
    figures = {"lrnn": (31.0, 33.0, 28.0, 30.0), "siren <fast>": (27.0, 29.0, 26.0, None)}
    pairs = [(name, seed) for name in ("a.png", "b.png") for seed in (0, 1)]
    return [
        record(label, name, seed, psnr, rate=2.0 if label == "lrnn" else 1.0)
        for label, values in figures.items()
        for (name, seed), psnr in zip(pairs, values, strict=True)
    ]
