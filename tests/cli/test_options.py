"""How option values are read, and that the shared options hang together."""

import inspect
import typing
from typing import Annotated, Any, get_args

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.cli import options
from lrnn_cli.cli.failures import classify
from lrnn_cli.cli.group import Session
from lrnn_cli.errors import ConfigError

ALIASES = {
    name: alias
    for name, alias in vars(options).items()
    if typing.get_origin(alias) is Annotated and name[0].isupper()
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("200000", 200_000), ("200_000", 200_000), ("200k", 200_000), ("1.5M", 1_500_000),
     ("2e5", 200_000),
     ("0.5k", 500), ("1G", 10**9), (" 3 k ", 3000), ("1.1k", 1100), ("4.35M", 4_350_000)],
)  # fmt: skip
def test_counts(text: str, expected: int) -> None:
    assert options.parse_count(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "1.5", "12q", "k", "nan", "inf", "1e999", "1.0005k", "0x10", "1k5", "٣k"]
)
def test_texts_that_are_no_counts(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a count"):
        options.parse_count(text)


@given(st.integers(1, 10**12))
def test_every_whole_number_is_a_count(number: int) -> None:
    assert options.parse_count(str(number)) == number
    assert options.parse_count(f"{number}k") == 1000 * number


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60s", 60), ("90", 90), ("1.5m", 90), ("5m", 300), ("1h", 3600), ("1h30m", 5400), ("1h 5s", 3605),
     ("2m30", 150), ("0.5", 0.5), ("1H", 3600)],
)  # fmt: skip
def test_times(text: str, expected: float) -> None:
    assert options.parse_time(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1s", "s", "5 parsecs", "1m1h", "nan", "inf", "1ms", "9" * 400]
)
def test_texts_that_are_no_times(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        options.parse_time(text)


def test_batches() -> None:
    assert [options.parse_batch(text) for text in ("full", "AUTO", "4096", "16k")] == [
        "full",
        "auto",
        4096,
        16_000,
    ]
    with pytest.raises(ConfigError, match="full or auto"):
        options.parse_batch("half")


def test_blocks() -> None:
    assert [options.parse_batch(text, ["auto"]) for text in ("AUTO", "16k")] == ["auto", 16_000]
    for text in ("x", "full"):
        with pytest.raises(ConfigError, match="write for example 4096 or 16k, auto"):
            options.parse_batch(text, ["auto"])


@pytest.mark.parametrize("text", ["0", "0s", "0.00s", "0m", "0.000", "0h0m0s"])
def test_moments_may_be_0(text: str) -> None:
    assert options.read_moment(text) == 0
    assert options.read_moment("1m30") == 90


@pytest.mark.parametrize("text", ["", "s", "-1", "soon"])
def test_texts_that_are_no_moments(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time; write for example 60s"):
        options.read_moment(text)


def command_with_everything() -> Any:
    """A Typer command that takes every shared option and returns what it was given."""
    given = []

    def command(**values: Any) -> None:
        given.append(values)

    parameters = []
    for name, alias in ALIASES.items():
        default: Any = {bool: False, int: 0}.get(get_args(alias)[0])
        parameters.append(
            inspect.Parameter(name.lower(), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=alias)
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {name.lower(): alias for name, alias in ALIASES.items()}
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return typer.main.get_command(app), given


def parse(*args: str) -> tuple[dict[str, Any], Session]:
    command, given = command_with_everything()
    session = Session()
    command.main(list(args), prog_name="lrnn", standalone_mode=False, obj=session)
    return given[0], session


def test_what_is_not_given_is_none_or_plainly_off() -> None:
    values, _ = parse()
    settings = {key: value for key, value in values.items() if value is not None}
    assert settings == {
        "resume": False, "printconfig": False, "dryrun": False, "force": False, "skipexisting": False,
        "json": False, "quiet": 0, "verbose": 0,
    }  # fmt: skip


def test_everything_can_be_given() -> None:
    values, session = parse(
        *"-m siren -p 200k --rank 3 --dbar 4 --depth 2 --width 9 --component-width 2 --sigma sin".split(),
        *"--components shared --omega-first 1e1 --omega-hidden 5 --no-layer-norm --set a=1 --set b=2".split(),
        *"--steps 5k -t 1m --until 40dB -b full --lr 1e-3 --schedule exp:0.05 --optimizer adam".split(),
        *"--lstsq start,end --no-guard --warmup 5 --block-points auto".split(),
        *"--seed 7 --resume --device cpu --precision float32 --threads 2".split(),
        *"--engine fused --backward full".split(),
        *"--preset fast -c run.yaml --print-config --dry-run -o - -f --skip-existing --json -qq -v".split(),
    )
    assert not [key for key, value in values.items() if value is None]
    assert values["params"] == 200_000
    assert values["set"] == ["a=1", "b=2"]
    assert (values["steps"], values["time"], values["batchpoints"]) == (5000, 60.0, "full")
    assert (values["layernorm"], values["lstsq"], values["omegafirst"]) == (False, "start,end", 10.0)
    assert (values["quiet"], values["verbose"], session.verbose) == (2, 1, 1)
    assert values["output"] == "-"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--params", "lots"],
            "Invalid value for '--params' / '-p': 'lots' is not a count; write a whole number",
        ),
        (["--time", "soon"], "Invalid value for '--time' / '-t': 'soon' is not a time"),
        (
            ["--batch-points", "half"],
            "Invalid value for '--batch-points' / '-b': 'half' is no number of points",
        ),
        (["--rank", "0"], "Invalid value for '--rank'"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--lr", "fast"], "Invalid value for '--lr'"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_its_option(args: list[str], message: str) -> None:
    with pytest.raises(Exception) as caught:  # of a class that is private to Typer
        parse(*args)
    failure = classify(caught.value)
    assert failure.code == 2
    assert failure.message.startswith(message)


def test_help_texts_are_sentences_that_the_help_page_shows_whole() -> None:
    assert len(ALIASES) >= 35
    seen: list[str] = []
    for name, alias in ALIASES.items():
        info = get_args(alias)[1]
        assert info.help, name
        assert info.help.endswith(".") or info.help.endswith("…"), name
        assert "[" not in info.help, f"{name}: Rich would take it for markup"
        assert info.rich_help_panel, name
        seen += [one for decl in info.param_decls for one in decl.split("/")]
    assert len(seen) == len(set(seen)), "two options share a name"


def test_models_are_completed_with_their_summaries() -> None:
    found = dict(options.complete_models("si"))
    assert "siren" in found
    assert found["siren"]
    assert all(name.startswith("si") for name in found)
