"""The options of `lrnn study`, shared by its commands."""

from pathlib import Path
from typing import Annotated

import typer

from lrnn_cli.cli.comparing import FORMATS

WHICH = "Which jobs"

File = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study.", show_default=False)]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--inputs", "-i", metavar="PATH", help="These inputs in place of the file's; repeatable.",
                 show_default=False),
]  # fmt: skip
Folder = Annotated[
    str | None,
    typer.Option("--folder", "-d", metavar="DIR", help="Folder of results; studies/NAME if left out.",
                 show_default=False),
]  # fmt: skip
Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", rich_help_panel=WHICH, show_default=False,
                 help="The I-th of N parts, I from 1 to N: for job arrays, xargs and make."),
]  # fmt: skip
JobNames = Annotated[
    list[str] | None,
    typer.Option("--job", metavar="ID", rich_help_panel=WHICH, show_default=False,
                 help="This job only, by its id or the beginning of it; repeatable."),
]  # fmt: skip
JobCount = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", min=1, show_default=False,
                 help="Jobs at once; the cores are shared among them. One, or one per GPU, if left out."),
]  # fmt: skip
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, show_default=False,
                 help="Processor cores of each job; all of them divided by --jobs if left out."),
]  # fmt: skip
Stack = Annotated[
    int,
    typer.Option("--stack", metavar="N", min=1,
                 help="Fit up to N small jobs that differ in input and seed alone in one batch."),
]  # fmt: skip
Dask = Annotated[
    bool, typer.Option("--dask", help="Run on a dask.distributed cluster started on this machine.")
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", show_default=False,
                 help="Run on the dask cluster at tcp://HOST:PORT or file:PATH (a scheduler file)."),
]  # fmt: skip
Timeout = Annotated[
    float,
    typer.Option("--connect-timeout", metavar="S", min=0.1, help="Seconds a scheduler may take to answer."),
]  # fmt: skip
Ids = Annotated[bool, typer.Option("--ids", help="Print the ids only, one a line.")]
Missing = Annotated[
    bool, typer.Option("--missing", rich_help_panel=WHICH, help="Only jobs that are not done.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="|".join(FORMATS), help="Of the table.", show_default=False),
]  # fmt: skip
Targets = Annotated[
    str | None,
    typer.Option("--targets", metavar="GOALS", show_default=False,
                 help="In place of the study's: 25,30,35 (dB), mse=1e-4, rel_l2=1e-3, or none."),
]  # fmt: skip
ByInput = Annotated[bool, typer.Option("--by-input", help="A table for each input.")]
Equal = Annotated[
    str | None,
    typer.Option("--equal", metavar="params|time|steps", show_default=False,
                 help="Refuse a table in which this is not equal; several with commas."),
]  # fmt: skip
ReportFile = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page; - for stdout.")]
Pictures = Annotated[
    int, typer.Option("--pictures", metavar="N", min=0, help="Inputs to show or play on the page.")
]
StudyFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of results.", show_default=False)]
StackIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Jobs, by their whole ids.", show_default=False)
]
