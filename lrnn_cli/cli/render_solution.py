"""What `lrnn render` does with the solution of an equation."""

import hashlib
import time
from pathlib import Path

from lrnn_cli.cli.rendering import Rendering


def render_solution(at: str | None, to: Rendering) -> int:
    """Evaluate a solution into a file, and say what it is.

    Args:
        at: where: a grid or a table of points, None for a grid of our choice.
        to: of which run, and where to.

    Returns:
        the exit code.

    Raises:
        ConfigError: when place or format make no sense.
        InputError: when the table of points cannot be used.
        OutputError: when the file exists or cannot be written.
    """
    from lrnn_cli.runs.folder import atomic_write
    from lrnn_cli.tasks import render_solution as task

    found, talk = to.found, to.talk
    given = to.given(".npz")
    place = task.find_place(found.problem, at)
    suffix = given.suffix.lower() if given else ".npz" if place.axes and not to.to_stdout else ".csv"
    task.check_suffix(place, suffix)
    path = to.free_path(given, f"render-{place.label}{suffix}")
    began = time.perf_counter()
    rendered = task.render_field(found.problem, found.solution, place)
    content = task.encode_rendered(
        place, rendered, suffix, f"{found.problem.config.name}: u and its gradient"
    )
    if rendered.n_outside:
        talk.note(f"{rendered.n_outside} of {len(rendered.u)} points lie outside the domain: NaN")
    if to.to_stdout:
        talk.data(content)
    else:
        atomic_write(Path(path), content)
    record = to.record(
        path,
        points=len(rendered.u),
        outside=rendered.n_outside,
        dimensions=place.points.shape[1],
        grid=[len(axis) for axis in place.axes] or None,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    shape = " x ".join(str(len(axis)) for axis in place.axes) or f"{len(rendered.u)} points"
    to.finish(path, f"u and its gradient at {shape}", record, time.perf_counter() - began)
    return 0
