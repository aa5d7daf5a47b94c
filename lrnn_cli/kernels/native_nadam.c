/* A step of NAdam over n weights in single precision, one pass over memory where tensor code takes a dozen.
 *
 *   m <- m + (1 - beta1) (g - m),   v <- beta2 v + (1 - beta2) g^2,
 *   p <- p - (by_gradient g + by_moment m) / ((v / correction2)^(1/2) + eps)
 *
 * constants: beta2, 1 - beta1, 1 - beta2, correction2, eps, by_gradient, by_moment.
 */
void lrnn_nadam(long n, const float *constants, const float *restrict g, float *restrict p, float *restrict m,
                float *restrict v) {
    const float keep2 = constants[0], take1 = constants[1], take2 = constants[2], correction2 = constants[3];
    const float eps = constants[4], by_gradient = constants[5], by_moment = constants[6];
    for (long k = 0; k < n; k++) {
        float first = m[k] + take1 * (g[k] - m[k]), second = keep2 * v[k] + take2 * g[k] * g[k];
        m[k] = first;
        v[k] = second;
        p[k] -= (by_gradient * g[k] + by_moment * first) / (__builtin_sqrtf(second / correction2) + eps);
    }
}
