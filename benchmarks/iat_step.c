/* Training of the networks of `iat_bases.py`, whole in machine code: layers, gradient, Adam, cosine schedule.

   An MLP with D neurons per layer whose activation is the midpoint rule of the integral transform,
   u = Q max(0, P^T z), or ReLU, tanh, sigmoid. Points go through in blocks of 2 x 8 that stay in the first
   cache; tensor code writes every f = P^T z, M numbers per point and layer, to memory. Both need the same
   arithmetic, which at M = 500 and D = 10 is the larger part here and the smaller one there.

   A basis is a table of M rows: all D values ("dense"), or 3 values of neighbouring functions and the index of
   the first ("local"). `iat_native.py` builds the tables; rows are padded to a multiple of ROWS with zeros. */

#include <math.h>
#include <string.h>

#define D 10
#define ROWS 6
#define TILE 102 /* rows whose f is held at a time, a multiple of ROWS */
#define MOST_LAYERS 16

#define EACH(n) _Pragma("GCC unroll 16") for (int k = 0; k < n; k++) /* in registers, hence unrolled */

typedef float v8 __attribute__((vector_size(32), may_alias));
typedef int i8 __attribute__((vector_size(32), may_alias));
typedef struct { v8 a, b; } pair;

typedef struct {
    const float *dense; /* (M, D), or NULL */
    const float *local; /* (M, 3) */
    const int *first;   /* (M,) */
} table;

static inline v8 all(float x) { return (v8){x, x, x, x, x, x, x, x}; }

/* tile[m] = sum_i table[m][i] v[i] for `rows` rows from `start` on */
static void combine(const table *t, int start, int rows, const pair *v, pair *tile) {
    if (t->dense) {
        for (int m = 0; m < rows; m += ROWS) {
            const float *w = t->dense + (size_t)(start + m) * D;
            v8 a[ROWS], b[ROWS];
            EACH(ROWS) a[k] = b[k] = all(0);
            for (int i = 0; i < D; i++)
                EACH(ROWS) {
                    v8 c = all(w[k * D + i]);
                    a[k] += c * v[i].a;
                    b[k] += c * v[i].b;
                }
            EACH(ROWS) tile[m + k] = (pair){a[k], b[k]};
        }
        return;
    }
    for (int m = 0; m < rows; m++) {
        const float *w = t->local + (size_t)(start + m) * 3;
        const pair *u = v + t->first[start + m];
        v8 x = all(w[0]), y = all(w[1]), z = all(w[2]);
        tile[m] = (pair){x * u[0].a + y * u[1].a + z * u[2].a, x * u[0].b + y * u[1].b + z * u[2].b};
    }
}

/* v[i] += sum_m table[m][i] tile[m] */
static void collect(const table *t, int start, int rows, const pair *tile, pair *v) {
    if (t->dense) {
        for (int half = 0; half < D; half += 5) {
            v8 a[5], b[5];
            EACH(5) { a[k] = v[half + k].a; b[k] = v[half + k].b; }
            for (int m = 0; m < rows; m++) {
                const float *w = t->dense + (size_t)(start + m) * D + half;
                EACH(5) {
                    v8 c = all(w[k]);
                    a[k] += c * tile[m].a;
                    b[k] += c * tile[m].b;
                }
            }
            EACH(5) v[half + k] = (pair){a[k], b[k]};
        }
        return;
    }
    for (int m = 0; m < rows;) {
        int first = t->first[start + m];
        pair *u = v + first;
        v8 a0 = u[0].a, a1 = u[1].a, a2 = u[2].a, b0 = u[0].b, b1 = u[1].b, b2 = u[2].b;
        for (; m < rows && t->first[start + m] == first; m++) {
            const float *w = t->local + (size_t)(start + m) * 3;
            v8 x = all(w[0]), y = all(w[1]), z = all(w[2]);
            a0 += x * tile[m].a; a1 += y * tile[m].a; a2 += z * tile[m].a;
            b0 += x * tile[m].b; b1 += y * tile[m].b; b2 += z * tile[m].b;
        }
        u[0] = (pair){a0, b0}; u[1] = (pair){a1, b1}; u[2] = (pair){a2, b2};
    }
}

static inline v8 where(i8 mask, v8 x) { return (v8)(mask & (i8)x); }

static inline v8 exponential(v8 x) { /* relative error below 3e-7 for |x| < 87, held there beyond */
    x = (v8)((i8)x & (i8)(x < 87.0f)) + where(x >= 87.0f, all(87.0f));
    x = where(x > -87.0f, x) + where(x <= -87.0f, all(-87.0f));
    v8 n = x * 1.44269504f + 12582912.0f;
    i8 k = (i8)n - 0x4B400000;
    n -= 12582912.0f;
    v8 r = x - n * 0.693359375f + n * 2.12194440e-4f;
    v8 p = ((((r * 1.9875691500e-4f + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r
            + 1.6666665459e-1f) * r + 0.5f;
    return (p * r * r + r + 1.0f) * (v8)((k + 127) << 23);
}

enum { IAT, RELU, TANH, SIGMOID };

static inline v8 scalar(int kind, v8 z) {
    if (kind == RELU) return where(z > 0, z);
    if (kind == TANH) return 1.0f - 2.0f / (exponential(2.0f * z) + 1.0f);
    return 1.0f / (1.0f + exponential(-z));
}

static inline v8 slope(int kind, v8 z, v8 u) {
    if (kind == RELU) return where(z > 0, all(1.0f));
    if (kind == TANH) return 1.0f - u * u;
    return u * (1.0f - u);
}

static void activate(int kind, const table *p, const table *q, int n_rows, const pair *z, pair *u) {
    if (kind != IAT) {
        for (int i = 0; i < D; i++) u[i] = (pair){scalar(kind, z[i].a), scalar(kind, z[i].b)};
        return;
    }
    pair f[TILE];
    for (int i = 0; i < D; i++) u[i] = (pair){all(0), all(0)};
    for (int start = 0; start < n_rows; start += TILE) {
        int rows = n_rows - start < TILE ? n_rows - start : TILE;
        combine(p, start, rows, z, f);
        for (int m = 0; m < rows; m++) f[m] = (pair){where(f[m].a > 0, f[m].a), where(f[m].b > 0, f[m].b)};
        collect(q, start, rows, f, u);
    }
}

static void activate_backward(int kind, const table *p, const table *q, int n_rows, const pair *z, const pair *u,
                              const pair *du, pair *dz) {
    if (kind != IAT) {
        for (int i = 0; i < D; i++)
            dz[i] = (pair){du[i].a * slope(kind, z[i].a, u[i].a), du[i].b * slope(kind, z[i].b, u[i].b)};
        return;
    }
    pair f[TILE], g[TILE];
    for (int i = 0; i < D; i++) dz[i] = (pair){all(0), all(0)};
    for (int start = 0; start < n_rows; start += TILE) {
        int rows = n_rows - start < TILE ? n_rows - start : TILE;
        combine(p, start, rows, z, f);
        combine(q, start, rows, du, g);
        for (int m = 0; m < rows; m++) g[m] = (pair){where(f[m].a > 0, g[m].a), where(f[m].b > 0, g[m].b)};
        collect(p, start, rows, g, dz);
    }
}

static void linear(const float *w, const float *b, int n_in, int n_out, const pair *h, pair *z) {
    for (int i = 0; i < n_out; i++) {
        v8 x = all(b[i]), y = x;
        for (int j = 0; j < n_in; j++) {
            v8 c = all(w[i * n_in + j]);
            x += c * h[j].a;
            y += c * h[j].b;
        }
        z[i] = (pair){x, y};
    }
}

static void linear_backward(const float *w, int n_in, int n_out, const pair *h, const pair *dz, v8 *dw, v8 *db,
                            pair *dh) {
    for (int j = 0; j < n_in; j++) dh[j] = (pair){all(0), all(0)};
    for (int i = 0; i < n_out; i++) {
        db[i] += dz[i].a + dz[i].b;
        for (int j = 0; j < n_in; j++) {
            dw[i * n_in + j] += dz[i].a * h[j].a + dz[i].b * h[j].b;
            v8 c = all(w[i * n_in + j]);
            dh[j].a += c * dz[i].a;
            dh[j].b += c * dz[i].b;
        }
    }
}

/* Values (n_blocks, 16) of n points and, if target is given, the gradient of their mean (y - t)^2. */
static void pass(int kind, int depth, const float *params, int n_params, const table *p, const table *q, int n_rows,
                 const pair *coords, int n, const pair *target, pair *values, v8 *gradient) {
    int n_blocks = (n + 15) / 16;
    memset(gradient, 0, sizeof(v8) * n_params);
    for (int block = 0; block < n_blocks; block++) {
        pair z[MOST_LAYERS][D], u[MOST_LAYERS][D], dz[D], dh[D], y;
        const pair *x = coords + 2 * (size_t)block;
        int at[MOST_LAYERS + 1], offset = 0;
        for (int k = 0; k < depth; k++) {
            int n_in = k ? D : 2;
            at[k] = offset;
            linear(params + offset, params + offset + n_in * D, n_in, D, k ? u[k - 1] : x, z[k]);
            activate(kind, p, q, n_rows, z[k], u[k]);
            offset += n_in * D + D;
        }
        linear(params + offset, params + offset + D, D, 1, u[depth - 1], &y);
        values[block] = y;
        if (!target) continue;
        pair dy = {(y.a - target[block].a) * (2.0f / n), (y.b - target[block].b) * (2.0f / n)};
        for (int lane = 0; lane < 16; lane++) /* lanes past the last point */
            if (16 * block + lane >= n) { if (lane < 8) dy.a[lane] = 0; else dy.b[lane - 8] = 0; }
        linear_backward(params + offset, D, 1, u[depth - 1], &dy, gradient + offset, gradient + offset + D, dh);
        for (int k = depth - 1; k >= 0; k--) {
            int n_in = k ? D : 2;
            activate_backward(kind, p, q, n_rows, z[k], u[k], dh, dz);
            linear_backward(params + at[k], n_in, D, k ? u[k - 1] : x, dz, gradient + at[k],
                            gradient + at[k] + n_in * D, dh);
        }
    }
}

/* Copy points (n, k) in an order into blocks (n / 16, k, 16). */
static void fill(const float *points, int k, const int *order, int n, float *blocks) {
    for (int i = 0; i < n; i++)
        for (int c = 0; c < k; c++) blocks[(size_t)(i / 16) * 16 * k + 16 * c + i % 16] = points[(size_t)order[i] * k + c];
}

/* `steps` of Adam with a cosine to 0, as torch.optim.Adam and CosineAnnealingLR, on batches of `batch` points that
   follow each other in `order` (steps * batch,). params (n_params,) in the order of the layers; moments
   (2, n_params) zero. scratch, aligned: 8 floats per parameter, then 4 blocks (batch / 16 up, 16). */
void iat_train(int kind, int depth, float *restrict params, int n_params, const float *p_dense, const float *p_local,
               const int *p_first, const float *q_dense, const float *q_local, const int *q_first, int n_rows,
               const float *coords, const float *target, int batch, const int *order, int steps, double rate,
               float *restrict moments, float *restrict scratch) {
    table p = {p_dense, p_local, p_first}, q = {q_dense, q_local, q_first};
    v8 *gradient = (v8 *)scratch;
    size_t room = (size_t)(batch + 15) / 16 * 16;
    float *x = scratch + 8 * (size_t)n_params, *t = x + 2 * room, *values = t + room;
    float *first = moments, *second = moments + n_params;
    for (int step = 0; step < steps; step++, order += batch) {
        fill(coords, 2, order, batch, x);
        fill(target, 1, order, batch, t);
        pass(kind, depth, params, n_params, &p, &q, n_rows, (pair *)x, batch, (pair *)t, (pair *)values, gradient);
        float rate_now = (float)(0.5 * rate * (1 + cos(M_PI * step / steps)) / (1 - pow(0.9, step + 1)));
        float scale = (float)(1 / sqrt(1 - pow(0.999, step + 1)));
        float *sum = (float *)gradient; /* in place: sum[k] lies in what was read before */
        for (int k = 0; k < n_params; k++) {
            v8 s = gradient[k];
            sum[k] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
        }
        for (int k = 0; k < n_params; k++) {
            float g = sum[k];
            first[k] = 0.9f * first[k] + 0.1f * g;
            second[k] = 0.999f * second[k] + 0.001f * g * g;
            params[k] -= rate_now * first[k] / (sqrtf(second[k]) * scale + 1e-8f);
        }
    }
}
