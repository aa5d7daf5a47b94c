"""Amplitude spectra of functions sampled on a mesh of any dimension, over the length of the frequency."""

from __future__ import annotations

import math

import numpy as np


def radial_spectrum(values: np.ndarray, spans: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return root-mean-square Fourier amplitudes over shells of equal |frequency|.

    The samples are multiplied with a Hann window along each axis, after their mean is removed, so that jumps
    at the borders of the domain do not hide what is inside. A shell is one step of the longest span wide,
    1 / max span; the amplitudes |F| / N of the N samples are collected below the lowest Nyquist frequency.

    Args:
        values: samples, (n_1, …, n_d), cells of equal size.
        spans: length of the domain on each axis.

    Returns:
        frequencies above 0, in cycles per unit of length, and amplitudes, in units of the values.
    """
    amplitude, length = _spectrum(values, spans)
    width = 1 / max(spans)
    shell = np.rint(length / width).astype(int).reshape(-1)
    nyquist = min(n / span for n, span in zip(values.shape, spans, strict=True)) / 2
    highest = max(1, math.ceil(nyquist / width) - 1)  # the bin of Nyquist itself knows cosines only
    count = np.bincount(shell, minlength=highest + 1)
    energy = np.bincount(shell, weights=np.square(amplitude).reshape(-1), minlength=highest + 1)
    kept = np.flatnonzero(count[: highest + 1])
    kept = kept[kept > 0]
    return kept * width, np.sqrt(energy[kept] / count[kept])


def mean_frequency(values: np.ndarray, spans: tuple[float, ...]) -> float:
    """Return Σ |ξ| |F(ξ)|² / Σ |F(ξ)|² in cycles per unit of length, without frequency 0; 0 for a constant.

    Args:
        values: samples, as for `radial_spectrum`, with the same window.
        spans: length of the domain on each axis.
    """
    amplitude, length = _spectrum(values, spans)
    power = np.where(length > 0, np.square(amplitude), 0.0)
    total = float(power.sum())
    return float((power * length).sum()) / total if total > 0 else 0.0


def _spectrum(values: np.ndarray, spans: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return |F| / N behind the window, and |frequency|, both in the shape of the values."""
    f = values.astype(np.float64) - values.mean(dtype=np.float64)
    for axis, n in enumerate(f.shape):
        window = 1 - np.cos(2 * np.pi * (np.arange(n) + 0.5) / n)  # mean 1
        f = f * window.reshape([n if k == axis else 1 for k in range(f.ndim)])
    axes = [np.fft.fftfreq(n, span / n) for n, span in zip(f.shape, spans, strict=True)]
    squares = sum(g * g for g in np.meshgrid(*axes, indexing="ij"))
    return np.abs(np.fft.fftn(f)) / f.size, np.sqrt(squares)
