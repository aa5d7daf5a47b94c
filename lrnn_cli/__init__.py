"""Low-rank separated neural networks for continuous signals, from the shell and from Python."""

__version__ = "0.1.0"
