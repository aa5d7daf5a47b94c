/* Value, gradient and Laplacian of the product layer, elementwise part, double precision: forward and backward.
 *
 * The factors are f_j = one + gamma sum_m a_m (sigma(u_m) - centre), u_m = w_m z_j + c_m, and f' and f'' their derivatives by
 * z_j. gz = grad z (m, rows, D, R) and lz = Laplacian of z (rows, D, R) have a row per point, or one for all points.
 * Taking in one factor after the other, with p, P and q the product so far, its gradient and its Laplacian,
 *
 *   q <- q f + p (f' lz + f'' |gz|^2) + 2 P . (f' gz),   P <- P f + p f' gz,   p <- p f.
 *
 * Shapes: n points, D factors, R neurons, M components per factor, m coordinates; z is (n, D, R), so that the lanes of a vector
 * register are neighbouring neurons. One call works on one thread. Elementary functions are branch-free; their errors for
 * |x| <= 1e4 are below 4e-15 relative to max(|value|, 1) (tests/kernels/test_jets.py); the polynomials interpolate at
 * Chebyshev nodes (absolute errors 2e-17 for sine and cosine, 3e-18 for arctangent before rounding).
 */
#include <string.h>

#define LANES 32 /* neurons worked on together; all rows of the backward pass then stay in the first-level cache */
#define INLINE static inline __attribute__((always_inline))

typedef struct { double v, s, t, h; } jet; /* value and three derivatives */

INLINE double bits_to_double(long long i) { double d; memcpy(&d, &i, sizeof d); return d; }
INLINE long long double_to_bits(double d) { long long i; memcpy(&i, &d, sizeof i); return i; }
INLINE double absolute(double x) { return bits_to_double(double_to_bits(x) & 0x7fffffffffffffffLL); }
INLINE double sign_of(double x, double magnitude) {
    return bits_to_double(double_to_bits(magnitude) | (double_to_bits(x) & (long long)0x8000000000000000ULL));
}

/* x = k pi + r, |r| <= pi/2; pi in three parts, of which two have 33 bits (Cody and Waite); the parity of k flips both signs */
INLINE void sine_cosine(double x, double *sine, double *cosine) {
    double shifted = x * 0.31830988618379067 + 6755399441055744.0; /* adding 1.5 * 2^52 rounds to the nearest integer */
    double k = shifted - 6755399441055744.0;
    long long flip = (long long)((unsigned long long)double_to_bits(shifted) << 63);
    double r = ((x - k * 3.1415926534682512) - k * 1.2154201012607932e-10) - k * 4.044532497591901e-21;
    double q = r * r;
    double s = -1.9841269841269670e-4 + q * (2.7557319223940686e-6 + q * (-2.5052108378598793e-8 + q * (1.6059043206050105e-10
             + q * (-7.647127729243047e-13 + q * (2.810214288760064e-15 + q * -7.982495482720203e-18)))));
    double c = -1.388888888888853e-3 + q * (2.4801587301492586e-5 + q * (-2.755731920964734e-7 + q * (2.087675566605353e-9
             + q * (-1.1470670142864075e-11 + q * (4.776871733415368e-14 + q * -1.51197786600161e-16)))));
    s = r + r * q * (-0.16666666666666666 + q * (8.333333333333333e-3 + q * s));
    c = 1.0 - 0.5 * q + q * q * (0.04166666666666666 + q * c);
    *sine = bits_to_double(double_to_bits(s) ^ flip);
    *cosine = bits_to_double(double_to_bits(c) ^ flip);
}

/* |x| > 1: pi/2 - arctan(1/|x|); what is left above tan(pi/8): pi/4 + arctan((t - 1) / (t + 1)) */
INLINE double arctangent(double x) {
    double a = absolute(x);
    int large = a > 1.0;
    double t = (large ? 1.0 : a) / (large ? a : 1.0);
    int upper = t > 0.41421356237309503;
    double y = (upper ? t - 1.0 : t) / (upper ? t + 1.0 : 1.0);
    double q = y * y;
    double p = -0.14285714279244968 + q * (0.11111110744657099 + q * (-0.09090896801472813 + q * (0.07692045194561481
             + q * (-0.06662950246036792 + q * (0.05846866752275139 + q * (-0.05035049795312439 + q * (0.03796390316111083
             + q * -0.017803896394812564)))))));
    p = y + y * q * (-0.3333333333333312 + q * (0.19999999999940837 + q * p));
    p = upper ? 0.78539816339744831 + p : p;
    p = large ? 1.57079632679489662 - p : p;
    return sign_of(x, p);
}

/* e^x = 2^k e^r, |r| <= ln2 / 2, Taylor to degree 13 (4e-18 there); x is clamped to [-708, 709] */
INLINE double exponential(double x) {
    x = x < -708.0 ? -708.0 : x;
    x = x > 709.0 ? 709.0 : x;
    double shifted = x * 1.4426950408889634 + 6755399441055744.0;
    double k = shifted - 6755399441055744.0;
    double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10; /* ln 2, the first part of 33 bits */
    double e = 1.0 / 720 + r * (1.0 / 5040 + r * (1.0 / 40320 + r * (1.0 / 362880 + r * (1.0 / 3628800
             + r * (1.0 / 39916800 + r * (1.0 / 479001600 + r * (1.0 / 6227020800.0)))))));
    e = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r * e)))));
    return e * bits_to_double((long long)((unsigned long long)double_to_bits(shifted) << 52) + (1023LL << 52));
}

INLINE jet act_sin(double x) {
    double s, c;
    sine_cosine(x, &s, &c);
    return (jet){s, c, -s, -c};
}

INLINE jet act_spder(double x) { /* sin x arctan x, by Leibniz' rule */
    double s, c, b = arctangent(x), square = x * x, q = 1.0 / (1.0 + square);
    sine_cosine(x, &s, &c);
    double second = -2.0 * x * q * q, third = (6.0 * square - 2.0) * q * q * q;
    return (jet){s * b, c * b + s * q, -s * b + 2.0 * c * q + s * second,
                 -c * b - 3.0 * s * q + 3.0 * c * second + s * third};
}

INLINE jet act_gauss(double x) {
    double square = x * x, e = exponential(-square);
    return (jet){e, -2.0 * x * e, (4.0 * square - 2.0) * e, (12.0 - 8.0 * square) * x * e};
}

INLINE jet act_tanh(double x) {
    double v = sign_of(x, 1.0 - 2.0 / (exponential(2.0 * absolute(x)) + 1.0)), s = 1.0 - v * v;
    return (jet){v, s, -2.0 * v * s, (6.0 * v * v - 2.0) * s};
}

INLINE jet act_relu(double x) { return (jet){x < 0.0 ? 0.0 : x, x > 0.0 ? 1.0 : 0.0, 0.0, 0.0}; } /* NaN stays NaN */

INLINE jet act_bspline(double x) { /* cubic, on the knots -2 ... 2 */
    double a = absolute(x), outer = 2.0 - a, inner = 1.0 - a;
    outer = outer < 0.0 ? 0.0 : outer;
    inner = inner < 0.0 ? 0.0 : inner;
    double slope = 2.0 * inner * inner - 0.5 * outer * outer;
    double third = (inner > 0.0 ? 4.0 : 0.0) - (outer > 0.0 ? 1.0 : 0.0);
    return (jet){(outer * outer * outer - 4.0 * inner * inner * inner) / 6.0, x < 0.0 ? -slope : slope, outer - 4.0 * inner,
                 x < 0.0 ? -third : third};
}

/* y: value and three derivatives of sigma at u, LANES numbers each */
#define SIGMA(NAME)                                                                                                 \
static void sigma_##NAME(const double *restrict u, double *restrict y) {                                            \
    for (long l = 0; l < LANES; l++) {                                                                              \
        jet x = act_##NAME(u[l]);                                                                                   \
        y[l] = x.v; y[LANES + l] = x.s; y[2 * LANES + l] = x.t; y[3 * LANES + l] = x.h;                             \
    }                                                                                                               \
}
SIGMA(sin)
SIGMA(spder)
SIGMA(gauss)
SIGMA(tanh)
SIGMA(relu)
SIGMA(bspline)

/* in the order of FAMILY_NUMBERS; spder-sqrt has no second derivative at 0 */
static void (*const SIGMAS[])(const double *, double *) = {sigma_sin, sigma_spder, 0, sigma_gauss, sigma_tanh, sigma_relu,
                                                           sigma_bspline};

typedef struct {
    long n, D, R, M, m;                  /* points, factors, neurons, components, coordinates */
    long gz_point, gz_axis, lz_point;    /* strides of gz and lz */
    const double *a, *w, *c;             /* components, (M, D, R) */
    double gamma, one, centre;
    void (*sigma)(const double *, double *);
} layer;

/* Factor j and its first and second derivatives by z; value and derivatives of sigma go to y, `stride` numbers between components. */
INLINE void factors(long lanes, const layer *s, long j, long first, const double *z, double *restrict y, long stride,
                    double *restrict f, double *restrict f1, double *restrict f2) {
    const double *zj = z + j * s->R;
    for (long l = 0; l < lanes; l++) f[l] = f1[l] = f2[l] = 0.0;
    for (long k = 0; k < s->M; k++, y += stride) {
        long at = (k * s->D + j) * s->R + first;
        const double *a = s->a + at, *w = s->w + at, *c = s->c + at;
        double u[LANES];
        for (long l = 0; l < lanes; l++) u[l] = w[l] * zj[l] + c[l];
        for (long l = lanes; l < LANES; l++) u[l] = 0.0;
        s->sigma(u, y);
        for (long l = 0; l < lanes; l++) {
            f[l] += a[l] * (y[l] - s->centre);
            f1[l] += a[l] * w[l] * y[LANES + l];
            f2[l] += a[l] * w[l] * w[l] * y[2 * LANES + l];
        }
    }
    for (long l = 0; l < lanes; l++) { f[l] = s->one + s->gamma * f[l]; f1[l] *= s->gamma; f2[l] *= s->gamma; }
}

/* Lanes of one point. p, q: product so far and its Laplacian; P (m, LANES): its gradient. */
INLINE void forward_lanes(long lanes, const layer *s, long first, const double *z, const double *gz,
                          const double *lz, double *value, double *gradient, long axis, double *laplacian,
                          double *restrict P) {
    double p[LANES], q[LANES], acts[4 * LANES];
    for (long l = 0; l < lanes; l++) { p[l] = 1.0; q[l] = 0.0; }
    for (long k = 0; k < s->m * LANES; k++) P[k] = 0.0;
    for (long j = 0; j < s->D; j++) {
        const double *second = lz + j * s->R;
        double f[LANES], f1[LANES], f2[LANES], squared[LANES], cross[LANES];
        for (long l = 0; l < lanes; l++) squared[l] = cross[l] = 0.0;
        factors(lanes, s, j, first, z, acts, 0, f, f1, f2);
        for (long i = 0; i < s->m; i++) {
            const double *g = gz + i * s->gz_axis + j * s->R;
            double *restrict Pi = P + i * LANES;
            for (long l = 0; l < lanes; l++) {
                squared[l] += g[l] * g[l];
                cross[l] += Pi[l] * g[l];
                Pi[l] = Pi[l] * f[l] + p[l] * f1[l] * g[l];
            }
        }
        for (long l = 0; l < lanes; l++) {
            q[l] = q[l] * f[l] + p[l] * (f1[l] * second[l] + f2[l] * squared[l]) + 2.0 * f1[l] * cross[l];
            p[l] *= f[l];
        }
    }
    for (long l = 0; l < lanes; l++) { value[l] = p[l]; laplacian[l] = q[l]; }
    for (long i = 0; i < s->m; i++)
        for (long l = 0; l < lanes; l++) gradient[i * axis + l] = P[i * LANES + l];
}

/* The rows that the backward pass keeps of a factor, LANES numbers each; 4 M and m more follow */
enum { F, F1, F2, PRODUCT, LAPLACIAN, OWN, ROWS };

INLINE void backward_lanes(long lanes, const layer *s, long first, double *restrict z, const double *gz,
                           const double *lz, const double *by_value, const double *by_gradient, long axis,
                           const double *by_laplacian, double *restrict dgz, double *restrict dlz, double *restrict da,
                           double *restrict dw, double *restrict dc, double *restrict scratch) {
    const long m = s->m, acts = ROWS * LANES, grad = acts + 4 * s->M * LANES, size = grad + m * LANES;
    double p[LANES], q[LANES];
    double *restrict A = scratch + s->D * size; /* by P */
    for (long l = 0; l < lanes; l++) { p[l] = 1.0; q[l] = 0.0; }
    for (long i = 0; i < m; i++)
        for (long l = 0; l < lanes; l++) { scratch[grad + i * LANES + l] = 0.0; A[i * LANES + l] = by_gradient[i * axis + l]; }
    for (long j = 0; j < s->D; j++) {
        const double *second = lz + j * s->R;
        double *restrict kept = scratch + j * size;
        double f[LANES], f1[LANES], f2[LANES], squared[LANES], cross[LANES];
        for (long l = 0; l < lanes; l++) squared[l] = cross[l] = 0.0;
        factors(lanes, s, j, first, z, kept + acts, 4 * LANES, f, f1, f2);
        for (long i = 0; i < m; i++) {
            const double *g = gz + i * s->gz_axis + j * s->R, *Pi = kept + grad + i * LANES;
            for (long l = 0; l < lanes; l++) { squared[l] += g[l] * g[l]; cross[l] += Pi[l] * g[l]; }
            if (j + 1 == s->D) continue;
            double *restrict next = scratch + (j + 1) * size + grad + i * LANES;
            for (long l = 0; l < lanes; l++) next[l] = Pi[l] * f[l] + p[l] * f1[l] * g[l];
        }
        for (long l = 0; l < lanes; l++) {
            double own = f1[l] * second[l] + f2[l] * squared[l];
            kept[F * LANES + l] = f[l]; kept[F1 * LANES + l] = f1[l]; kept[F2 * LANES + l] = f2[l];
            kept[PRODUCT * LANES + l] = p[l]; kept[LAPLACIAN * LANES + l] = q[l]; kept[OWN * LANES + l] = own;
            q[l] = q[l] * f[l] + p[l] * own + 2.0 * f1[l] * cross[l];
            p[l] *= f[l];
        }
    }
    double by_p[LANES], by_q[LANES];
    for (long l = 0; l < lanes; l++) { by_p[l] = by_value[l]; by_q[l] = by_laplacian[l]; }
    for (long j = s->D - 1; j >= 0; j--) {
        double *restrict zj = z + j * s->R, *restrict d2 = dlz + j * s->R, *kept = scratch + j * size;
        const double *second = lz + j * s->R;
        double *f = kept, *f1 = kept + F1 * LANES, *f2 = kept + F2 * LANES, *product = kept + PRODUCT * LANES;
        double k0[LANES], k1[LANES], k2[LANES], squared[LANES], along[LANES], dz[LANES];
        for (long l = 0; l < lanes; l++) {
            double by_own = by_q[l] * product[l];
            k0[l] = by_q[l] * kept[LAPLACIAN * LANES + l] + by_p[l] * product[l];
            k1[l] = by_own * second[l];
            d2[l] += by_own * f1[l];
            squared[l] = along[l] = dz[l] = 0.0;
        }
        for (long i = 0; i < m; i++) {
            const double *g = gz + i * s->gz_axis + j * s->R, *Pi = kept + grad + i * LANES;
            double *restrict d1 = dgz + i * s->gz_axis + j * s->R, *restrict Ai = A + i * LANES;
            for (long l = 0; l < lanes; l++) {
                double by_step = 2.0 * by_q[l] * Pi[l] + Ai[l] * product[l]; /* by f' gz */
                k0[l] += Ai[l] * Pi[l];
                k1[l] += by_step * g[l];
                d1[l] += by_step * f1[l] + 2.0 * by_q[l] * product[l] * f2[l] * g[l];
                along[l] += Ai[l] * g[l];
                squared[l] += g[l] * g[l];
                Ai[l] = Ai[l] * f[l] + 2.0 * by_q[l] * f1[l] * g[l];
            }
        }
        for (long l = 0; l < lanes; l++) {
            k2[l] = s->gamma * by_q[l] * product[l] * squared[l];
            k0[l] *= s->gamma;
            k1[l] *= s->gamma;
            by_p[l] = by_p[l] * f[l] + by_q[l] * kept[OWN * LANES + l] + f1[l] * along[l];
            by_q[l] *= f[l];
        }
        for (long k = 0; k < s->M; k++) {
            long at = (k * s->D + j) * s->R;
            const double *a = s->a + at + first, *w = s->w + at + first, *y = kept + acts + 4 * k * LANES;
            double *restrict dak = da + at, *restrict dwk = dw + at, *restrict dck = dc + at;
            for (long l = 0; l < lanes; l++) {
                double x1 = y[LANES + l], x2 = y[2 * LANES + l], turned = k1[l] * w[l], bent = k2[l] * w[l] * w[l];
                double t = a[l] * (k0[l] * x1 + turned * x2 + bent * y[3 * LANES + l]);
                dak[l] += k0[l] * (y[l] - s->centre) + turned * x1 + bent * x2;
                dck[l] += t;
                dwk[l] += zj[l] * t + a[l] * (k1[l] * x1 + 2.0 * k2[l] * w[l] * x2);
                dz[l] += w[l] * t;
            }
        }
        for (long l = 0; l < lanes; l++) zj[l] = dz[l];
    }
}

/* sizes: n, D, R, M, m, rows of gz, rows of lz, stride of an axis of the gradient; constants: gamma, one, centre */
INLINE layer make(int family, const long *sizes, const double *constants, const double *a, const double *w, const double *c) {
    long n = sizes[0], D = sizes[1], R = sizes[2], M = sizes[3], m = sizes[4], gz_rows = sizes[5], lz_rows = sizes[6];
    return (layer){n, D, R, M, m, gz_rows > 1 ? D * R : 0, gz_rows * D * R, lz_rows > 1 ? D * R : 0,
                   a, w, c, constants[0], constants[1], constants[2], SIGMAS[family]};
}

/* value and laplacian (n, R), gradient (m, stride / R, R); scratch: m LANES doubles */
void lrnn_jets_forward(int family, const long *sizes, const double *constants, const double *z, const double *gz,
                       const double *lz, const double *a, const double *w, const double *c, double *value, double *gradient,
                       double *laplacian, double *scratch) {
    layer s = make(family, sizes, constants, a, w, c);
    for (long k = 0; k < s.n; k++)
        for (long l = 0; l < s.R; l += LANES) {
            const double *zk = z + k * s.D * s.R + l, *g = gz + k * s.gz_point + l, *h = lz + k * s.lz_point + l;
            long to = k * s.R + l;
            if (l + LANES <= s.R)
                forward_lanes(LANES, &s, l, zk, g, h, value + to, gradient + to, sizes[7], laplacian + to, scratch);
            else
                forward_lanes(s.R - l, &s, l, zk, g, h, value + to, gradient + to, sizes[7], laplacian + to, scratch);
        }
}

/* z is overwritten by dz; what belongs to gz, lz, a, w, c is added to dgz, dlz, da, dw, dc.
 * scratch: (D (6 + 4 M + m) + m) LANES doubles. */
void lrnn_jets_backward(int family, const long *sizes, const double *constants, double *z, const double *gz, const double *lz,
                        const double *a, const double *w, const double *c, const double *by_value, const double *by_gradient,
                        const double *by_laplacian, double *dgz, double *dlz, double *da, double *dw, double *dc,
                        double *scratch) {
    layer s = make(family, sizes, constants, a, w, c);
    for (long k = 0; k < s.n; k++)
        for (long l = 0; l < s.R; l += LANES) {
            long g = k * s.gz_point + l, h = k * s.lz_point + l, from = k * s.R + l;
            double *zk = z + k * s.D * s.R + l;
            if (l + LANES <= s.R)
                backward_lanes(LANES, &s, l, zk, gz + g, lz + h, by_value + from, by_gradient + from, sizes[7],
                               by_laplacian + from, dgz + g, dlz + h, da + l, dw + l, dc + l, scratch);
            else
                backward_lanes(s.R - l, &s, l, zk, gz + g, lz + h, by_value + from, by_gradient + from, sizes[7],
                               by_laplacian + from, dgz + g, dlz + h, da + l, dw + l, dc + l, scratch);
        }
}

/* LANES arguments x: value and derivatives of sigma, y (4, LANES), to measure their errors */
void lrnn_jets_probe(int family, const double *x, double *y) { SIGMAS[family](x, y); }
