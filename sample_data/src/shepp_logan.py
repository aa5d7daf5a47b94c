"""Modified Shepp-Logan phantom (Toft 1996 contrasts), analytic with n*n supersampling; numpy only."""

import numpy as np

E10 = [
    (1, 0.69, 0.92, 0, 0, 0),
    (-0.8, 0.6624, 0.874, 0, -0.0184, 0),
    (-0.2, 0.11, 0.31, 0.22, 0, -18),
    (-0.2, 0.16, 0.41, -0.22, 0, 18),
    (0.1, 0.21, 0.25, 0, 0.35, 0),
    (0.1, 0.046, 0.046, 0, 0.1, 0),
    (0.1, 0.046, 0.046, 0, -0.1, 0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0),
    (0.1, 0.023, 0.023, 0, -0.606, 0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0),
]


def phantom(n=256, ss=4):
    m = n * ss
    g = (np.arange(m) + 0.5) / m * 2 - 1
    x, y = np.meshgrid(g, -g)
    im = np.zeros((m, m))
    for A, a, b, x0, y0, ph in E10:
        t = np.deg2rad(ph)
        c, s = np.cos(t), np.sin(t)
        im[((x - x0) * c + (y - y0) * s) ** 2 / a**2 + ((y - y0) * c - (x - x0) * s) ** 2 / b**2 <= 1] += A
    return im.reshape(n, ss, n, ss).mean((1, 3))


if __name__ == "__main__":
    import sys
    from PIL import Image

    p = phantom(int(sys.argv[1]))
    Image.fromarray(np.round(np.clip(p, 0, 1) * 65535).astype(np.uint16)).save(sys.argv[2])
