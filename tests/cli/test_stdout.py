"""What goes to stdout when something else than a result is asked for: settings, lists, plans."""

import json

import pytest
import yaml

from tests.cli.conftest import SMALL, Lrnn, colours, write_png


@pytest.mark.parametrize(
    "command",
    [
        ("fit-image", "no.png", *SMALL),
        ("reconstruct-ct", "no.png", "--method", "fbp"),
        ("solve-poisson", "--problem", "peak"),
    ],
    ids=lambda words: words[0],
)
def test_settings_as_json(lrnn: Lrnn, command: tuple[object, ...]) -> None:
    shown = yaml.safe_load(lrnn(*command, "--print-config").out)
    assert lrnn(*command, "--print-config", "--json").json() == shown


def test_settings_go_to_stdout_whatever_the_output(lrnn: Lrnn) -> None:
    plain = lrnn("fit-image", "no.png", *SMALL, "--print-config")
    done = lrnn("fit-image", "no.png", *SMALL, "--print-config", "-o", "-")
    assert (done.code, done.err, done.out) == (0, "", plain.out)


def test_the_plan_of_a_run_to_stdout_names_no_folder(lrnn: Lrnn) -> None:
    write_png(lrnn.folder / "a.png", colours(8, 8, 1))
    done = lrnn("fit-image", "a.png", *SMALL, "-o", "-", "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith(" -> -\n")


def test_named_problems_as_json(lrnn: Lrnn) -> None:
    lines = lrnn("solve-poisson", "--problem", "list", "--json").out.splitlines()
    named = {record["name"]: record["source"] for record in map(json.loads, lines)}
    assert "Mitchell" in named["l-shape"] and len(named) == len(lines) > 10


def test_an_image_without_room_for_the_window_has_no_ssim_in_its_line(lrnn: Lrnn) -> None:
    write_png(lrnn.folder / "a.png", colours(1, 5, 1))
    done = lrnn("fit-image", "a.png", *SMALL, "-o", "run", "-q")
    assert done.code == 0 and "PSNR" in done.out and "SSIM" not in done.out, done
