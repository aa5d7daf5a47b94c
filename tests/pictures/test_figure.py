"""What all previews share: a title says what it says, whatever a file is called."""

import pytest

from lrnn_cli.pictures.figure import encode_png, new_figure, set_title


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("plain.png: 38.2 dB\nsecond line", "plain.png: 38.2 dB\nsecond line"),
        ("2$x^$.png", "2$x^$.png"),
        (r"$\frac$ $\bad{$", r"$\frac$ $\bad{$"),
        ("caf\udce9", "caf?"),
        ("日本é", "??é"),
        ("tab\tbell\a", "tab?bell?"),
    ],
)
def test_a_title_is_drawn_as_it_is(text, drawn):
    figure = new_figure(2.0, 1.0)
    set_title(figure, text)
    assert figure.get_suptitle() == drawn
    assert encode_png(figure, dpi=30).startswith(b"\x89PNG")
