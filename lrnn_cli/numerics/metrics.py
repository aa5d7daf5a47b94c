"""How far a prediction x is from a target y: every figure of merit the project reports, each defined once.

All arithmetic is float64 and works in blocks, so that images of 4096 x 4096 x 3 need little more memory than
they already have. There is no epsilon anywhere: identical signals have a PSNR of +inf. NaN or infinity in a
signal gives NaN or infinity, without a warning. Nothing is clipped or rounded here; whoever wants the figure
of an 8-bit file passes what the file holds.

Every function raises `ValueError` when the shapes differ, an array is empty or not real, or the peak is not a
positive finite number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lrnn_cli.numerics.checks import check_same_shape

BLOCK = 2**17  # values per float64 block: 1 MiB, stays in cache
SSIM_RADIUS = 5  # 11 taps
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03


@np.errstate(invalid="ignore", over="ignore")
def mse(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Mean squared error, (1/n) Σ_i (x_i - y_i)², over all n values.

    Args:
        prediction: x, any shape.
        target: y, the same shape.

    Returns:
        The mean squared error in squared units of the signal; 0 if identical.
    """
    total = 0.0
    for x, y in _blocks(prediction, target):
        total += _dot(x - y, x - y)
    return total / np.asarray(target).size


def psnr(prediction: np.ndarray, *, target: np.ndarray, peak: float) -> float:
    """Peak signal-to-noise ratio, 10 log10(peak² / MSE), in dB.

    Source: Q. Huynh-Thu, M. Ghanbari, Scope of validity of PSNR in image/video quality assessment, 2008.

    Args:
        prediction: x, any shape.
        target: y, the same shape.
        peak: Largest possible value of the signal (1 for images in [0, 1], 255 for 8-bit values).

    Returns:
        The ratio in dB; +inf if identical.
    """
    _check_peak(peak)
    error = mse(prediction, target=target)
    return math.inf if error == 0 else 20.0 * math.log10(peak) - 10.0 * math.log10(error)


@np.errstate(invalid="ignore", over="ignore")
def max_error(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Largest absolute error, max_i |x_i - y_i|.

    Args:
        prediction: x, any shape.
        target: y, the same shape.

    Returns:
        The error in units of the signal; 0 if identical, NaN if any difference is NaN.
    """
    return float(np.max([np.max(np.abs(x - y)) for x, y in _blocks(prediction, target)]))


@np.errstate(invalid="ignore", over="ignore")
def rel_l2(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Relative error in the Euclidean norm, ‖x - y‖₂ / ‖y‖₂.

    Args:
        prediction: x, any shape.
        target: y, the same shape.

    Returns:
        The ratio, no unit; 0 if identical, +inf if the target alone is zero.
    """
    noise, signal = _energies(prediction, target)
    if noise == 0:
        return 0.0
    if signal == 0:
        return math.nan if math.isnan(noise) else math.inf
    return math.sqrt(noise) / math.sqrt(signal)


@np.errstate(invalid="ignore", over="ignore")
def snr(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Signal-to-noise ratio, 10 log10(Σ y² / Σ (x - y)²), in dB.

    Args:
        prediction: x, any shape; channels are summed together.
        target: y, the same shape.

    Returns:
        The ratio in dB; +inf if identical, -inf if the target alone is zero.
    """
    noise, signal = _energies(prediction, target)
    return _ratio_db(signal, noise)


@np.errstate(invalid="ignore", over="ignore")
def si_sdr(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio, 10 log10(‖α y‖² / ‖α y - x‖²), α = <x, y> / ‖y‖², in dB.

    The prediction may be louder or softer than the target without loss. No mean is removed. Several channels
    share one α, so that a wrong balance between them does count.

    Source: J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, SDR – half-baked or well done?, ICASSP 2019.

    Args:
        prediction: x, any shape.
        target: y, the same shape.

    Returns:
        The ratio in dB; +inf if x is a multiple of y, -inf if it has nothing of y, NaN if the target is zero.
    """
    product = energy = 0.0
    for x, y in _blocks(prediction, target):
        product += _dot(x, y)
        energy += _dot(y, y)
    if energy == 0:
        return math.nan
    alpha = product / energy
    distortion = 0.0
    for x, y in _blocks(prediction, target):
        distortion += _dot(alpha * y - x, alpha * y - x)
    if alpha == 0:
        return -math.inf
    return _ratio_db(alpha**2 * energy, distortion)


@np.errstate(invalid="ignore", over="ignore")
def rho_ag(prediction: np.ndarray, *, target: np.ndarray, n_axes: int = 1) -> float:
    """Cosine similarity of the amplitude spectra, Σ |X||Y| / sqrt(Σ |X|² Σ |Y|²).

    X and Y are the full discrete Fourier transforms; no mean is removed, so the bin of frequency zero counts.
    Computed with the half spectrum of real signals: every bin that has a mirror image is counted twice, those
    without (frequency zero, and the Nyquist bin of an even length) once. Phases do not matter.

    Source: K. Shah, C. Sitawarin, SPDER: Semiperiodic Damping-Enabled Object Representation, 2023 (ρ_AG).

    Args:
        prediction: x, (n_1, …, n_k) or (n_1, …, n_k, c) with k = `n_axes`; channels are transformed one by
            one and the sums run over all their spectra.
        target: y, the same shape.
        n_axes: Number of leading axes to transform: 1 for sound, 2 for images.

    Returns:
        A number in [0, 1], no unit; 1 if the spectra are proportional, NaN if a signal is zero or not finite.

    Raises:
        ValueError: If the arrays have not `n_axes` axes or one more.
    """
    x, y = _checked(prediction, target)
    if n_axes < 1 or x.ndim not in (n_axes, n_axes + 1):
        raise ValueError(f"prediction: expected n_axes ({n_axes}) axes or one more, got shape {x.shape}")
    x, y = (array.reshape(*array.shape[:n_axes], -1) for array in (x, y))
    axes = tuple(range(n_axes))
    n = x.shape[n_axes - 1]
    weights = np.full(n // 2 + 1, 2.0)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    product = energy_x = energy_y = 0.0
    for channel in range(x.shape[-1]):
        amplitude_x = np.abs(np.fft.rfftn(x[..., channel].astype(np.float64), axes=axes))
        amplitude_y = np.abs(np.fft.rfftn(y[..., channel].astype(np.float64), axes=axes))
        product += _dot(amplitude_x * amplitude_y, weights)
        energy_x += _dot(amplitude_x**2, weights)
        energy_y += _dot(amplitude_y**2, weights)
    norm = math.sqrt(energy_x * energy_y)
    if norm == 0 or not math.isfinite(norm):
        return math.nan
    return min(1.0, product / norm)


@np.errstate(invalid="ignore", over="ignore")
def ssim(prediction: np.ndarray, *, target: np.ndarray, peak: float) -> float:
    """Mean structural similarity index, averaged over positions and channels.

    At each position, with means μ, variances σ² and covariance σ_xy under a Gaussian window (11 x 11, σ = 1.5
    pixels, weights of sum 1, population covariance),

        S = (2 μ_x μ_y + C1) (2 σ_xy + C2) / ((μ_x² + μ_y² + C1) (σ_x² + σ_y² + C2)),
        C1 = (0.01 peak)²,  C2 = (0.03 peak)².

    Only windows that lie inside the image count. Equal to scikit-image's `structural_similarity` with
    `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=peak, channel_axis=-1`.

    Source: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, Image quality assessment: from error
    visibility to structural similarity, IEEE Trans. Image Processing 13(4), 2004, eq. 13.

    Args:
        prediction: x, (h, w) or (h, w, c).
        target: y, the same shape.
        peak: Largest possible value of the signal.

    Returns:
        The index in [-1, 1], no unit; 1 if identical. NaN if a side is shorter than 11 pixels.

    Raises:
        ValueError: If the arrays have not two or three axes.
    """
    _check_peak(peak)
    x, y = _checked(prediction, target)
    if x.ndim not in (2, 3):
        raise ValueError(f"prediction: expected shape (h, w) or (h, w, c), got {x.shape}")
    if min(x.shape[:2]) < 2 * SSIM_RADIUS + 1:
        return math.nan
    x, y = (array.reshape(*array.shape[:2], -1) for array in (x, y))
    return sum(_ssim_channel(x[..., c], y[..., c], peak) for c in range(x.shape[2])) / x.shape[2]


def _ssim_channel(x: np.ndarray, y: np.ndarray, peak: float) -> float:
    """Mean S of one channel (h, w), strip by strip."""
    c1, c2 = (SSIM_K1 * peak) ** 2, (SSIM_K2 * peak) ** 2
    n_rows, n_columns = x.shape[0] - 2 * SSIM_RADIUS, x.shape[1] - 2 * SSIM_RADIUS
    strip = max(4 * SSIM_RADIUS, BLOCK // x.shape[1])
    total = 0.0
    for top in range(0, n_rows, strip):
        rows = slice(top, min(top + strip, n_rows) + 2 * SSIM_RADIUS)
        a, b = x[rows].astype(np.float64), y[rows].astype(np.float64)
        mean_a, mean_b = _window(a), _window(b)
        variances = _window(a * a) - mean_a * mean_a + (_window(b * b) - mean_b * mean_b)
        covariance = _window(a * b) - mean_a * mean_b
        similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        similarity /= (mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2)
        total += float(np.sum(similarity))
    return total / (n_rows * n_columns)


def _window(image: np.ndarray) -> np.ndarray:
    """Gaussian mean of every complete 11 x 11 window, (h, w) -> (h - 10, w - 10)."""
    from scipy.ndimage import correlate1d

    weights = np.exp(-0.5 * (np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1) / SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return np.asarray(correlate1d(correlate1d(image, weights, axis=0)[inner], weights, axis=1)[:, inner])


def _checked(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as real, non-empty arrays of one shape."""
    x, y = np.asarray(prediction), np.asarray(target)
    check_same_shape(prediction=x, target=y)
    for name, array in (("prediction", x), ("target", y)):
        if array.size == 0:
            raise ValueError(f"{name}: expected at least one value, got shape {array.shape}")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return x, y


def _blocks(prediction: np.ndarray, target: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both signals flattened and cut into float64 blocks (at most BLOCK,)."""
    x, y = (array.reshape(-1) for array in _checked(prediction, target))
    for start in range(0, x.size, BLOCK):
        part = slice(start, start + BLOCK)
        yield x[part].astype(np.float64), y[part].astype(np.float64)


def _dot(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sum(x * y))


def _energies(prediction: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Σ (x - y)² and Σ y²."""
    noise = signal = 0.0
    for x, y in _blocks(prediction, target):
        noise += _dot(x - y, x - y)
        signal += _dot(y, y)
    return noise, signal


def _ratio_db(signal: float, noise: float) -> float:
    """10 log10(signal / noise) in dB with the limits +inf (no noise) and -inf (no signal)."""
    if noise == 0:
        return math.inf
    if signal == 0:
        return math.nan if math.isnan(noise) else -math.inf
    return 10.0 * (math.log10(signal) - math.log10(noise))


def _check_peak(peak: float) -> None:
    if not (math.isfinite(peak) and peak > 0):
        raise ValueError(f"peak: expected a positive finite number, got {peak}")
