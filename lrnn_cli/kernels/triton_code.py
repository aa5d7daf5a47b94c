"""Device code of the product layer for Triton; `triton.py` launches it. Importing this imports triton.

A program works on BN points and BR neurons and goes through the factors one after the other: the projection,
summed up over FEW inputs or, FEW = 0, read; the components; the running product. The backward pass writes
dz (n, D, R), in whose place the prefix products wait for the suffix products: a factor may be 0, so nothing
is divided. Projections are here without the bias, which moves into the phase:
w (z + b) + c = w z + (w b + c). n points, d inputs, D factors, R neurons, M components; x (n, d),
weight (D, R, d), bias (D, R), amplitude, frequency, phase (M, D, R), z (n, D, R), all contiguous float32.
"""
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

import triton
import triton.language as tl


@triton.jit
def _with_sign(x, of):
    """Flip the sign of x where the lowest bit of the integers `of` is set."""
    return (x.to(tl.int32, bitcast=True) ^ (of << 31)).to(tl.float32, bitcast=True)


@triton.jit
def _sine_cosine(x):
    """Both for |x| <= 1e4: x = k pi + r, pi in three parts, polynomials of native.c; no slow branch."""
    shifted = x * 0.318309886 + 12582912.0  # 1.5 2^23: rounds to an integer, whose last bit is the sum's
    k = shifted - 12582912.0
    r = ((x - k * 3.140625) - k * 9.67502593994140625e-4) - k * 1.509957990978376432e-7
    t = r * r
    s = -1.66666596e-01 + t * (8.33306625e-03 + t * (-1.98096029e-04 + t * 2.60578063e-06))
    c = 4.16666558e-02 + t * (-1.38885692e-03 + t * (2.47693042e-05 + t * -2.61938151e-07))
    odd = shifted.to(tl.int32, bitcast=True)
    return _with_sign(r + r * t * s, odd), _with_sign(1.0 - 0.5 * t + t * t * c, odd)


@triton.jit
def _arctangent(m):
    """Arctan m for m >= 0: of t = min(m, 1 / m), pi/2 - that beyond 1; the polynomial of native.c."""
    large = m > 1.0
    t = tl.where(large, 1.0 / tl.maximum(m, 1.0), m)
    q = t * t
    p = 4.321186e-02 + q * (-1.636793e-02 + q * 2.92069e-03)
    p = -1.4211055e-01 + q * (1.0666005e-01 + q * (-7.552214e-02 + q * p))
    p = t + t * q * (-3.3333153e-01 + q * (1.9993773e-01 + q * p))
    return tl.where(large, 1.57079632679 - p, p)


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
def positive(x):
    """max(x, 0) that keeps NaN."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def activation(u, FAMILY: tl.constexpr):
    """Value and slope of sigma, formulas of `families`."""
    if FAMILY == "sin":
        value, slope = _sine_cosine(u)
    elif FAMILY == "spder":
        m = tl.abs(u)  # the value is even, the slope odd
        sine, cosine = _sine_cosine(m)
        arc = _arctangent(m)
        value = sine * arc
        slope = cosine * arc + sine / (1.0 + u * u)
        slope = tl.where(u < 0.0, -slope, slope)
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
        value = positive(u)
        slope = tl.where(u > 0.0, 1.0, 0.0)
    else:
        tl.static_assert(FAMILY == "bspline")
        magnitude = tl.abs(u)
        outer = positive(2.0 - magnitude)
        inner = positive(1.0 - magnitude)
        value = (outer * outer * outer - 4.0 * inner * inner * inner) / 6.0
        slope = (2.0 * inner * inner - 0.5 * outer * outer) * tl.where(u < 0.0, -1.0, 1.0)
    return value, slope


@triton.jit
def _add(a1, b1, c1, a2, b2, c2):
    return a1 + a2, b1 + b2, c1 + c2


@triton.jit
def _project(x, weight, z, rows, row_mask, col_mask, lines, at, mask, FEW: tl.constexpr):
    """One tile (BN, BR) of W_j x, summed up or read."""
    if FEW > 0:
        found = tl.zeros(mask.shape, dtype=tl.float32)
        for k in tl.static_range(FEW):
            xs = tl.load(x + rows * FEW + k, mask=row_mask, other=0.0)
            ws = tl.load(weight + lines * FEW + k, mask=col_mask, other=0.0)
            found += xs[:, None] * ws[None, :]
    else:
        found = tl.load(z + at, mask=mask, other=0.0)
    return found


@triton.jit
def _component(amplitude, frequency, phase, place, b, col_mask):
    """Amplitude, frequency and phase of a component, the phase with the bias in it, of the columns."""
    a = tl.load(amplitude + place, mask=col_mask, other=0.0)
    w = tl.load(frequency + place, mask=col_mask, other=0.0)
    c = tl.load(phase + place, mask=col_mask, other=0.0)
    return a[None, :], w[None, :], (w * b + c)[None, :]


@triton.jit(do_not_specialize=["n"])
def forward_kernel(
    x, weight, z, bias, amplitude, frequency, phase, phi,
    n, d, n_factors, n_neurons, n_components, gamma, offset, centre,
    FAMILY: tl.constexpr, FEW: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr,
):  # fmt: skip
    """Write phi (n, R)."""
    start = tl.program_id(0).to(tl.int64) * BN
    size = n_factors * n_neurons
    rows = tl.arange(0, BN)
    cols = tl.program_id(1) * BR + tl.arange(0, BR)
    row_mask = rows < n - start
    col_mask = cols < n_neurons
    mask = row_mask[:, None] & col_mask[None, :]
    x += start * d
    z += start * size
    phi += start * n_neurons
    tile = rows[:, None] * size + cols[None, :]
    product = tl.full((BN, BR), 1.0, dtype=tl.float32)
    for j in range(n_factors):
        lines = j * n_neurons + cols
        at = tile + j * n_neurons
        zj = _project(x, weight, z, rows, row_mask, col_mask, lines, at, mask, FEW)
        b = tl.load(bias + lines, mask=col_mask, other=0.0)
        g = tl.zeros((BN, BR), dtype=tl.float32)
        for m in range(n_components):
            a, w, c = _component(amplitude, frequency, phase, m * size + lines, b, col_mask)
            value, _ = activation(w * zj + c, FAMILY)
            g += a * (value - centre)
        product *= offset + gamma * g
    tl.store(phi + rows[:, None] * n_neurons + cols[None, :], product, mask=mask)


@triton.jit(do_not_specialize=["n"])
def backward_kernel(
    x, weight, z, bias, amplitude, frequency, phase, dphi, dz, sums,
    n, d, n_factors, n_neurons, n_components, gamma, offset, centre,
    FAMILY: tl.constexpr, FEW: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr, ALONE: tl.constexpr,
):  # fmt: skip
    """Write dz (n, D, R), and the sums over the points of a block to `sums` (blocks, lines, D, R).

    With u = w z + (w b + c) the lines are M of da, M of sum du z, M of sum du, and, when ALONE, FEW of dW;
    dz is then left without meaning. The caller adds the blocks, always in the same order.
    """
    start = tl.program_id(0).to(tl.int64) * BN
    size = n_factors * n_neurons
    rows = tl.arange(0, BN)
    cols = tl.program_id(1) * BR + tl.arange(0, BR)
    row_mask = rows < n - start
    col_mask = cols < n_neurons
    mask = row_mask[:, None] & col_mask[None, :]
    x += start * d
    z += start * size
    dz += start * size
    dphi += start * n_neurons
    n_lines = 3 * n_components
    if ALONE:
        n_lines += FEW
    sums += tl.program_id(0).to(tl.int64) * n_lines * size
    tile = rows[:, None] * size + cols[None, :]
    upstream = tl.load(dphi + rows[:, None] * n_neurons + cols[None, :], mask=mask, other=0.0)
    before = upstream * gamma
    for j in range(n_factors):
        lines = j * n_neurons + cols
        at = tile + j * n_neurons
        zj = _project(x, weight, z, rows, row_mask, col_mask, lines, at, mask, FEW)
        tl.store(dz + at, before, mask=mask)
        b = tl.load(bias + lines, mask=col_mask, other=0.0)
        g = tl.zeros((BN, BR), dtype=tl.float32)
        for m in range(n_components):
            a, w, c = _component(amplitude, frequency, phase, m * size + lines, b, col_mask)
            value, _ = activation(w * zj + c, FAMILY)
            g += a * (value - centre)
        before *= offset + gamma * g
    tl.debug_barrier()  # what is read below may have been written by other threads of the program
    after = tl.full((BN, BR), 1.0, dtype=tl.float32)
    for i in range(n_factors):
        j = n_factors - 1 - i
        lines = j * n_neurons + cols
        at = tile + j * n_neurons
        zj = _project(x, weight, z, rows, row_mask, col_mask, lines, at, mask, FEW)
        dg = tl.load(dz + at, mask=mask, other=0.0) * after
        b = tl.load(bias + lines, mask=col_mask, other=0.0)
        g = tl.zeros((BN, BR), dtype=tl.float32)
        dzj = tl.zeros((BN, BR), dtype=tl.float32)
        for m in range(n_components):
            place = m * size + lines
            a, w, c = _component(amplitude, frequency, phase, place, b, col_mask)
            value, slope = activation(w * zj + c, FAMILY)
            value -= centre
            g += a * value
            du = dg * slope * a
            dzj += du * w
            da, duz, dus = tl.reduce((dg * value, du * zj, du), 0, _add)
            tl.store(sums + place, da, mask=col_mask)
            tl.store(sums + n_components * size + place, duz, mask=col_mask)
            tl.store(sums + 2 * n_components * size + place, dus, mask=col_mask)
        after *= offset + gamma * g
        if ALONE:
            for k in tl.static_range(FEW):
                xs = tl.load(x + rows * FEW + k, mask=row_mask, other=0.0)
                place = (3 * n_components + k) * size + lines
                tl.store(sums + place, tl.sum(dzj * xs[:, None], axis=0), mask=col_mask)
        else:
            tl.store(dz + at, dzj, mask=mask)


@triton.jit(do_not_specialize=["n"])
def split_kernel(t, parts, n, d, padded, SECOND: tl.constexpr, B: tl.constexpr):
    """Write t (n, d) in two parts of TF32 precision to `parts` (n, 3 padded): high, high, low, 0 in between.

    Of the second operand: high, low, high. One product over all of it is high high + high low + low high.
    """
    at = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    row = at // padded
    column = at % padded
    inside = row < n
    value = tl.load(t + row * d + column, mask=inside & (column < d), other=0.0)
    high = ((value.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    low = value - high
    place = row * (3 * padded) + column
    tl.store(parts + place, high, mask=inside)
    if SECOND:
        tl.store(parts + place + padded, low, mask=inside)
        tl.store(parts + place + 2 * padded, high, mask=inside)
    else:
        tl.store(parts + place + padded, high, mask=inside)
        tl.store(parts + place + 2 * padded, low, mask=inside)


@triton.jit(do_not_specialize=["n"])
def norm_forward_kernel(x, weight, bias, y, moments, n, n_neurons, eps, BN: tl.constexpr, BR: tl.constexpr):
    """Write y (n, R) = weight (x - mean) / (variance + eps)^(1/2) + bias, and moments (n, 2): mean, scale."""
    rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    cols = tl.arange(0, BR)
    there = cols < n_neurons
    mask = (rows < n)[:, None] & there[None, :]
    at = rows[:, None] * n_neurons + cols[None, :]
    value = tl.load(x + at, mask=mask, other=0.0)
    mean = tl.sum(value, axis=1) / n_neurons
    centred = tl.where(mask, value - mean[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / n_neurons + eps)
    w = tl.load(weight + cols, mask=there, other=0.0)
    b = tl.load(bias + cols, mask=there, other=0.0)
    tl.store(y + at, centred * scale[:, None] * w[None, :] + b[None, :], mask=mask)
    tl.store(moments + 2 * rows, mean, mask=rows < n)
    tl.store(moments + 2 * rows + 1, scale, mask=rows < n)


@triton.jit(do_not_specialize=["n"])
def norm_backward_kernel(
    x, weight, moments, dy, dx, sums, n, n_neurons, BN: tl.constexpr, BR: tl.constexpr, TURNS: tl.constexpr
):
    """Write dx (n, R), and for every program the sums dweight, dbias over its TURNS BN rows to `sums`."""
    cols = tl.arange(0, BR)
    there = cols < n_neurons
    w = tl.load(weight + cols, mask=there, other=0.0)
    dw = tl.zeros((BN, BR), dtype=tl.float32)
    db = tl.zeros((BN, BR), dtype=tl.float32)
    for turn in range(TURNS):
        rows = (tl.program_id(0).to(tl.int64) * TURNS + turn) * BN + tl.arange(0, BN)
        mask = (rows < n)[:, None] & there[None, :]
        at = rows[:, None] * n_neurons + cols[None, :]
        mean = tl.load(moments + 2 * rows, mask=rows < n, other=0.0)
        scale = tl.load(moments + 2 * rows + 1, mask=rows < n, other=0.0)
        g = tl.load(dy + at, mask=mask, other=0.0)
        normal = (tl.load(x + at, mask=mask, other=0.0) - mean[:, None]) * scale[:, None]
        normal = tl.where(mask, normal, 0.0)
        dw += g * normal
        db += g
        g *= w[None, :]
        along = tl.sum(g * normal, axis=1) / n_neurons
        level = tl.sum(g, axis=1) / n_neurons
        tl.store(dx + at, scale[:, None] * (g - level[:, None] - normal * along[:, None]), mask=mask)
    line = sums + tl.program_id(0).to(tl.int64) * 2 * n_neurons + cols
    tl.store(line, tl.sum(dw, axis=0), mask=there)
    tl.store(line + n_neurons, tl.sum(db, axis=0), mask=there)
