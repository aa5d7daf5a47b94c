"""Device code of the product layer for Triton; `triton.py` launches it. Importing this imports triton.

A program works on BN points and BR neurons and goes through the factors one after the other: a tile of the
projection by matrix products, the components, the running product; no tensor of shape (n, D, R) is written by
the forward pass. The backward pass writes one, dz, in whose place the prefix products wait for the suffix
products: a factor may be 0, so nothing is divided. n points, d inputs, D factors, R neurons, M components;
x (n, d), weight (D, R, d), bias (D, R), amplitude, frequency, phase (M, D, R), all contiguous float32.
"""
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

import triton
import triton.language as tl


@triton.jit
def _sine_cosine(x):
    """Both for |x| <= 1e4: x = k pi + r, pi in three parts, polynomials of native.c; no slow branch."""
    k = tl.floor(x * 0.318309886 + 0.5)
    sign = 1.0 - 2.0 * (k - 2.0 * tl.floor(0.5 * k))
    r = ((x - k * 3.140625) - k * 9.67502593994140625e-4) - k * 1.509957990978376432e-7
    t = r * r
    s = -1.66666596e-01 + t * (8.33306625e-03 + t * (-1.98096029e-04 + t * 2.60578063e-06))
    c = 4.16666558e-02 + t * (-1.38885692e-03 + t * (2.47693042e-05 + t * -2.61938151e-07))
    return sign * (r + r * t * s), sign * (1.0 - 0.5 * t + t * t * c)


@triton.jit
def _arctangent(x):
    """Arctan t for t = min(|x|, 1) / max(|x|, 1), pi/2 - that beyond 1; the polynomial of native.c."""
    m = tl.abs(x)
    large = m > 1.0
    t = tl.where(large, 1.0, m) / tl.where(large, m, 1.0)
    q = t * t
    p = 4.321186e-02 + q * (-1.636793e-02 + q * 2.92069e-03)
    p = -1.4211055e-01 + q * (1.0666005e-01 + q * (-7.552214e-02 + q * p))
    p = t + t * q * (-3.3333153e-01 + q * (1.9993773e-01 + q * p))
    p = tl.where(large, 1.57079632679 - p, p)
    return tl.where(x < 0.0, -p, p)


@triton.jit
def _tanh(x):
    """Series where 1 - 2 / (e^2|x| + 1) would cancel; NaN stays NaN."""
    m = tl.abs(x)
    q = x * x
    small = -5.39682540e-2 + q * 2.18694885e-2
    small = m * (1.0 + q * (-3.33333333e-1 + q * (1.33333333e-1 + q * small)))
    big = 1.0 - 2.0 / (tl.exp(tl.where(m > 20.0, 20.0, 2.0 * m)) + 1.0)
    p = tl.where(m < 0.25, small, big)
    return tl.where(x < 0.0, -p, p)


@triton.jit
def _positive(x):
    """max(x, 0) that keeps NaN."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def activation(u, FAMILY: tl.constexpr):
    """Value and slope of sigma, formulas of `families`."""
    if FAMILY == "sin":
        value, slope = _sine_cosine(u)
    elif FAMILY == "spder":
        sine, cosine = _sine_cosine(u)
        arc = _arctangent(u)
        value = sine * arc
        slope = cosine * arc + sine / (1.0 + u * u)
    elif FAMILY == "spder-sqrt":
        sine, cosine = _sine_cosine(u)
        root = tl.sqrt(tl.abs(u))
        value = sine * root
        half = tl.where(u < 0.0, -sine, sine) / (2.0 * tl.where(root < 1e-18, 1e-18, root))
        slope = cosine * root + half
    elif FAMILY == "gauss":
        value = tl.exp(-u * u)
        slope = -2.0 * u * value
    elif FAMILY == "tanh":
        value = _tanh(u)
        slope = 1.0 - value * value
    elif FAMILY == "relu":
        value = _positive(u)
        slope = tl.where(u > 0.0, 1.0, 0.0)
    else:
        tl.static_assert(FAMILY == "bspline")
        magnitude = tl.abs(u)
        outer = _positive(2.0 - magnitude)
        inner = _positive(1.0 - magnitude)
        value = (outer * outer * outer - 4.0 * inner * inner * inner) / 6.0
        slope = (2.0 * inner * inner - 0.5 * outer * outer) * tl.where(u < 0.0, -1.0, 1.0)
    return value, slope


@triton.jit
def _project(
    x, weight, bias, rows, cols, row_mask, col_mask, j, d, n_neurons,
    DOT: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr, BK: tl.constexpr, NARROW: tl.constexpr,
):  # fmt: skip
    """One tile (BN, BR) of z_j = W_j x + b_j."""
    z = tl.zeros((BN, BR), dtype=tl.float32)
    lines = j * n_neurons + cols
    if NARROW:
        for k in range(d):
            xs = tl.load(x + rows * d + k, mask=row_mask, other=0.0)
            ws = tl.load(weight + lines * d + k, mask=col_mask, other=0.0)
            z += xs[:, None] * ws[None, :]
    else:
        for start in range(0, d, BK):
            inner = start + tl.arange(0, BK)
            there = inner < d
            xs = tl.load(
                x + rows[:, None] * d + inner[None, :], mask=row_mask[:, None] & there[None, :], other=0.0
            )
            ws = tl.load(
                weight + lines[None, :] * d + inner[:, None],
                mask=there[:, None] & col_mask[None, :],
                other=0.0,
            )
            z = tl.dot(xs, ws, z, input_precision=DOT)
    return z + tl.load(bias + lines, mask=col_mask, other=0.0)[None, :]


@triton.jit(do_not_specialize=["n"])
def forward_kernel(
    x, weight, bias, amplitude, frequency, phase, phi,
    n, d, n_factors, n_neurons, n_components, gamma, offset, centre,
    FAMILY: tl.constexpr, DOT: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr, BK: tl.constexpr,
    NARROW: tl.constexpr,
):  # fmt: skip
    """Write phi (n, R)."""
    rows = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    cols = tl.program_id(1) * BR + tl.arange(0, BR)
    row_mask = rows < n
    col_mask = cols < n_neurons
    product = tl.full((BN, BR), 1.0, dtype=tl.float32)
    for j in range(n_factors):
        z = _project(
            x, weight, bias, rows, cols, row_mask, col_mask, j, d, n_neurons, DOT, BN, BR, BK, NARROW
        )
        g = tl.zeros((BN, BR), dtype=tl.float32)
        for m in range(n_components):
            place = (m * n_factors + j) * n_neurons + cols
            a = tl.load(amplitude + place, mask=col_mask, other=0.0)
            w = tl.load(frequency + place, mask=col_mask, other=0.0)
            c = tl.load(phase + place, mask=col_mask, other=0.0)
            value, _ = activation(w[None, :] * z + c[None, :], FAMILY)
            g += a[None, :] * (value - centre)
        product *= offset + gamma * g
    tl.store(
        phi + rows[:, None] * n_neurons + cols[None, :], product, mask=row_mask[:, None] & col_mask[None, :]
    )


@triton.jit(do_not_specialize=["n"])
def backward_kernel(
    x, weight, bias, amplitude, frequency, phase, dphi, dz, sums,
    n, d, n_factors, n_neurons, n_components, gamma, offset, centre,
    FAMILY: tl.constexpr, DOT: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr, BK: tl.constexpr,
    NARROW: tl.constexpr, ALONE: tl.constexpr,
):  # fmt: skip
    """Write dz (n, D, R), and the sums over the points of a block to `sums` (blocks, lines, D, R).

    The lines there: M of da, M of dw, M of dc, then db, and, when ALONE, d of dW; dz is then left without
    meaning. The caller adds the blocks, always in the same order.
    """
    rows = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    cols = tl.program_id(1) * BR + tl.arange(0, BR)
    row_mask = rows < n
    col_mask = cols < n_neurons
    mask = row_mask[:, None] & col_mask[None, :]
    upstream = tl.load(dphi + rows[:, None] * n_neurons + cols[None, :], mask=mask, other=0.0)
    before = upstream * gamma
    for j in range(n_factors):
        z = _project(
            x, weight, bias, rows, cols, row_mask, col_mask, j, d, n_neurons, DOT, BN, BR, BK, NARROW
        )
        tl.store(dz + (rows[:, None] * n_factors + j) * n_neurons + cols[None, :], before, mask=mask)
        g = tl.zeros((BN, BR), dtype=tl.float32)
        for m in range(n_components):
            place = (m * n_factors + j) * n_neurons + cols
            a = tl.load(amplitude + place, mask=col_mask, other=0.0)
            w = tl.load(frequency + place, mask=col_mask, other=0.0)
            c = tl.load(phase + place, mask=col_mask, other=0.0)
            value, _ = activation(w[None, :] * z + c[None, :], FAMILY)
            g += a[None, :] * (value - centre)
        before *= offset + gamma * g
    tl.debug_barrier()  # what is read below may have been written by other threads of the program
    after = tl.full((BN, BR), 1.0, dtype=tl.float32)
    size = n_factors * n_neurons
    lines = 3 * n_components + 1
    if ALONE:
        lines += d
    line = tl.program_id(0).to(tl.int64) * lines * size
    for i in range(n_factors):
        j = n_factors - 1 - i
        z = _project(
            x, weight, bias, rows, cols, row_mask, col_mask, j, d, n_neurons, DOT, BN, BR, BK, NARROW
        )
        slot = dz + (rows[:, None] * n_factors + j) * n_neurons + cols[None, :]
        dg = tl.load(slot, mask=mask, other=0.0) * after
        g = tl.zeros((BN, BR), dtype=tl.float32)
        dz_j = tl.zeros((BN, BR), dtype=tl.float32)
        for m in range(n_components):
            place = (m * n_factors + j) * n_neurons + cols
            a = tl.load(amplitude + place, mask=col_mask, other=0.0)
            w = tl.load(frequency + place, mask=col_mask, other=0.0)
            c = tl.load(phase + place, mask=col_mask, other=0.0)
            value, slope = activation(w[None, :] * z + c[None, :], FAMILY)
            value -= centre
            g += a[None, :] * value
            du = dg * slope * a[None, :]
            dz_j += du * w[None, :]
            tl.store(sums + line + place, tl.sum(dg * value, axis=0), mask=col_mask)
            tl.store(sums + line + n_components * size + place, tl.sum(du * z, axis=0), mask=col_mask)
            tl.store(sums + line + 2 * n_components * size + place, tl.sum(du, axis=0), mask=col_mask)
        after *= offset + gamma * g
        place = line + 3 * n_components * size + j * n_neurons + cols
        tl.store(sums + place, tl.sum(dz_j, axis=0), mask=col_mask)
        if ALONE:
            for k in range(d):
                xs = tl.load(x + rows * d + k, mask=row_mask, other=0.0)
                tl.store(sums + place + (k + 1) * size, tl.sum(dz_j * xs[:, None], axis=0), mask=col_mask)
        else:
            tl.store(slot, dz_j, mask=mask)
