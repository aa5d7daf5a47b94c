/* Product layer, elementwise part, single precision: forward and backward over a block of points.
 *
 *   phi[n,l] = prod_j f_j,   f_j = one + gamma * g_j,   g_j = sum_m a[m,j,l] * (sigma(w[m,j,l] * z[n,j,l] + c[m,j,l]) - centre)
 *
 * Shapes: n points, D factors, R neurons, M components per factor; z is (n, D, R), so that the lanes of
 * a vector register are neighbouring neurons. The matrix products around it stay with the BLAS of torch.
 * One call works on one thread; the caller splits the points over threads.
 *
 * Elementary functions are branch-free so that the compiler vectorises them. Their errors against float64, for |x| <= 1e4,
 * are below 1e-6 relative to max(|value|, 1), for spder-sqrt, which grows, relative to max(sqrt|x|, 1)
 * (tests/kernels/test_native.py); polynomials are minimax fits
 * (relative error 6e-9 for sine, 4e-10 for cosine, 2e-8 for arctangent before rounding).
 */
#include <string.h>

#define LANES 128 /* neurons worked on together; the scratch rows of a factor then stay in the first-level cache */
#define INLINE static inline __attribute__((always_inline))

typedef struct { float value, slope; } pair;

INLINE float bits_to_float(int i) { float f; memcpy(&f, &i, sizeof f); return f; }
INLINE int float_to_bits(float f) { int i; memcpy(&i, &f, sizeof i); return i; }
INLINE float absolute(float x) { return bits_to_float(float_to_bits(x) & 0x7fffffff); }

/* sine and cosine: x = k pi + r, |r| <= pi/2; pi in three parts (Cody and Waite), parity of k flips both signs */
INLINE void sine_cosine(float x, float *sine, float *cosine) {
    float shifted = x * 0.318309886f + 12582912.0f; /* adding 1.5 * 2^23 rounds to the nearest integer */
    float k = shifted - 12582912.0f;
    int flip = float_to_bits(shifted) << 31;
    float r = ((x - k * 3.140625f) - k * 9.67502593994140625e-4f) - k * 1.509957990978376432e-7f;
    float t = r * r;
    float s = r + r * t * (-1.66666596e-01f + t * (8.33306625e-03f + t * (-1.98096029e-04f + t * 2.60578063e-06f)));
    float c = 1.0f - 0.5f * t
            + t * t * (4.16666558e-02f + t * (-1.38885692e-03f + t * (2.47693042e-05f + t * -2.61938151e-07f)));
    *sine = bits_to_float(float_to_bits(s) ^ flip);
    *cosine = bits_to_float(float_to_bits(c) ^ flip);
}

/* arctan t for t = min(|x|,1) / max(|x|,1); arctan x = pi/2 - arctan(1/x) beyond 1 */
INLINE float arctangent(float x) {
    float m = absolute(x);
    int large = m > 1.0f;
    float t = (large ? 1.0f : m) / (large ? m : 1.0f);
    float q = t * t;
    float p = t + t * q * (-3.3333153e-01f + q * (1.9993773e-01f + q * (-1.4211055e-01f + q * (1.0666005e-01f
            + q * (-7.552214e-02f + q * (4.321186e-02f + q * (-1.636793e-02f + q * 2.92069e-03f)))))));
    p = large ? 1.57079632679f - p : p;
    return bits_to_float(float_to_bits(p) | (float_to_bits(x) & (int)0x80000000));
}

/* e^x = 2^k e^r, |r| <= ln2 / 2, Taylor to degree 7 (2e-9 there); x is clamped to [-87, 88] */
INLINE float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float shifted = x * 1.44269504f + 12582912.0f;
    float k = shifted - 12582912.0f;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.66666667e-1f + r * (4.16666667e-2f
            + r * (8.33333333e-3f + r * (1.38888889e-3f + r * 1.98412698e-4f))))));
    return p * bits_to_float(((int)k + 127) << 23);
}

INLINE pair act_sin(float x) { pair p; sine_cosine(x, &p.value, &p.slope); return p; }

INLINE pair act_spder(float x) { /* sin x arctan x */
    float s, c;
    sine_cosine(x, &s, &c);
    float t = arctangent(x);
    return (pair){s * t, c * t + s / (1.0f + x * x)};
}

INLINE pair act_spder_sqrt(float x) { /* sin x sqrt|x|; the slope sin(x) sign(x) / (2 sqrt|x|) tends to 0 at 0 */
    float s, c;
    sine_cosine(x, &s, &c);
    float m = absolute(x);
    float root = __builtin_sqrtf(m);
    float half = s / (2.0f * (root > 1e-18f ? root : 1e-18f));
    half = bits_to_float(float_to_bits(half) ^ (float_to_bits(x) & (int)0x80000000));
    return (pair){s * root, c * root + half};
}

INLINE pair act_gauss(float x) { float e = exponential(-x * x); return (pair){e, -2.0f * x * e}; }

INLINE pair act_tanh(float x) {
    float m = absolute(x);
    float t = x * x; /* small arguments: series, where 1 - 2/(e^2x + 1) would cancel */
    float small = m * (1.0f + t * (-3.33333333e-1f + t * (1.33333333e-1f + t * (-5.39682540e-2f + t * 2.18694885e-2f))));
    float big = 1.0f - 2.0f / (exponential(2.0f * m) + 1.0f);
    float v = m < 0.25f ? small : big;
    return (pair){bits_to_float(float_to_bits(v) | (float_to_bits(x) & (int)0x80000000)), 1.0f - v * v};
}

INLINE pair act_relu(float x) { return (pair){x < 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f}; } /* NaN stays NaN */

/* The bodies below work on one point and at most LANES neurons. They are inlined twice, once with the constant LANES, so
 * that the compiler unrolls the lane loops and keeps them in registers, and once for the remainder. */
#define FORWARD(NAME)                                                                                               \
INLINE void forward_lanes_##NAME(long lanes, long D, long R, long M, const float *z, const float *a, const float *w,\
                                 const float *c, float gamma, float one, float centre, float *phi) {                              \
    float product[LANES], g[LANES];                                                                                 \
    for (long l = 0; l < lanes; l++) product[l] = 1.0f;                                                             \
    for (long j = 0; j < D; j++, z += R) {                                                                          \
        for (long l = 0; l < lanes; l++) g[l] = 0.0f;                                                               \
        for (long m = 0; m < M; m++) {                                                                              \
            long k = (m * D + j) * R;                                                                               \
            for (long l = 0; l < lanes; l++) g[l] += a[k + l] * (act_##NAME(w[k + l] * z[l] + c[k + l]).value - centre);\
        }                                                                                                           \
        for (long l = 0; l < lanes; l++) product[l] *= one + gamma * g[l];                                          \
    }                                                                                                               \
    for (long l = 0; l < lanes; l++) phi[l] = product[l];                                                           \
}                                                                                                                   \
static void forward_##NAME(long n, long D, long R, long M, const float *z, const float *a, const float *w,          \
                           const float *c, float gamma, float one, float centre, float *phi) {                                    \
    for (long i = 0; i < n; i++, z += D * R, phi += R) {                                                            \
        long l = 0;                                                                                                 \
        for (; l + LANES <= R; l += LANES)                                                                          \
            forward_lanes_##NAME(LANES, D, R, M, z + l, a + l, w + l, c + l, gamma, one, centre, phi + l);                  \
        if (l < R) forward_lanes_##NAME(R - l, D, R, M, z + l, a + l, w + l, c + l, gamma, one, centre, phi + l);           \
    }                                                                                                               \
}

/* Backward: df_j = dphi * prod_{k != j} f_k from prefix and suffix products, never by division (a factor may be 0).
 * dz overwrites z; da, dw, dc (M, D, R) are added to.
 * scratch holds 2 (M + 1) D LANES floats: per factor f and its prefix product, per component value and slope. */
#define BACKWARD(NAME)                                                                                              \
INLINE void backward_lanes_##NAME(long lanes, long D, long R, long M, float *restrict z, const float *restrict a,   \
                                  const float *restrict w, const float *restrict c, float gamma, float one, float centre,         \
                                  const float *restrict dphi, float *restrict da, float *restrict dw,               \
                                  float *restrict dc, float *restrict scratch) {                                    \
    float *factor = scratch, *prefix = factor + D * LANES;                                                          \
    float *value = prefix + D * LANES, *slope = value + M * D * LANES;                                              \
    float running[LANES], g[LANES], dg[LANES], dz[LANES];                                                           \
    for (long l = 0; l < lanes; l++) running[l] = dphi[l] * gamma;                                                  \
    for (long j = 0; j < D; j++) {                                                                                  \
        float *restrict zj = z + j * R, *restrict f = factor + j * LANES, *restrict p = prefix + j * LANES;         \
        for (long l = 0; l < lanes; l++) g[l] = 0.0f;                                                               \
        for (long m = 0; m < M; m++) {                                                                              \
            long k = (m * D + j) * R;                                                                               \
            float *restrict v = value + (m * D + j) * LANES, *restrict s = slope + (m * D + j) * LANES;             \
            for (long l = 0; l < lanes; l++) {                                                                      \
                pair act = act_##NAME(w[k + l] * zj[l] + c[k + l]);                                                 \
                v[l] = act.value - centre; s[l] = act.slope; g[l] += a[k + l] * v[l];                               \
            }                                                                                                       \
        }                                                                                                           \
        for (long l = 0; l < lanes; l++) { f[l] = one + gamma * g[l]; p[l] = running[l]; running[l] *= f[l]; }      \
    }                                                                                                               \
    for (long l = 0; l < lanes; l++) running[l] = 1.0f;                                                             \
    for (long j = D - 1; j >= 0; j--) {                                                                             \
        float *restrict zj = z + j * R, *restrict f = factor + j * LANES, *restrict p = prefix + j * LANES;         \
        for (long l = 0; l < lanes; l++) { dg[l] = p[l] * running[l]; running[l] *= f[l]; dz[l] = 0.0f; }           \
        for (long m = 0; m < M; m++) {                                                                              \
            long k = (m * D + j) * R;                                                                               \
            float *restrict v = value + (m * D + j) * LANES, *restrict s = slope + (m * D + j) * LANES;             \
            for (long l = 0; l < lanes; l++) {                                                                      \
                float du = dg[l] * a[k + l] * s[l];                                                                 \
                da[k + l] += dg[l] * v[l]; dw[k + l] += du * zj[l]; dc[k + l] += du;                                \
                dz[l] += du * w[k + l];                                                                             \
            }                                                                                                       \
        }                                                                                                           \
        for (long l = 0; l < lanes; l++) zj[l] = dz[l];                                                             \
    }                                                                                                               \
}                                                                                                                   \
static void backward_##NAME(long n, long D, long R, long M, float *z, const float *a, const float *w,               \
                            const float *c, float gamma, float one, float centre, const float *dphi, float *da, float *dw,        \
                            float *dc, float *scratch) {                                                            \
    for (long i = 0; i < n; i++, z += D * R, dphi += R) {                                                           \
        long l = 0;                                                                                                 \
        for (; l + LANES <= R; l += LANES)                                                                          \
            backward_lanes_##NAME(LANES, D, R, M, z + l, a + l, w + l, c + l, gamma, one, centre, dphi + l, da + l, dw + l, \
                                  dc + l, scratch);                                                                 \
        if (l < R)                                                                                                  \
            backward_lanes_##NAME(R - l, D, R, M, z + l, a + l, w + l, c + l, gamma, one, centre, dphi + l, da + l, dw + l, \
                                  dc + l, scratch);                                                                 \
    }                                                                                                               \
}

#define FAMILIES(DO) DO(sin) DO(spder) DO(spder_sqrt) DO(gauss) DO(tanh) DO(relu)
FAMILIES(FORWARD)
FAMILIES(BACKWARD)

/* LayerNorm of rows of R numbers: y = weight (x - mean) rstd + bias, rstd = (variance + eps)^(-1/2). Sums run in 16 strands,
 * so that the compiler may use its registers without changing the order of additions. */
#define STRANDS 16
INLINE float total(const float *strand) {
    float sum = 0.0f;
    for (long k = 0; k < STRANDS; k++) sum += strand[k];
    return sum;
}

#define SUM(R, TERM, TARGET) do {                                                                                   \
    float strand[STRANDS] = {0};                                                                                    \
    long first = 0, l;                                                                                              \
    for (; first + STRANDS <= (R); first += STRANDS)                                                                \
        for (long k = 0; k < STRANDS; k++) { l = first + k; strand[k] += (TERM); }                                  \
    for (l = first; l < (R); l++) strand[l - first] += (TERM);                                                      \
    TARGET = total(strand);                                                                                         \
} while (0)

/* keeps mean and rstd, (n, 2), for the backward pass */
void lrnn_norm_forward(long n, long R, const float *restrict x, const float *restrict weight, const float *restrict bias,
                       float eps, float *restrict y, float *restrict moments) {
    for (long i = 0; i < n; i++, x += R, y += R, moments += 2) {
        float mean, variance;
        SUM(R, x[l], mean);
        mean /= R;
        SUM(R, (x[l] - mean) * (x[l] - mean), variance);
        float rstd = 1.0f / __builtin_sqrtf(variance / R + eps);
        for (long l = 0; l < R; l++) y[l] = weight[l] * ((x[l] - mean) * rstd) + bias[l];
        moments[0] = mean;
        moments[1] = rstd;
    }
}

/* with v = weight dy and h = (x - mean) rstd: dx = rstd (v - mean of v - h mean of v h); dweight, dbias are added to */
void lrnn_norm_backward(long n, long R, const float *restrict x, const float *restrict weight, const float *restrict moments,
                        const float *restrict dy, float *restrict dx, float *restrict dweight, float *restrict dbias) {
    for (long i = 0; i < n; i++, x += R, dy += R, dx += R, moments += 2) {
        float mean = moments[0], rstd = moments[1], v, vh;
        SUM(R, weight[l] * dy[l], v);
        SUM(R, weight[l] * dy[l] * ((x[l] - mean) * rstd), vh);
        v /= R;
        vh /= R;
        for (long l = 0; l < R; l++) {
            float h = (x[l] - mean) * rstd;
            dx[l] = rstd * (weight[l] * dy[l] - v - h * vh);
            dweight[l] += dy[l] * h;
            dbias[l] += dy[l];
        }
    }
}

#define PROBE(NAME)                                                                                                 \
static void probe_##NAME(long n, const float *x, float *value, float *slope) {                                      \
    for (long i = 0; i < n; i++) { pair p = act_##NAME(x[i]); value[i] = p.value; slope[i] = p.slope; }             \
}
FAMILIES(PROBE)

#define ROW_FORWARD(NAME) forward_##NAME,
#define ROW_BACKWARD(NAME) backward_##NAME,
#define ROW_PROBE(NAME) probe_##NAME,

/* family: index into FAMILIES above, in that order */
void lrnn_forward(int family, long n, long D, long R, long M, const float *z, const float *a, const float *w,
                  const float *c, float gamma, float one, float centre, float *phi) {
    static void (*const table[])(long, long, long, long, const float *, const float *, const float *, const float *,
                                 float, float, float, float *) = {FAMILIES(ROW_FORWARD)};
    table[family](n, D, R, M, z, a, w, c, gamma, one, centre, phi);
}

void lrnn_backward(int family, long n, long D, long R, long M, float *z, const float *a, const float *w, const float *c,
                   float gamma, float one, float centre, const float *dphi, float *da, float *dw, float *dc,
                   float *scratch) {
    static void (*const table[])(long, long, long, long, float *, const float *, const float *, const float *, float,
                                 float, float, const float *, float *, float *, float *, float *) =
        {FAMILIES(ROW_BACKWARD)};
    table[family](n, D, R, M, z, a, w, c, gamma, one, centre, dphi, da, dw, dc, scratch);
}

void lrnn_probe(int family, long n, const float *x, float *value, float *slope) {
    static void (*const table[])(long, const float *, float *, float *) = {FAMILIES(ROW_PROBE)};
    table[family](n, x, value, slope);
}
