"""How well speech is understood and how good it sounds: STOI, ESTOI and PESQ, by the packages that have them.

STOI and ESTOI (0 to 1) come from `pystoi`, the extra `speech`. PESQ (MOS-LQO, about 1 to 4.6) comes from
`pesq`, the extra `pesq`, which has to be compiled and is used where it is installed.
"""

from __future__ import annotations

import importlib
import warnings

import numpy as np

from lrnn_cli.errors import ConfigError

SPEECH_RATES_HZ = (8000, 16000)  # those PESQ is defined for: narrow band and wide band
PESQ_HINT = "metrics.json has no PESQ: for that, pip install 'lrnn[pesq]' (needs a C compiler)"


def is_installed(package: str) -> bool:
    """Return whether a package can be imported.

    Args:
        package: its name.
    """
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def check_speech(rate_hz: int) -> tuple[str, ...]:
    """See, before any work, whether speech can be measured.

    Args:
        rate_hz: sample rate.

    Returns:
        sentences for the user.

    Raises:
        ConfigError: when the rate is not one of speech, or pystoi is missing.
    """
    if rate_hz not in SPEECH_RATES_HZ:
        raise ConfigError(
            f"speech_metrics: STOI and PESQ are for speech at 8000 or 16000 Hz, this sound has {rate_hz} Hz; "
            "resample it or leave --speech-metrics out"
        )
    if not is_installed("pystoi"):
        raise ConfigError("speech_metrics: needs pystoi: pip install 'lrnn[speech]'")
    return () if is_installed("pesq") else (PESQ_HINT,)


def stoi(prediction: np.ndarray, *, target: np.ndarray, rate_hz: int, extended: bool = False) -> float:
    """Short-time objective intelligibility: mean correlation of band envelopes in spans of 384 ms.

    Sources: C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, IEEE Trans. ASLP 19(7), 2011; extended:
    J. Jensen, C. H. Taal, IEEE/ACM Trans. ASLP 24(11), 2016.

    Args:
        prediction: (n,), speech as fitted.
        target: (n,), clean speech.
        rate_hz: sample rate.
        extended: correlate spectra, too (ESTOI).

    Returns:
        0 to 1; NaN when less than 384 ms are not silent.
    """
    from pystoi import stoi as measure

    if not np.any(target):
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # its way to say that there is too little speech
        try:
            return float(measure(_flat(target), _flat(prediction), rate_hz, extended=extended))
        except RuntimeWarning:
            return float("nan")


def pesq(prediction: np.ndarray, *, target: np.ndarray, rate_hz: int) -> float:
    """Perceptual evaluation of speech quality, MOS-LQO: narrow band at 8 kHz, wide band at 16 kHz.

    Source: ITU-T P.862 (2001), P.862.1 and P.862.2.

    Args:
        prediction: (n,), speech as fitted.
        target: (n,), clean speech.
        rate_hz: 8000 or 16000.

    Returns:
        About 1 to 4.6; NaN for silence, when no speech is found, and below a quarter of a second.
    """
    if not np.any(target):
        return float("nan")
    library = importlib.import_module("pesq")
    mode = "wb" if rate_hz == max(SPEECH_RATES_HZ) else "nb"
    try:
        return float(library.pesq(rate_hz, _flat(target), _flat(prediction), mode))
    except library.PesqError:
        return float("nan")


def speech_measures(prediction: np.ndarray, *, target: np.ndarray, rate_hz: int) -> dict[str, float]:
    """Return `stoi`, `estoi` and, where it is installed, `pesq` of one channel.

    Args:
        prediction: (n,) or (n, 1), speech as fitted.
        target: the same shape, clean speech.
        rate_hz: 8000 or 16000.
    """
    found = {
        "stoi": stoi(prediction, target=target, rate_hz=rate_hz),
        "estoi": stoi(prediction, target=target, rate_hz=rate_hz, extended=True),
    }
    return found | (
        {"pesq": pesq(prediction, target=target, rate_hz=rate_hz)} if is_installed("pesq") else {}
    )


def _flat(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float64).reshape(-1)
