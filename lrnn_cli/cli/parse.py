"""Options that are several numbers in one word: sizes, boxes, moments."""

from lrnn_cli.cli import options as o
from lrnn_cli.errors import ConfigError


def parse_size(text: str | None, option: str) -> tuple[int, int] | None:
    """Read WxH.

    Args:
        text: such as 256x192; None if the option was not given.
        option: its name, for the message.

    Returns:
        Width and height, or None.

    Raises:
        ConfigError: when it is not of that form.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise ConfigError(f"{option}: expected WIDTHxHEIGHT such as 256x192, got {text!r}")
    return int(parts[0]), int(parts[1])


def parse_box(text: str | None, option: str) -> tuple[int, ...] | None:
    """Read X0,Y0,X1,Y1 in whole numbers.

    Args:
        text: such as 0,0,64,48; None if the option was not given.
        option: its name, for the message.

    Returns:
        Four numbers, or None.

    Raises:
        ConfigError: when it is not of that form.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(p.strip().isdecimal() for p in parts):
        raise ConfigError(f"{option}: expected four whole numbers X0,Y0,X1,Y1, got {text!r}")
    return tuple(int(p) for p in parts)


def parse_region(text: str | None, option: str) -> tuple[float, float, float, float] | None:
    """Read X0,Y0,X1,Y1, fractions and signs allowed.

    Args:
        text: such as -1,0,10.5,20; None if the option was not given.
        option: its name, for the message.

    Returns:
        Four numbers, or None.

    Raises:
        ConfigError: when it is not of that form.
    """
    if text is None:
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"{option}: expected four numbers X0,Y0,X1,Y1, got {text!r}") from None
    return x0, y0, x1, y1


def parse_moment(text: str | None, option: str) -> float | None:
    """Read a time that may be 0.

    Args:
        text: such as 0 or 1.5s; None if the option was not given.
        option: its name, for the message.

    Returns:
        Seconds, or None.

    Raises:
        ConfigError: when it is no time.
    """
    if text is None:
        return None
    try:
        return o.read_moment(text)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from None
