"""Pictures and sounds made by formulas and seeds, for tuning: nothing of the sample data is in them."""

import hashlib

import numpy as np
from scipy import ndimage

from lrnn_cli.signals.signal import Signal


def _signal(values: np.ndarray, kind: str, name: str, form: dict[str, object]) -> Signal:
    values = np.ascontiguousarray(values[..., None], dtype=np.float32)
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return Signal(values, kind, 1.0, name, f"{name}.procedural", digest, (), form)


def _stretch(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min())


def noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """1/f noise: random phases under an amplitude of 1 / (frequency + 1)."""
    spectrum = np.fft.fft2(rng.normal(size=(size, size)))
    k = np.fft.fftfreq(size, 1 / size)
    return _stretch(np.fft.ifft2(spectrum / (np.hypot(k, k[:, None]) + 1)).real)


def edges(size: int, rng: np.random.Generator) -> np.ndarray:
    """Discs and half planes of one grey each, one over the other, with steps between them, over a ramp."""
    y, x = np.mgrid[:size, :size] / size
    values = 0.5 * x + 0.2 * y
    for _ in range(14):
        cx, cy, radius, grey = rng.uniform(0, 1, 4)
        inside = np.hypot(x - cx, y - cy) < 0.05 + 0.25 * radius
        if rng.uniform() < 0.5:
            turn = rng.uniform(0, 2 * np.pi)
            inside &= (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn) > 0
        values[inside] = grey
    return _stretch(values)


def gratings(size: int, rng: np.random.Generator) -> np.ndarray:
    """Six windowed gratings of 2 to size / 6 periods and a radial chirp, all up to a third of the Nyquist."""
    y, x = 2 * np.mgrid[:size, :size] / size - 1
    values = 0.3 * np.cos(np.pi * size / 12 * (x**2 + y**2))
    for periods in np.geomspace(2, size / 6, 6):
        cx, cy, turn = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(0, np.pi)
        wave = np.cos(np.pi * periods * (x * np.cos(turn) + y * np.sin(turn)))
        values += wave * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.15)
    return _stretch(values)


def texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Cells around random points, shaded by the distance to the border, with fine grain."""
    points = rng.uniform(0, 1, (40, 2))
    grid = np.moveaxis(np.mgrid[:size, :size] / size, 0, -1)
    distance = np.sort(np.linalg.norm(grid[:, :, None] - points, axis=-1), axis=-1)
    grain = ndimage.gaussian_filter(rng.normal(size=(size, size)), 0.7)
    return _stretch(np.sqrt(distance[..., 1] - distance[..., 0]) + 0.08 * grain)


def images(size: int, seed: int) -> list[Signal]:
    """Four pictures of size x size pixels, one of each kind."""
    form: dict[str, object] = {"container": "PNG", "dtype": "uint8", "channels": ["L"]}
    return [
        _signal(make(size, np.random.default_rng([seed, k])), "image", make.__name__, form)
        for k, make in enumerate((noise, edges, gratings, texture))
    ]


def chords(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Three chords of three decaying tones with eight harmonics each, struck one after the other."""
    t = np.arange(n) / rate_hz
    values = np.zeros(n)
    for start in np.arange(3) * n / (3 * rate_hz):
        since = np.clip(t - start, 0, None)
        root = rng.uniform(110, 220)
        for pitch in root * np.array([1, 2 ** (4 / 12), 2 ** (7 / 12)]):
            for m in range(1, 9):
                tone = np.sin(2 * np.pi * m * pitch * since + rng.uniform(0, 2 * np.pi)) / m
                values += np.where(t >= start, tone * np.exp(-6 * since * np.sqrt(m)), 0)
    return values


def murmur(n: int, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Like speech: pulses of a gliding pitch through three resonances, hissing in between, in syllables."""
    t = np.arange(n) / rate_hz
    pitch = 120 + 30 * np.sin(2 * np.pi * 1.3 * t + rng.uniform(0, 6))
    phase = np.cumsum(pitch) / rate_hz
    voiced = np.diff(np.floor(phase), prepend=0.0)
    syllable = np.clip(np.sin(2 * np.pi * 3 * t + rng.uniform(0, 6)), 0, 1)
    source = syllable * voiced + 0.02 * (1 - syllable) * rng.normal(size=n)
    spectrum, k = np.fft.rfft(source), np.fft.rfftfreq(n, 1 / rate_hz)
    gain = sum(1 / (1 + ((k - f) / 80) ** 2) for f in (500, 1500, 2500))
    return np.fft.irfft(spectrum * gain, n)


def sounds(n: int, seed: int, rate_hz: int = 8000) -> list[Signal]:
    """Two sounds of n samples at peak 1."""
    made = []
    for k, make in enumerate((chords, murmur)):
        values = make(n, rate_hz, np.random.default_rng([seed, 10 + k]))
        form: dict[str, object] = {
            "container": "WAV",
            "dtype": "PCM_16",
            "sample_rate": rate_hz,
            "channels": 1,
            "gain": 1.0,
            "start_s": 0.0,
        }
        made.append(_signal(values / np.abs(values).max(), "audio", make.__name__, form))
    return made
