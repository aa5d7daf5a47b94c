/* A step of NAdam over n weights in single precision, one pass over memory where tensor code takes a dozen.
 *
 *   m <- m + (1 - beta1) (g - m),   v <- beta2 v + (1 - beta2) g^2,
 *   p <- p - (by_gradient g + by_moment m) / ((v / correction2)^(1/2) + eps)
 */
void lrnn_nadam(long n, const float *constants, const float *restrict g, float *restrict p, float *restrict m,
                float *restrict v) {
    const float keep1 = constants[0], keep2 = constants[1], correction2 = constants[2], eps = constants[3];
    const float by_gradient = constants[4], by_moment = constants[5], take1 = 1.0f - keep1, take2 = constants[6];
    for (long k = 0; k < n; k++) {
        float first = m[k] + take1 * (g[k] - m[k]), second = keep2 * v[k] + take2 * g[k] * g[k];
        m[k] = first;
        v[k] = second;
        p[k] -= (by_gradient * g[k] + by_moment * first) / (__builtin_sqrtf(second / correction2) + eps);
    }
}
