"""The product layer in obvious tensor code: the truth that every other engine is tested against.

It is differentiable any number of times and in any precision, and keeps every (n, D, R) tensor for the
backward pass; use it for derivatives by coordinates, for tests, and nowhere else.
"""

from torch import Tensor

from lrnn_cli.kernels.families import FAMILIES


def product_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    amplitude: Tensor,
    frequency: Tensor,
    phase: Tensor,
    *,
    family: str,
    gamma: float,
    offset: float,
    centre: float,
) -> Tensor:
    """Evaluate phi_l(x) = prod_j (offset + gamma g_lj(z_lj)), z = W x + b.

    Here g(z) = sum_m a_m (sigma(w_m z + c_m) - centre);
    n points, d inputs, D = d-bar factors, R neurons, M components per factor.

    Args:
        x: points, (n, d).
        weight: W, (D, R, d).
        bias: b, (D, R).
        amplitude: a, (M, D, R).
        frequency: w, (M, D, R).
        phase: c, (M, D, R).
        family: name of sigma in `FAMILIES`.
        gamma: scale of the component functions, d-bar^(-1/2) in the paper.
        offset: 1 in the paper; 0 gives the plain product of the g.
        centre: mean of sigma at the start, which makes g zero-mean; 0 leaves sigma as it is.

    Returns:
        phi, (n, R).
    """
    z = (x @ weight.flatten(0, 1).T).unflatten(1, weight.shape[:2]) + bias  # (n, D, R)
    value = FAMILIES[family].value(frequency * z.unsqueeze(1) + phase) - centre  # (n, M, D, R)
    factors = offset + gamma * (amplitude * value).sum(1)  # (n, D, R)
    return factors.prod(1)
