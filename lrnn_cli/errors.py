"""Every error a user can cause or meet, each with one line that says what, where and what to do.

Library code raises these and nothing else on purpose; `lrnn_cli.cli.failures` is the one place that
turns them into a message on stderr and an exit code.
"""


class LrnnError(Exception):
    """Base of all errors with a message meant for the user."""


class InputError(LrnnError):
    """A file or its content cannot be read, is not of the expected kind or holds unusable values."""


class ConfigError(LrnnError):
    """An option, a configuration key or a combination of them makes no sense."""


class CheckpointError(InputError):
    """A checkpoint or run folder is corrupt, foreign, of another version or of another input."""


class DeviceError(LrnnError):
    """The device asked for is absent, or memory does not suffice even for the smallest block."""


class FitError(LrnnError):
    """Training broke down and could not be mended by going back to a good state."""


class OutputError(LrnnError):
    """The result cannot be written: no permission, no space, or it exists already."""
