"""A headless Chromium, driven through its own debugging pipe: nothing but the browser is needed."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 120.0


class Page:
    """One page of the browser.

    `events` holds what the browser reported since the page was opened.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, os.fdopen(from_browser, "rb", buffering=0)
        self._count, self._rest, self._session = 0, b"", None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the debugging protocol and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._rest:
            assert time.monotonic() < until, "the browser does not answer"
            self._rest += self._in.read(1 << 20)
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, size: tuple[int, int] = (1200, 900)) -> None:
        """Show a file and wait until it has been loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + TIMEOUT_S
        while self.ask("document.readyState") != "complete":
            assert time.monotonic() < until, "the page is not loaded"
            time.sleep(0.05)

    def ask(self, code: str) -> Any:
        """Return the value of an expression; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element."""
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.ask(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **at)

    def key(self, name: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def media(self, kind: str = "", **features: str) -> None:
        """Pretend to be a printer, or somebody who likes it dark."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=kind, features=listed)


@cache
def find_browser() -> str | None:
    """The first browser that starts; some systems have a script of its name that only says how to get it."""
    for program in filter(None, map(shutil.which, NAMES)):
        try:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=60, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        if "Chrom" in said:
            return program
    return None


@contextmanager
def browser() -> Iterator[Page]:
    """Start the browser that is installed.

    Raises:
        FileNotFoundError: when there is none.
    """
    program = find_browser()
    if program is None:
        raise FileNotFoundError(f"no browser: install one of {', '.join(NAMES)}")
    theirs_in, ours_out = _pipe(high=0)
    ours_in, theirs_out = _pipe(high=1)
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe",
            "--disable-background-networking", "--disable-dev-shm-usage",
            "--disable-component-update", f"--user-data-dir={profile}",
        ]  # fmt: skip
        # the browser reads commands from descriptor 3 and writes answers to descriptor 4
        become = (
            f"import os, sys; os.dup2({theirs_in}, 3); os.dup2({theirs_out}, 4); os.execv(*eval(sys.argv[1]))"
        )
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", become, repr((program, [program, *options]))],
            pass_fds=(theirs_in, theirs_out), env=_environment(profile),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        page = None
        try:
            page = Page(ours_out, ours_in)
            yield page
        finally:
            if page is not None:
                page._in.close()
            os.close(ours_out)  # which tells the browser to end
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _pipe(high: int) -> tuple[int, int]:
    """Return a pipe; the end that goes to the browser is moved out of the way of descriptors 3 and 4."""
    ends = list(os.pipe())
    moved = fcntl.fcntl(ends[high], fcntl.F_DUPFD, 100)
    os.close(ends[high])
    ends[high] = moved
    return ends[0], ends[1]


def _environment(home: str) -> Mapping[str, str]:
    return {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
