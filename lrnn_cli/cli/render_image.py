"""What `lrnn render` does with a fitted image."""

import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.rendering import Rendering
from lrnn_cli.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np

_COPY_BYTES = 2**20
_SAY_AFTER_S = 5.0  # shorter renderings need no word on how far they are


@dataclass(frozen=True)
class Picture:
    """The options of a rendering of an image; None where not given."""

    size: tuple[int, int] | None = None
    scale: float | None = None
    region: tuple[float, float, float, float] | None = None
    dtype: str | None = None


def render_picture(picture: Picture, to: Rendering) -> int:
    """Draw a fitted image into a file, and say what it is.

    Args:
        picture: what to draw.
        to: of which run, and where to.

    Returns:
        The exit code.

    Raises:
        CheckpointError: when the checkpoint describes no image.
        OutputError: when the file exists or cannot be.
    """
    from lrnn_cli.runs.folder import atomic_file
    from lrnn_cli.signals.image import container_for_suffix
    from lrnn_cli.signals.image_stream import check_size, write_image
    from lrnn_cli.signals.image_write import check_image, output_suffix
    from lrnn_cli.tasks import render

    fitted, talk, box = to.found.fitted, to.talk, picture.region
    given = to.given(".png")
    container = container_for_suffix(given.suffix) if given else None
    view = render.make_view(fitted, size=picture.size, scale=picture.scale, region=box)
    try:
        form = render.choose_format(fitted, container, picture.dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{to.found.checkpoint}: {error}") from error
    shape = (view.height, view.width, fitted.n_outputs)
    check_size(view.height, view.width, container=form.container)
    check_image(shape, container=form.container, dtype=form.dtype)
    path = to.free_path(given, _default_name(view, output_suffix(form.container), box is not None))
    machine = render.make_machine(fitted, **to.machine_options)
    for note in (*form.notes, *machine.notes):
        talk.note(note)
    height, width = fitted.shape
    if box and (box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height):
        talk.note(f"parts of the region lie outside the {width}x{height} pixels that were fitted")
    talk.debug(f"engine {machine.engine.name} ({machine.engine.reason}) on {machine.runner.device}")

    def write(file: BinaryIO) -> None:
        bands = _count_rows(render.draw(fitted, view, form, machine.runner), view.height, talk)
        write_image(file, bands, shape, container=form.container, dtype=form.dtype, channels=form.channels)

    record = to.record(
        path,
        width=view.width,
        height=view.height,
        region=list(view.region),
        container=form.container,
        dtype=form.dtype,
        channels=list(form.channels),
        device=str(machine.runner.device),
        engine=machine.engine.name,
        notes=[*form.notes, *machine.notes],
    )
    began = time.perf_counter()
    try:
        if to.to_stdout:
            with tempfile.TemporaryFile() as copy:
                write(copy)
                copy.seek(0)
                while piece := copy.read(_COPY_BYTES):
                    talk.data(piece)
        else:
            with atomic_file(path) as file:
                write(file)
                file.seek(0)
                record["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        machine.runner.close()
    told = f"{view.width}x{view.height} pixels, {form.container} {form.dtype}"
    to.finish(path, told, record, time.perf_counter() - began)
    return 0


def _default_name(view: Any, suffix: str, is_part: bool) -> str:
    part = "-" + ",".join(f"{edge:g}" for edge in view.region) if is_part else ""
    return f"render-{view.width}x{view.height}{part}{suffix}"


def _count_rows(bands: "Iterable[np.ndarray]", height: int, talk: Talk) -> "Iterator[np.ndarray]":
    """Pass the bands on, and say every tenth of a long rendering."""
    began = time.monotonic()
    done = tenths = 0
    for band in bands:
        yield band
        done += len(band)
        seconds = time.monotonic() - began
        if done * 10 // height > tenths and seconds > _SAY_AFTER_S:
            tenths = done * 10 // height
            talk.note(f"render: {100 * done // height} %  {seconds * (height - done) / done:.0f} s left")
