"""Targets as people write them."""

import pytest

from lrnn_cli.errors import ConfigError
from lrnn_cli.studies.measures import MEASURES, parse_targets


def test_targets_are_read() -> None:
    found = parse_targets("25, 30dB,mse=1e-4,rel_l2=1e-3,ssim=0.9,25")
    assert [(t.measure, t.value, t.text) for t in found] == [
        ("psnr_db", 25.0, "25 dB"),
        ("psnr_db", 30.0, "30 dB"),
        ("psnr_db", pytest.approx(40.0), "mse=1e-4"),
        ("rel_l2", 1e-3, "rel_l2=1e-3"),
        ("ssim", 0.9, "ssim=0.9"),
    ]


def test_a_target_knows_which_way_is_better() -> None:
    psnr, error = parse_targets("30,rel_l2=1e-3")
    assert [psnr.met_by(x) for x in (30.0, 29.9, None)] == [True, False, False]
    assert [error.met_by(x) for x in (1e-3, 1.1e-3)] == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("25,", "--targets '': expected 40, 40dB, mse=1e-4 or rel_l2=1e-3"),
        ("fast", "--targets 'fast': expected 40"),
        ("mse=0", "--targets 'mse=0': expected 40"),
        ("rel_l3=1", "unknown measure 'rel_l3'; did you mean 'rel_l2'?"),
        ("ssim=high", "--targets 'ssim=high': expected a number after the ="),
        ("train_s=3", "unknown measure 'train_s'"),
    ],
)
def test_what_is_no_target_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_targets(text)
    assert words in str(caught.value)


def test_figures_are_written_with_their_digits() -> None:
    assert MEASURES["psnr_db"].show(31.239) == "31.24"
    assert MEASURES["psnr_db"].show(float("inf")) == "exact"
    assert MEASURES["mse"].show(0.000123) == "1.23e-04"
    assert MEASURES["mse"].show(None) == "–"
