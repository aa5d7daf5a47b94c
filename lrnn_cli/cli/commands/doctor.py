"""`lrnn doctor`."""

from collections.abc import Iterator
from typing import Any

from lrnn_cli.cli import options as o
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.tables import show_table


def command(json: o.Json = False, quiet: o.Quiet = 0, verbose: o.Verbose = 0) -> int:
    """Check this installation: versions, devices, engines, file formats, and what could be added.

    The exit code is 0 whatever is missing: everything listed is optional or has a substitute.
    """
    talk = Talk(quiet=quiet, verbose=verbose, json=json)

    from lrnn_cli.runs.diagnosis import diagnose

    record = diagnose()
    if json:
        talk.result("", record)
    else:
        show_table(talk, list(_facts(record)))
    return 0


def _facts(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Put the findings into words, one line each."""
    for key, value in record["env"].items():
        yield key, "none" if value is None else str(value)
    for name, found in record["packages"].items():
        yield name, found
    yield from _part("devices", record["devices"], lambda each: (each["device"], _device(each)))
    threads = record["threads"]
    yield "threads", threads.get("problem") or f"{threads['default']} of {threads['processors']} processors"
    yield from _part("engines", record["engines"], lambda each: (f"engine {each['engine']}", _engine(each)))
    equations = record["equations"]
    yield "engine of equations", equations.get("problem") or equations["reason"]
    cache = record["cache"]
    state = "writable" if cache.get("writable") else "NOT writable: set LRNN_CACHE to a folder that is"
    yield "cache", cache.get("problem") or f"{cache['path']} ({state})"
    sound, pictures = record["codecs"]["soundfile"], record["codecs"]["pillow"]
    yield "libsndfile", sound.get("problem") or f"{sound['version']}: {' '.join(sound['formats'])}"
    codecs = (f"{name} {found or 'missing'}" for name, found in pictures.items() if name != "version")
    yield "image codecs", pictures.get("problem") or ", ".join(codecs)
    for name, extra in record["extras"].items():
        packages = extra["packages"]
        present = (
            ", ".join(f"{package} {packages[package]}" for package in packages) if extra["present"] else ""
        )
        yield f"lrnn[{name}]", present or f"absent; {extra['install']}"


def _part(name: str, found: Any, words: Any) -> Iterator[tuple[str, str]]:
    if isinstance(found, dict):  # looking at it failed
        yield name, found["problem"]
        return
    for each in found:
        yield words(each)


def _device(each: dict[str, Any]) -> str:
    if each.get("problem"):
        return f"absent: {each['problem']}"
    memory = "" if each["memory_mb"] is None else f", {each['memory_mb']} MB"
    return f"{each['name']}{memory}"


def _engine(each: dict[str, Any]) -> str:
    return each["reason"] if each["available"] else f"not available: {each['reason']}"
