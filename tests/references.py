"""Slow, obvious numpy versions of what the package computes fast: the second opinion of the tests.

Nothing here is imported by the package, and nothing here imports it.
"""

import itertools
import math
import struct
import zlib

import numpy as np


def mse(prediction, target):
    """One value after the other."""
    pairs = list(zip(np.ravel(prediction).tolist(), np.ravel(target).tolist(), strict=True))
    return math.fsum((x - y) ** 2 for x, y in pairs) / len(pairs)


def psnr(prediction, target, peak):
    """By way of the root mean squared error."""
    return 20 * math.log10(peak / math.sqrt(mse(prediction, target)))


def snr(prediction, target):
    """Powers of signal and error."""
    x, y = np.ravel(prediction).tolist(), np.ravel(target).tolist()
    noise = math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return 10 * math.log10(math.fsum(b * b for b in y) / noise)


def si_sdr(prediction, target):
    """Split the prediction into its part along the target and the rest, and compare their lengths."""
    x, y = np.ravel(prediction).astype(float), np.ravel(target).astype(float)
    along = y * (np.inner(x, y) / np.inner(y, y))
    return 20 * math.log10(np.linalg.norm(along) / np.linalg.norm(x - along))


def rho_ag(prediction, target, axes):
    """Cosine of the full complex spectra's amplitudes."""
    x, y = (np.abs(np.fft.fftn(np.asarray(s, dtype=float), axes=axes)).ravel() for s in (prediction, target))
    return np.inner(x, y) / (np.linalg.norm(x) * np.linalg.norm(y))


def ssim_map(x, y, peak):
    """Structural similarity of one channel, one 11 x 11 window after the other."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / taps.sum() ** 2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    result = np.empty((x.shape[0] - 10, x.shape[1] - 10))
    for i, j in itertools.product(*map(range, result.shape)):
        a, b = (s[i : i + 11, j : j + 11].astype(float) for s in (x, y))
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        structure = (2 * covariance + c2) / (var_a + var_b + c2)
        result[i, j] = luminance * structure
    return result


def grid_points(shape, lower, upper):
    """All points of a grid of cell centres in row-major order, cell by cell."""
    points = []
    for index in itertools.product(*map(range, shape)):
        cells = zip(index, shape, lower, upper, strict=True)
        points.append([left + (right - left) * (i + 0.5) / n for i, n, left, right in cells])
    return np.array(points)


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png_chunk(kind, body):
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_filter(kind, row, above, step):
    """The residuals of one row of bytes under filter `kind`, byte by byte."""
    result = []
    for k, byte in enumerate(row):
        a = row[k - step] if k >= step else 0
        b = above[k]
        c = above[k - step] if k >= step else 0
        nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        result.append((byte - [0, a, b, (a + b) // 2, nearest][kind]) % 256)
    return bytes(result)


def png_bytes(samples, depth, colour_type, filters=(0,), interlaced=False, chunks=()):
    """A PNG file of integer samples (h, w, c), row r of every pass under filter r modulo their number.

    `chunks` are pairs of kind and body that go before the pixels.
    """
    height, width, n_channels = np.shape(samples)
    step = max(1, n_channels * depth // 8)
    data = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = np.asarray(samples)[y0::dy, x0::dx]
        above = b"\0" * -(-part.shape[1] * n_channels * depth // 8)
        for r, row in enumerate(part if part.size else []):
            bits = "".join(f"{value:0{depth}b}" for value in row.ravel().tolist())
            bits += "0" * (-len(bits) % 8)
            line = bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))
            kind = filters[r % len(filters)]
            data += bytes([kind]) + png_filter(kind, line, above, step)
            above = line
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in parts)


def lanczos_matrix(n_old, n_new):
    """Weights (n_new, n_old) of a Lanczos filter with three lobes, widened when shrinking, rows of sum 1."""
    scale = n_old / n_new
    width = max(scale, 1.0)
    centres = (np.arange(n_new) + 0.5) * scale
    distance = (np.arange(n_old) + 0.5 - centres[:, None]) / width
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def lanczos(image, width, height):
    """An image (h, w, c) resampled by two dense matrices."""
    rows, columns = lanczos_matrix(image.shape[0], height), lanczos_matrix(image.shape[1], width)
    return np.einsum("ih,hwc,jw->ijc", rows, image, columns, optimize=True)


def cubic_spline(u):
    """The cubic B-spline on the knots -2 ... 2 by the recursion of Cox and de Boor."""

    def part(i, degree):
        if degree == 0:
            return 1.0 if i - 2 <= u < i - 1 else 0.0
        left = (u - (i - 2)) / degree * part(i, degree - 1)
        return left + (i + degree - 1 - u) / degree * part(i + 1, degree - 1)

    return part(0, 3)


# Value and slope at one number, from the standard library alone.
FAMILIES = {
    "sin": (math.sin, math.cos),
    "spder": (
        lambda u: math.sin(u) * math.atan(u),
        lambda u: math.cos(u) * math.atan(u) + math.sin(u) / (1 + u * u),
    ),
    "spder-sqrt": (
        lambda u: math.sin(u) * math.sqrt(abs(u)),
        lambda u: (
            math.cos(u) * math.sqrt(abs(u)) + (math.sin(abs(u)) / (2 * math.sqrt(abs(u))) if u else 0.0)
        ),
    ),
    "gauss": (lambda u: math.exp(-(u * u)), lambda u: -2 * u * math.exp(-(u * u))),
    "tanh": (math.tanh, lambda u: math.cosh(u) ** -2 if abs(u) < 300 else 0.0),
    "relu": (lambda u: max(u, 0.0), lambda u: 1.0 if u > 0 else 0.0),
    "bspline": (
        cubic_spline,
        lambda u: math.copysign(1, u) * (2 * max(1 - abs(u), 0.0) ** 2 - max(2 - abs(u), 0.0) ** 2 / 2),
    ),
}


def product_layer(x, weight, bias, amplitude, frequency, phase, *, family, gamma, offset, centre):
    """The product layer, one point, neuron, factor and component after the other."""
    sigma = FAMILIES[family][0]
    n_factors, n_neurons, n_inputs = weight.shape
    phi = np.ones((len(x), n_neurons))
    for n, k in itertools.product(range(len(x)), range(n_neurons)):
        for j in range(n_factors):
            z = bias[j, k] + math.fsum(weight[j, k, i] * x[n, i] for i in range(n_inputs))
            g = 0.0
            for a, w, c in zip(amplitude[:, j, k], frequency[:, j, k], phase[:, j, k], strict=True):
                g += a * (sigma(w * z + c) - centre)
            phi[n, k] *= offset + gamma * g
    return phi


def layer_norm(values, scale, shift):
    """Every row less its mean, over its deviation (plus 1e-5 under the root), scaled and shifted."""
    mean = values.mean(1, keepdims=True)
    variance = ((values - mean) ** 2).mean(1, keepdims=True)
    return (values - mean) / np.sqrt(variance + 1e-5) * scale + shift


def lrnn(state, x, *, family, omegas, gamma, centres):
    """An LRNN with the tensors of `state` (numpy, by their names in the module), layer by layer."""
    for k, (omega, centre) in enumerate(zip(omegas, centres, strict=True)):
        layer = {name.removeprefix(f"layers.{k}."): v for name, v in state.items() if f"layers.{k}." in name}
        shape = (len(layer["amplitude"]), *layer["bias"].shape)
        a, w, c = (np.broadcast_to(layer[n], shape) for n in ("amplitude", "frequency", "phase"))
        args = (x, layer["weight"], layer["bias"], a, omega * w, c)
        x = product_layer(*args, family=family, gamma=gamma, offset=1.0, centre=centre)
        if "norm.weight" in layer:
            x = layer_norm(x, layer["norm.weight"], layer["norm.bias"])
    return x @ state["head.weight"].T + state["head.bias"]
