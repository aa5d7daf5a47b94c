"""Compiling the kernels of product layers before the first run, so that no run pays for it.

A run that finds no compiled kernel either compiles it, seconds that the others do not have, or is too short
to pay for that and works with another engine than the runs after it.
"""

from collections.abc import Iterable

from lrnn_cli.studies.jobs import Job

EQUATIONS = "solve-poisson"


def warm_kernel(jobs: Iterable[Job]) -> bool:
    """Compile what the jobs may use and is not there yet: for equations another file than for signals.

    Args:
        jobs: what is about to be run on this machine.

    Returns:
        whether anything was compiled now; without a compiler, or when compiling fails, the runs use another
        engine.
    """
    tasks = {job.task for job in jobs if _has_product_layer(job.model)}
    if not tasks:
        return False
    from lrnn_cli.kernels import native, native_jets, native_nadam

    wanted = {native_jets.SOURCE} if EQUATIONS in tasks else set()
    if tasks - {EQUATIONS}:
        wanted |= {native.SOURCE, native_nadam.SOURCE}
    missing = sorted(source for source in wanted if not native.is_built(source))
    return any([native.load(source) is not None for source in missing])


def _has_product_layer(model: str) -> bool:
    from lrnn_cli.models.catalog import CATALOG, config_class

    return model in CATALOG and config_class(model)().kernel_family is not None
