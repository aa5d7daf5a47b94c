"""Learning rate as a fraction of its peak, fitted to the budget: it ends where the run ends."""

import math

from lrnn_cli.fitting.settings import parse_schedule


def rate_factor(schedule: str, *, progress: float, step: int, warmup_steps: int) -> float:
    """Return the factor on the peak rate.

    With p the part of the budget used and E the end value: inverse 1 / (1 + (1/E - 1) p), exp E^p,
    cos E + (1 - E)(1 + cos pi p)/2, linear 1 - (1 - E) p, step FACTOR^floor(step / EVERY), const 1; times
    (step + 1) / warm-up during the warm-up.

    Args:
        schedule: as `settings.parse_schedule` reads it.
        progress: p in [0, 1], the larger of the parts of steps and time used.
        step: number of the step, from 0.
        warmup_steps: steps of linear rise at the start.
    """
    name, numbers = parse_schedule(schedule)
    p = min(max(progress, 0.0), 1.0)
    factor = 1.0
    if name == "inverse":
        factor = 1 / (1 + (1 / numbers[0] - 1) * p)
    elif name == "exp":
        factor = numbers[0] ** p
    elif name == "cos":
        factor = numbers[0] + (1 - numbers[0]) * 0.5 * (1 + math.cos(math.pi * p))
    elif name == "linear":
        factor = 1 - (1 - numbers[0]) * p
    elif name == "step":
        factor = numbers[1] ** (step // int(numbers[0]))
    return factor * min(1.0, (step + 1) / warmup_steps) if warmup_steps else factor
