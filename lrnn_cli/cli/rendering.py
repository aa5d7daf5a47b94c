"""What every rendering of `lrnn render` shares: where its file goes, and how the program speaks of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrnn_cli.cli.render import Talk
from lrnn_cli.errors import OutputError


@dataclass(frozen=True)
class Rendering:
    """One call of `lrnn render`.

    Attributes:
        run: as named by the user.
        found: the run, of `runs.find`.
        output: file, or - for stdout; None for a name in the run folder.
        force: whether to overwrite.
        machine_options: device, threads and engine, as `tasks.render.make_machine` takes them.
        talk: the program's voice.
    """

    run: Path
    found: Any
    output: str | None
    force: bool
    machine_options: dict[str, Any]
    talk: Talk

    @property
    def to_stdout(self) -> bool:
        """Whether the result itself goes to stdout."""
        return self.output == "-"

    def given(self, suffix: str) -> Path | None:
        """Return the file named by the user.

        Args:
            suffix: an example, for the message.

        Returns:
            Its path; None where the name is left to us or there is no file.

        Raises:
            OutputError: when it is a folder.
        """
        path = None if self.output is None or self.to_stdout else Path(self.output)
        if path is not None and path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file with a suffix such as {suffix}")
        return path

    def free_path(self, given: Path | None, name: str) -> Path:
        """Return where to write.

        Args:
            given: the user's file, None for one in the run folder.
            name: of that one.

        Returns:
            The path; nobody writes to it when the result goes to stdout.

        Raises:
            OutputError: when the file exists and is not to be overwritten.
        """
        path = given or self.found.folder.path / name
        if not self.to_stdout and path.exists() and not self.force:
            raise OutputError(f"{path} exists; --force overwrites it, -o chooses another file")
        return path

    def record(self, path: Path, **more: Any) -> dict[str, Any]:
        """Return what --json says, to be completed by `finish`.

        Args:
            path: the file.
            more: what is particular to the kind of signal.
        """
        shown = "-" if self.to_stdout else str(path)
        return {"output": shown, "checkpoint": str(self.found.checkpoint), **more}

    def finish(self, path: Path, told: str, record: dict[str, Any], seconds: float) -> None:
        """Say that the file is there.

        Args:
            path: the file.
            told: what it holds, in a few words.
            record: for --json.
            seconds: that it took.
        """
        where = "" if self.to_stdout else f" -> {path}"
        self.talk.result(
            f"{self.run}: {told}, {seconds:.1f} s{where}", {**record, "seconds": round(seconds, 4)}
        )
