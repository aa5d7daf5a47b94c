"""Commands run whole: the program preloaded, a small picture and a finished run, shared by all tests here."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import program_env

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    raw: bytes

    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)

    def refused(self, code: int, *words: str) -> None:
        """Check that the command ended with this code and one line on stderr that holds these words."""
        lines = self.err.splitlines()
        assert (self.code, self.out) == (code, ""), self
        assert len(lines) == 1, self.err
        assert lines[0].startswith("lrnn: error: "), self.err
        assert all(word in lines[0] for word in words), self.err


class Running:
    """A command that has been started."""

    def __init__(self, program: "Program", pid: int, folder: Path) -> None:
        self.program, self.pid, self.folder = program, pid, folder

    def wait_for(self, text: str) -> None:
        """Wait until stderr holds a text."""
        until = time.monotonic() + TIMEOUT_S
        while text not in (self.folder / "stderr").read_text():
            assert time.monotonic() < until, (self.folder / "stderr").read_text()
            time.sleep(0.005)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def finish(self) -> Done:
        code = self.program.answer()["code"]
        out = (self.folder / "stdout").read_bytes() if (self.folder / "stdout").is_file() else b""
        return Done(code, out.decode(errors="replace"), (self.folder / "stderr").read_text(), out)


class Program:
    """Starts commands one after the other, each in a process of its own (see `preloaded`)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        # Own cache: whether a kernel was compiled on this machine shall not matter.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.preloaded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=program_env({"LRNN_CACHE": str(folder / "cache")}),
            encoding="utf-8",
        )
        assert self.answer() == {"ready": True}

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def start(
        self,
        *args: object,
        cwd: Path,
        input: bytes | None = None,
        stdout: str | None = None,
        env: Mapping[str, str] | None = None,
        kill_at: int = 0,
        file_bytes: int = 0,
        first_on_path: Path | None = None,
        save_every_s: float | None = None,
    ) -> Running:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        (folder / "stderr").touch()
        if input is not None:
            (folder / "stdin").write_bytes(input)
        job = {
            "args": list(map(str, args)),
            "cwd": str(cwd),
            "stdin": os.devnull if input is None else str(folder / "stdin"),
            "stdout": stdout or str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
            "env": dict(env or {}),
            "kill_at": kill_at,
            "file_bytes": file_bytes,
            "first_on_path": first_on_path and str(first_on_path),
            "save_every_s": save_every_s,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return Running(self, self.answer()["pid"], folder)

    def __call__(self, *args: object, **more: Any) -> Done:
        return self.start(*args, **more).finish()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.kill()  # it has nothing to save, and torch takes its time to leave
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    started = Program(tmp_path_factory.mktemp("program"))
    yield started
    started.close()


class Lrnn:
    """The program in the test's own folder."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program, self.folder = program, folder

    def __call__(self, *args: object, **more: Any) -> Done:
        return self.program(*args, **{"cwd": self.folder, **more})

    def start(self, *args: object, **more: Any) -> Running:
        return self.program.start(*args, **{"cwd": self.folder, **more})


@pytest.fixture
def lrnn(program: Program, tmp_path: Path) -> Lrnn:
    return Lrnn(program, tmp_path)


def colours(height: int = 18, width: int = 24, channels: int = 3, top: int = 255) -> np.ndarray:
    """A smooth picture with something of its own in every channel, as integers up to `top`."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [0.5 + 0.45 * np.sin(5 * x + 3 * k * y + k) for k in range(channels)]
    return np.rint(np.stack(waves, axis=-1) * top).astype(np.uint8 if top < 256 else np.uint16)


def write_png(path: Path, samples: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples if samples.shape[-1] > 1 else samples[..., 0]).save(path)
    return path


SMALL = ("--rank", 6, "--dbar", 2, "--depth", 2, "--steps", 12)


@dataclass(frozen=True)
class Run:
    """A finished run that no test changes."""

    image: Path
    folder: Path
    done: Done

    @property
    def metrics(self) -> Any:
        return json.loads((self.folder / "metrics.json").read_text())


@pytest.fixture(scope="session")
def finished(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("finished")
    image = write_png(folder / "waves.png", colours())
    done = program(
        "fit-image", image, *SMALL, "--engine", "fused", "-o", folder / "run", "--json", cwd=folder
    )
    assert done.code == 0, done.err
    return Run(image, folder / "run", done)
