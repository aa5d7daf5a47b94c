"""Device code of `triton_jets`: value, gradient and Laplacian of the product layer for Triton, in float64.

A program works on BN points and BR neurons and goes through the factors one after the other, with the
recurrence of `fused_jets`. The gradient is a third axis of its tiles, MP coordinates (a power of two, m of
them in use), the outermost, so that a thread has all coordinates of its points. The backward pass keeps the
product so far, its gradient and its Laplacian before every factor and goes back; nothing is divided.

Shapes: n points, m coordinates, D factors, R neurons, M components; z (n, D, R), along = grad z and
bend = lap z with strides, 0 between points where all rows are equal; amplitude, frequency, phase (M, D, R).
Constants are constexpr: Triton would pass them in single precision.
"""
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

import triton
import triton.language as tl

from lrnn_cli.kernels.triton_code import positive


@triton.jit
def _with_sign(x, of):
    """Flip the sign of x where the lowest bit of the integers `of` is set."""
    return (x.to(tl.int64, bitcast=True) ^ (of << 63)).to(tl.float64, bitcast=True)


@triton.jit
def _sine_cosine(x):
    """Both for |x| <= 1e4: x = k pi + r, pi in three parts, polynomials of native_jets.c; no slow branch."""
    shifted = x * 0.31830988618379067 + 6755399441055744.0  # 1.5 2^52: rounds to an integer
    k = shifted - 6755399441055744.0
    r = ((x - k * 3.1415926534682512) - k * 1.2154201012607932e-10) - k * 4.044532497591901e-21
    q = r * r
    s = -7.647127729243047e-13 + q * (2.810214288760064e-15 + q * -7.982495482720203e-18)
    s = 1.6059043206050105e-10 + q * s
    s = -1.9841269841269670e-4 + q * (2.7557319223940686e-6 + q * (-2.5052108378598793e-8 + q * s))
    s = r + r * q * (-0.16666666666666666 + q * (8.333333333333333e-3 + q * s))
    c = -1.1470670142864075e-11 + q * (4.776871733415368e-14 + q * -1.51197786600161e-16)
    c = 2.087675566605353e-9 + q * c
    c = -1.388888888888853e-3 + q * (2.4801587301492586e-5 + q * (-2.755731920964734e-7 + q * c))
    c = 1.0 - 0.5 * q + q * q * (0.04166666666666666 + q * c)
    odd = shifted.to(tl.int64, bitcast=True)
    return _with_sign(s, odd), _with_sign(c, odd)


@triton.jit
def _arctangent(x):
    """Beyond 1 pi/2 - arctan(1/|x|); what is left above tan(pi/8) is pi/4 + arctan((t - 1) / (t + 1))."""
    a = tl.abs(x)
    large = a > 1.0
    t = tl.where(large, 1.0 / tl.maximum(a, 1.0), a)
    upper = t > 0.41421356237309503
    y = tl.where(upper, (t - 1.0) / (t + 1.0), t)
    q = y * y
    p = -0.05035049795312439 + q * (0.03796390316111083 + q * -0.017803896394812564)
    p = -0.06662950246036792 + q * (0.05846866752275139 + q * p)
    p = -0.09090896801472813 + q * (0.07692045194561481 + q * p)
    p = -0.14285714279244968 + q * (0.11111110744657099 + q * p)
    p = y + y * q * (-0.3333333333333312 + q * (0.19999999999940837 + q * p))
    p = tl.where(upper, 0.78539816339744831 + p, p)
    p = tl.where(large, 1.57079632679489662 - p, p)
    return tl.where(x < 0.0, -p, p)


@triton.jit
def to_third(u, FAMILY: tl.constexpr):
    """Value and three derivatives of sigma, formulas of `families`."""
    if FAMILY == "sin":
        value, slope = _sine_cosine(u)
        second = -value
        third = -slope
    elif FAMILY == "spder":
        sine, cosine = _sine_cosine(u)
        arc = _arctangent(u)
        square = u * u
        q = 1.0 / (1.0 + square)
        bent = -2.0 * u * q * q
        value = sine * arc
        slope = cosine * arc + sine * q
        second = -value + 2.0 * cosine * q + sine * bent
        third = -cosine * arc - 3.0 * sine * q + 3.0 * cosine * bent + sine * (6.0 * square - 2.0) * q * q * q
    elif FAMILY == "gauss":
        square = u * u
        value = tl.exp(-square)
        slope = -2.0 * u * value
        second = (4.0 * square - 2.0) * value
        third = (12.0 - 8.0 * square) * u * value
    elif FAMILY == "tanh":
        size = tl.abs(u)
        value = 1.0 - 2.0 / (tl.exp(2.0 * tl.where(size > 350.0, 350.0, size)) + 1.0)
        value = tl.where(u < 0.0, -value, value)
        slope = 1.0 - value * value
        second = -2.0 * value * slope
        third = (6.0 * value * value - 2.0) * slope
    elif FAMILY == "relu":
        value = positive(u)
        slope = tl.where(u > 0.0, 1.0, 0.0).to(tl.float64)
        second = tl.zeros_like(u)
        third = second
    else:
        tl.static_assert(FAMILY == "bspline")
        size = tl.abs(u)
        outer = positive(2.0 - size)
        inner = positive(1.0 - size)
        side = tl.where(u < 0.0, -1.0, 1.0).to(tl.float64)
        value = (outer * outer * outer - 4.0 * inner * inner * inner) / 6.0
        slope = side * (2.0 * inner * inner - 0.5 * outer * outer)
        second = outer - 4.0 * inner
        third = side * (tl.where(inner > 0.0, 4.0, 0.0) - tl.where(outer > 0.0, 1.0, 0.0))
    return value, slope, second, third


@triton.jit
def _factor(
    z, amplitude, frequency, phase, place, n_components, size, mask,
    FAMILY: tl.constexpr, GAMMA: tl.constexpr, OFFSET: tl.constexpr, CENTRE: tl.constexpr,
):  # fmt: skip
    """Return f, f' and f'' of a factor at z (BN, BR)."""
    f = tl.zeros(z.shape, dtype=tl.float64)
    f1 = tl.zeros(z.shape, dtype=tl.float64)
    f2 = tl.zeros(z.shape, dtype=tl.float64)
    for k in range(n_components):
        a, w, c = _component(amplitude, frequency, phase, place + k * size, mask)
        value, slope, second, _ = to_third(w * z + c, FAMILY)
        f += a * (value - CENTRE)
        f1 += a * w * slope
        f2 += a * w * w * second
    return OFFSET + GAMMA * f, GAMMA * f1, GAMMA * f2


@triton.jit
def _take_in(p, P, q, f, f1, f2, g, second):
    """Return the product so far, its gradient and its Laplacian with one more factor, of gradient g of z."""
    steps = f1[None, :, :] * g
    own = f1 * second + f2 * tl.sum(g * g, axis=0)
    q = q * f + p * own + 2.0 * tl.sum(P * steps, axis=0)
    return p * f, P * f[None, :, :] + p[None, :, :] * steps, q


@triton.jit
def _component(amplitude, frequency, phase, place, mask):
    """Amplitude, frequency and phase of a component at the columns, (1, BR) each."""
    a = tl.load(amplitude + place, mask=mask, other=0.0)
    w = tl.load(frequency + place, mask=mask, other=0.0)
    c = tl.load(phase + place, mask=mask, other=0.0)
    return a[None, :], w[None, :], c[None, :]


@triton.jit
def probe_kernel(u, out, n, FAMILY: tl.constexpr, B: tl.constexpr):
    """Write sigma and its three derivatives at u (n,) to `out` (4, n), to measure their errors."""
    at = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    value, slope, second, third = to_third(tl.load(u + at, mask=at < n, other=0.0), FAMILY)
    tl.store(out + at, value, mask=at < n)
    tl.store(out + n + at, slope, mask=at < n)
    tl.store(out + 2 * n + at, second, mask=at < n)
    tl.store(out + 3 * n + at, third, mask=at < n)


@triton.jit(do_not_specialize=["n"])
def forward_kernel(
    z, along, bend, amplitude, frequency, phase, value, gradient, laplacian,
    n, m, n_factors, n_neurons, n_components, along_axis, along_point, bend_point, axis,
    FAMILY: tl.constexpr, GAMMA: tl.constexpr, OFFSET: tl.constexpr, CENTRE: tl.constexpr,
    MP: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr,
):  # fmt: skip
    """Write value (n, R), gradient (m, n, R), `axis` numbers between coordinates, and Laplacian (n, R)."""
    rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    cols = tl.program_id(1) * BR + tl.arange(0, BR)
    axes = tl.arange(0, MP).to(tl.int64)
    size = n_factors * n_neurons
    col_mask = cols < n_neurons
    mask = (rows < n)[:, None] & col_mask[None, :]
    deep = (axes < m)[:, None, None] & mask[None, :, :]
    along += axes[:, None, None] * along_axis + rows[None, :, None] * along_point + cols[None, None, :]
    bend += rows[:, None] * bend_point + cols[None, :]
    z += rows[:, None] * size + cols[None, :]
    p = tl.full((BN, BR), 1.0, dtype=tl.float64)
    q = tl.zeros((BN, BR), dtype=tl.float64)
    P = tl.zeros((MP, BN, BR), dtype=tl.float64)
    for j in range(n_factors):
        at = j * n_neurons
        zj = tl.load(z + at, mask=mask, other=0.0)
        second = tl.load(bend + at, mask=mask, other=0.0)
        f, f1, f2 = _factor(zj, amplitude, frequency, phase, at + cols, n_components, size, col_mask,
                            FAMILY, GAMMA, OFFSET, CENTRE)  # fmt: skip
        g = tl.load(along + at, mask=deep, other=0.0)
        p, P, q = _take_in(p, P, q, f, f1, f2, g, second)
    to = rows[:, None] * n_neurons + cols[None, :]
    tl.store(value + to, p, mask=mask)
    tl.store(laplacian + to, q, mask=mask)
    tl.store(gradient + axes[:, None, None] * axis + to[None, :, :], P, mask=deep)


@triton.jit(do_not_specialize=["n"])
def backward_kernel(
    z, along, bend, amplitude, frequency, phase, by_value, by_gradient, by_laplacian,
    before, before_along, before_bend, sums,
    n, m, n_factors, n_neurons, n_components, along_axis, along_point, bend_point, axis,
    FAMILY: tl.constexpr, GAMMA: tl.constexpr, OFFSET: tl.constexpr, CENTRE: tl.constexpr,
    MP: tl.constexpr, BN: tl.constexpr, BR: tl.constexpr, ONE_ALONG: tl.constexpr, ONE_BEND: tl.constexpr,
):  # fmt: skip
    """Overwrite z by dz; write the derivatives by along and bend, and sums over the points of a block.

    before (n, D, R), before_along (m, n, D, R) and before_bend (n, D, R) take p, P and q before every factor,
    the last two then the derivatives by along and bend. Where along or bend has one row for all points, its
    derivative is summed up instead. `sums` (blocks, lines, D, R): M of da, M of dw, M of dc, m of along and
    one of bend where they have one row. The caller adds the blocks, always in the same order.
    """
    rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    cols = tl.program_id(1) * BR + tl.arange(0, BR)
    axes = tl.arange(0, MP).to(tl.int64)
    size = n_factors * n_neurons
    col_mask = cols < n_neurons
    mask = (rows < n)[:, None] & col_mask[None, :]
    deep = (axes < m)[:, None, None] & mask[None, :, :]
    along += axes[:, None, None] * along_axis + rows[None, :, None] * along_point + cols[None, None, :]
    bend += rows[:, None] * bend_point + cols[None, :]
    tile = rows[:, None] * size + cols[None, :]
    deep_tile = axes[:, None, None] * (n * size.to(tl.int64)) + tile[None, :, :]
    lines = 3 * n_components
    if ONE_ALONG:
        lines += m
    if ONE_BEND:
        lines += 1
    sums += tl.program_id(0).to(tl.int64) * lines * size
    p = tl.full((BN, BR), 1.0, dtype=tl.float64)
    q = tl.zeros((BN, BR), dtype=tl.float64)
    P = tl.zeros((MP, BN, BR), dtype=tl.float64)
    for j in range(n_factors):
        at = j * n_neurons
        zj = tl.load(z + tile + at, mask=mask, other=0.0)
        second = tl.load(bend + at, mask=mask, other=0.0)
        f, f1, f2 = _factor(zj, amplitude, frequency, phase, at + cols, n_components, size, col_mask,
                            FAMILY, GAMMA, OFFSET, CENTRE)  # fmt: skip
        g = tl.load(along + at, mask=deep, other=0.0)
        tl.store(before + tile + at, p, mask=mask)
        tl.store(before_bend + tile + at, q, mask=mask)
        tl.store(before_along + deep_tile + at, P, mask=deep)
        p, P, q = _take_in(p, P, q, f, f1, f2, g, second)
    tl.debug_barrier()  # what is read below may have been written by other threads of the program
    from_ = rows[:, None] * n_neurons + cols[None, :]
    by_p = tl.load(by_value + from_, mask=mask, other=0.0)
    by_q = tl.load(by_laplacian + from_, mask=mask, other=0.0)
    by_P = tl.load(by_gradient + axes[:, None, None] * axis + from_[None, :, :], mask=deep, other=0.0)
    for i in range(n_factors):
        at = (n_factors - 1 - i) * n_neurons
        zj = tl.load(z + tile + at, mask=mask, other=0.0)
        second = tl.load(bend + at, mask=mask, other=0.0)
        g = tl.load(along + at, mask=deep, other=0.0)
        p = tl.load(before + tile + at, mask=mask, other=0.0)
        q = tl.load(before_bend + tile + at, mask=mask, other=0.0)
        P = tl.load(before_along + deep_tile + at, mask=deep, other=0.0)
        squared = tl.sum(g * g, axis=0)
        by_own = by_q * p
        by_steps = by_P * p[None, :, :] + 2.0 * by_q[None, :, :] * P
        k0 = GAMMA * (by_p * p + by_q * q + tl.sum(by_P * P, axis=0))
        k1 = GAMMA * (tl.sum(by_steps * g, axis=0) + by_own * second)
        k2 = GAMMA * by_own * squared
        f = tl.zeros((BN, BR), dtype=tl.float64)
        f1 = tl.zeros((BN, BR), dtype=tl.float64)
        f2 = tl.zeros((BN, BR), dtype=tl.float64)
        dz = tl.zeros((BN, BR), dtype=tl.float64)
        for k in range(n_components):
            place = k * size + at + cols
            a, w, c = _component(amplitude, frequency, phase, place, col_mask)
            s0, s1, s2, s3 = to_third(w * zj + c, FAMILY)
            s0 -= CENTRE
            f += a * s0
            f1 += a * w * s1
            f2 += a * w * w * s2
            t = a * (k0 * s1 + k1 * w * s2 + k2 * w * w * s3)
            dz += w * t
            da = tl.sum(k0 * s0 + k1 * w * s1 + k2 * w * w * s2, axis=0)
            dw = tl.sum(zj * t + a * (k1 * s1 + 2.0 * k2 * w * s2), axis=0)
            tl.store(sums + place, da, mask=col_mask)
            tl.store(sums + n_components * size + place, dw, mask=col_mask)
            tl.store(sums + 2 * n_components * size + place, tl.sum(t, axis=0), mask=col_mask)
        f = OFFSET + GAMMA * f
        f1 *= GAMMA
        f2 *= GAMMA
        tl.store(z + tile + at, dz, mask=mask)
        dalong = by_steps * f1[None, :, :] + 2.0 * (by_own * f2)[None, :, :] * g
        dbend = by_own * f1
        line = 3 * n_components
        if ONE_ALONG:
            places = (line + axes[:, None]) * size + at + cols[None, :]
            tl.store(sums + places, tl.sum(dalong, axis=1), mask=(axes < m)[:, None] & col_mask[None, :])
            line += m
        else:
            tl.store(before_along + deep_tile + at, dalong, mask=deep)
        if ONE_BEND:
            tl.store(sums + line * size + at + cols, tl.sum(dbend, axis=0), mask=col_mask)
        else:
            tl.store(before_bend + tile + at, dbend, mask=mask)
        steps = f1[None, :, :] * g
        by_p = by_p * f + by_q * (f1 * second + f2 * squared) + tl.sum(by_P * steps, axis=0)
        by_P = by_P * f[None, :, :] + 2.0 * by_q[None, :, :] * steps
        by_q *= f
