"""Noise of a scanner on line integrals, and the way back from counts to line integrals.

Arrays are numpy; every draw comes from a generator seeded by the caller.
"""

from __future__ import annotations

import numpy as np

from lrnn_cli.numerics.checks import check_finite

NO_PHOTON = 0.5  # counts that a bin is taken to have at least, so that the logarithm stays finite


def poisson(
    line_integrals: np.ndarray, i0: float, electronic_std: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Transmission noise: counts ~ Poisson(I₀ exp(-p)) + Normal(0, σ²), and minus the logarithm of them.

    Args:
        line_integrals: p, without unit, any shape.
        i0: Photons per bin of the open beam, I₀.
        electronic_std: σ of the electronics in counts.
        seed: Seed of the generator.

    Returns:
        Noisy line integrals -log(max(counts, ½) / I₀), and their weights, the inverse variances
        counts² / (counts + σ²), both float64 of the same shape.

    Raises:
        ValueError: If I₀ is not positive or σ negative.
    """
    if not i0 > 0:
        raise ValueError(f"i0: expected a positive number of photons, got {i0}")
    if not electronic_std >= 0:
        raise ValueError(f"electronic_std: expected 0 or more counts, got {electronic_std}")
    generator = np.random.default_rng(seed)
    counts = generator.poisson(i0 * np.exp(-np.asarray(line_integrals, dtype=np.float64))).astype(np.float64)
    if electronic_std:
        counts = np.maximum(counts + generator.normal(0.0, electronic_std, counts.shape), 0.0)
    return from_counts(counts, i0=i0, electronic_std=electronic_std)


def from_counts(
    counts: np.ndarray,
    i0: float | np.ndarray | None = None,
    flat: np.ndarray | None = None,
    dark: np.ndarray | None = None,
    electronic_std: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Line integrals from raw counts, p = -log(max(n, ½) / n₀), n = counts - dark, n₀ = flat - dark or I₀.

    Bins without a photon get half a count, so that the logarithm stays finite; their weight is small.

    Args:
        counts: Measured counts, (views, bins).
        i0: Counts of the open beam, a number or one per bin; needed where there is no flat field.
        flat: Open-beam counts per bin, (bins,), or (k, bins) for k frames, which are averaged.
        dark: Counts without a beam, (bins,) or (k, bins).
        electronic_std: σ of the electronics in counts.

    Returns:
        Line integrals and weights n² / (n + σ²), the inverse of their variance, float64 (views, bins).

    Raises:
        ValueError: If counts are negative or not finite, the open beam is missing or not brighter than the
            dark field.
    """
    counts = np.asarray(counts, dtype=np.float64)
    check_finite("counts", counts)
    n_negative = int((counts < 0).sum())
    if n_negative:
        raise ValueError(f"counts: expected no negative numbers, got {n_negative} of {counts.size}")
    beam = open_beam(i0, flat, dark)
    background = 0.0 if dark is None else _mean_frame(dark)
    net = np.maximum(counts - background, NO_PHOTON)
    return np.log(beam) - np.log(net), net**2 / (net + electronic_std**2)


def open_beam(
    i0: float | np.ndarray | None = None, flat: np.ndarray | None = None, dark: np.ndarray | None = None
) -> np.ndarray:
    """Counts n₀ where nothing stands in the beam, as `from_counts` takes them.

    Args:
        i0: The counts, a number or one per bin.
        flat: Measured counts, (bins,) or (k, bins), in place of i0.
        dark: Counts without a beam, (bins,) or (k, bins); taken from the flat field.

    Returns:
        The counts, float64 () or (bins,).

    Raises:
        ValueError: If not one of i0 and flat is given, or the beam is not brighter than the dark field.
    """
    if (flat is None) == (i0 is None):
        raise ValueError("flat and i0: expected one of them, the open beam")
    if flat is None:
        beam = np.asarray(i0, dtype=np.float64)
    else:
        beam = _mean_frame(flat) - (0.0 if dark is None else _mean_frame(dark))
    if not np.all(np.isfinite(beam) & (beam > 0)):
        raise ValueError("flat: expected open-beam counts above the dark field in every bin")
    return beam


def count_starved(line_integrals: np.ndarray, beam: float | np.ndarray) -> int:
    """Count the bins that had at most half a photon, which they are then taken to have.

    Args:
        line_integrals: p as `from_counts` and `poisson` return them, (views, bins).
        beam: Counts of the open beam, a number or (bins,).

    Returns:
        Their number.
    """
    return int(np.count_nonzero(line_integrals >= np.log(beam) - np.log(NO_PHOTON)))


def readout(
    line_integrals: np.ndarray, photons: float = 30.0, readout_std: float = 2.0, seed: int = 0
) -> np.ndarray:
    """Photon and readout noise on the line integrals themselves, as papers on neural fields add it.

    (sign(p) Poisson(τ |p|) + Normal(0, r²)) / τ. This is a model of emission, not of transmission; it serves
    comparisons, and depends on the unit of p: those papers use images in [0, 1] and pixels of side 1, so
    that τ = 30 and line integrals near 100 mean noise of 2 %.

    Source: V. Saragadam et al., WIRE: Wavelet implicit neural representations, CVPR 2023 (its published
    program).

    Args:
        line_integrals: p, any shape.
        photons: τ, mean photons per unit of p.
        readout_std: r, in photons.
        seed: Seed of the generator.

    Returns:
        The noisy line integrals, float64.

    Raises:
        ValueError: If τ is not positive or r negative.
    """
    _check_readout(photons, readout_std)
    p = np.asarray(line_integrals, dtype=np.float64)
    generator = np.random.default_rng(seed)
    detected = np.sign(p) * generator.poisson(photons * np.abs(p))
    return (detected + generator.normal(0.0, readout_std, p.shape)) / photons


def readout_variance(
    line_integrals: np.ndarray, photons: float = 30.0, readout_std: float = 2.0
) -> np.ndarray:
    """Variances of `readout`, (τ |p| + r²) / τ², from the clean line integrals.

    Args:
        line_integrals: p without noise, any shape.
        photons: τ.
        readout_std: r.

    Returns:
        The variances, float64; infinite where they are below that of one photon, 1 / τ², since the numbers
        of photons there, nearly all of them 0, tell nothing by their mean square.

    Raises:
        ValueError: If τ is not positive or r negative.
    """
    _check_readout(photons, readout_std)
    in_photons = photons * np.abs(np.asarray(line_integrals, dtype=np.float64)) + readout_std**2
    return np.where(in_photons < 1.0, np.inf, in_photons) / photons**2


def readout_weights(
    line_integrals: np.ndarray, photons: float = 30.0, readout_std: float = 2.0
) -> np.ndarray:
    """Weights about the inverse variances of `readout`, τ² / (max(τ p, 0) + max(r², 1)), from noisy data.

    Args:
        line_integrals: p, any shape.
        photons: τ.
        readout_std: r.

    Returns:
        The weights, float64.

    Raises:
        ValueError: If τ is not positive or r negative.
    """
    _check_readout(photons, readout_std)
    p = np.asarray(line_integrals, dtype=np.float64)
    return photons**2 / (np.maximum(photons * p, 0.0) + max(readout_std**2, 1.0))


def _check_readout(photons: float, readout_std: float) -> None:
    if not photons > 0:
        raise ValueError(f"photons: expected a positive number, got {photons}")
    if not readout_std >= 0:
        raise ValueError(f"readout_std: expected 0 or more photons, got {readout_std}")


def _mean_frame(frames: np.ndarray) -> np.ndarray:
    """(bins,) or (k, bins) → (bins,)."""
    frames = np.asarray(frames, dtype=np.float64)
    return frames if frames.ndim < 2 else frames.mean(axis=0)
