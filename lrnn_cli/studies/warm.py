"""Compiling the kernel of the product layer before the first run, so that no run pays for it.

A run that finds no compiled kernel either compiles it, seconds that the others do not have, or is too short
to pay for that and works with another engine than the runs after it.
"""

from collections.abc import Iterable

from lrnn_cli.studies.jobs import Job


def warm_kernel(jobs: Iterable[Job]) -> bool:
    """Compile the kernel when one of the jobs may use it and it is not there yet.

    Args:
        jobs: what is about to be run on this machine.

    Returns:
        whether it was compiled now; without a compiler, or when compiling fails, the runs use another engine.
    """
    if not any(_has_product_layer(name) for name in {job.model for job in jobs}):
        return False
    from lrnn_cli.kernels import native

    if native.is_built():
        return False
    return native.load() is not None


def _has_product_layer(model: str) -> bool:
    from lrnn_cli.models.catalog import CATALOG, config_class

    return model in CATALOG and config_class(model)().kernel_family is not None
