"""What `lrnn render` does with a fitted sound."""

import hashlib
import time
from dataclasses import dataclass

from lrnn_cli.cli.rendering import Rendering
from lrnn_cli.errors import CheckpointError


@dataclass(frozen=True)
class Sound:
    """The options of a rendering of sound; None where not given."""

    rate: int | None = None
    start: float | None = None
    duration: float | None = None
    speed: float | None = None
    subtype: str | None = None


def render_sound(sound: Sound, to: Rendering) -> int:
    """Play a fitted sound into a file, and say what it is.

    Args:
        sound: what to play.
        to: of which run, and where to.

    Returns:
        the exit code.

    Raises:
        CheckpointError: when the checkpoint does not describe a sound.
        OutputError: when the file exists or cannot be written.
    """
    from lrnn_cli.runs.folder import atomic_write
    from lrnn_cli.signals.audio_write import encode_audio, output_suffix
    from lrnn_cli.tasks import render_audio
    from lrnn_cli.tasks.render import make_machine

    fitted, talk = to.found.fitted, to.talk
    given = to.given(".wav")
    try:
        extract = render_audio.make_extract(
            fitted,
            rate_hz=sound.rate,
            start_s=sound.start or 0.0,
            duration_s=sound.duration,
            speed=1.0 if sound.speed is None else sound.speed,
        )
        container, subtype = render_audio.choose_coding(
            fitted, extract, given.suffix if given else None, sound.subtype
        )
    except CheckpointError as error:
        raise CheckpointError(f"{to.found.checkpoint}: {error}") from error
    path = to.free_path(given, render_audio.default_name(extract, output_suffix(container)))
    machine = make_machine(fitted, **to.machine_options)
    began = time.perf_counter()
    try:
        values = render_audio.play(fitted, extract, machine.runner)
    finally:
        machine.runner.close()
    content, n_clipped = encode_audio(
        values, container=container, subtype=subtype, sample_rate=extract.rate_hz, gain=extract.gain
    )
    beyond_db = render_audio.guessed_db(values, extract)
    notes = [*machine.notes]
    if n_clipped:
        notes.append(f"{n_clipped} samples clipped; --subtype FLOAT keeps them")
    if extract.rate_hz / 2 > extract.nyquist_hz * (1 + 1e-9):
        level = "no energy" if beyond_db is None else f"{beyond_db:.1f} dB of the energy"
        notes.append(
            f"beyond {extract.nyquist_hz:g} Hz, the end of the original's band, there is {level}: "
            "the network's own guess, no detail of the original"
        )
    for note in notes:
        talk.note(note)
    if to.to_stdout:
        talk.data(content)
    else:
        atomic_write(path, content)
    seconds = time.perf_counter() - began
    record = to.record(
        path,
        samples=extract.n_samples,
        channels=fitted.n_outputs,
        sample_rate=extract.rate_hz,
        start_s=extract.start_s,
        duration_s=extract.duration_s,
        speed=extract.speed,
        container=container,
        dtype=subtype,
        clipped_samples=n_clipped,
        beyond_original_nyquist_db=beyond_db,
        device=str(machine.runner.device),
        engine=machine.engine.name,
        notes=notes,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    told = f"{extract.n_samples} samples at {extract.rate_hz} Hz, {container} {subtype}"
    to.finish(path, told, record, seconds)
    return 0
