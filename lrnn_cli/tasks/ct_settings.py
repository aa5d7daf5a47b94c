"""The settings of `reconstruct-ct` as the user writes them: the scan, the methods, the networks.

scan:   {views: 50, noise: poisson, i0: 1e4, …}        simulated; or {sinogram: s.npy, angles: 0:180:100, …}
method: {methods: [lrnn, fbp, sart, tv], prior: tv+nlm, …}
model:  {params: 180000, options: {rank: 96}}          of the networks among the methods
fit:    {time_s: 60, seed: 0, …}                       `fitting.settings.FitSettings`, per network
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import row

CLASSICAL = ("fbp", "sart", "sirt", "tv")
DEFAULT_METHODS = ("lrnn", "fbp", "sart", "tv")
DEFAULT_PARAMS = 180_000
PRESETS = {"fast": 60.0, "best": 480.0}  # seconds per network
MU_WATER_PER_MM = 0.0193  # at 70 keV: J. Hubbell, S. Seltzer, NISTIR 5632

# of a scan: what has no meaning beside a measured sinogram
SIMULATED = ("views", "range", "noise", "inverse_crime", "tau", "readout")
# of a scan: names of files, or the angles themselves; what is read from them is known by its digest
FILES = ("sinogram", "angles", "flat", "dark")

_FROZEN = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class ScanSettings(BaseModel):
    """Where the projections come from: measured, or simulated from a slice."""

    model_config = _FROZEN

    sinogram: str | None = Field(None, description="file of a measured sinogram")
    angles: str | None = Field(None, description="file, or START:STOP:COUNT, half-open")
    radians: bool = False
    layout: Literal["auto", "angles-first", "bins-first"] = "auto"
    center: float | Literal["auto"] | None = Field(None, description="bin of the axis of rotation")
    flat: str | None = Field(None, description="file of the open beam, for raw counts")
    dark: str | None = Field(None, description="file of the counts without a beam")
    size: int | None = Field(None, ge=8, description="pixels per side of the slice")
    pixel_size: float | None = Field(None, gt=0, description="side of a pixel")
    detector_spacing: float | None = Field(None, gt=0, description="distance of neighbouring bins")
    mu_water: float | None = Field(None, gt=0, description="attenuation of water per unit of length")
    geometry: Literal["parallel", "fan"] = Field("parallel", description="beam; fan: flat detector")
    source_distance: float | None = Field(None, gt=0, description="axis to source of a fan beam")
    detector_distance: float | None = Field(None, ge=0, description="axis to detector of a fan beam")
    views: int = Field(50, ge=1)
    range: tuple[float, float] | None = Field(
        None, description="first angle and end of the views, degrees; 0:180, for a fan beam 0:360"
    )
    noise: Literal["none", "poisson", "readout"] = "none"
    i0: float | None = Field(None, gt=0, description="counts of the open beam")
    electronic: float = Field(0.0, ge=0, description="standard deviation of the electronics, counts")
    tau: float = Field(30.0, gt=0, description="photons per pixel of white, for readout noise")
    readout: float = Field(2.0, ge=0, description="standard deviation of the readout, photons")
    inverse_crime: bool = Field(False, description="simulate with the operator and grid that reconstruct")
    operator: Literal["joseph", "strip", "rotate"] = "joseph"
    matrix_memory_mb: float = Field(
        1024.0, ge=0, description="projection matrices above this are not stored, but computed anew"
    )

    @property
    def turn(self) -> tuple[float, float]:
        """First angle and end of the views of a simulated scan, degrees."""
        return self.range or (0.0, 360.0 if self.geometry == "fan" else 180.0)

    @field_validator("range")
    @classmethod
    def _turns(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] == value[1]:
            raise ValueError(f"expected different angles, got {value[0]:g}:{value[1]:g}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> ScanSettings:
        measured = ("angles", "center", "flat", "dark")
        if self.sinogram is not None and self.noise != "none":
            raise ValueError("--noise simulates a scan of an image; a measured sinogram has its own")
        wrong, hint = (
            (measured, "belongs to --sinogram")
            if self.sinogram is None
            else (SIMULATED, "simulates a scan of an image")
        )
        for name in wrong:
            if name in self.model_fields_set and getattr(self, name) not in (None, False, "none"):
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} {hint}; leave one of them out")
        return self

    @model_validator(mode="after")
    def _none_idle(self) -> ScanSettings:
        """Refuse what would change nothing; a default that is written out says nothing wrong."""
        owners = dict.fromkeys(("radians", "layout"), "--sinogram") if self.sinogram is None else {}
        if self.sinogram is None and self.noise != "poisson":
            owners |= dict.fromkeys(("i0", "electronic"), "--noise poisson")
        if self.noise != "readout":
            owners |= dict.fromkeys(("tau", "readout"), "--noise readout")
        for name, owner in owners.items():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"--{name} belongs to {owner}; give both or none of them")
        return self

    @model_validator(mode="after")
    def _one_beam(self) -> ScanSettings:
        distances = (self.source_distance, self.detector_distance)
        if self.geometry == "parallel":
            if any(distance is not None for distance in distances):
                raise ValueError(
                    "--source-distance and --detector-distance belong to a fan beam; add --geometry fan"
                )
            return self
        if None in distances:
            raise ValueError(
                "--geometry fan needs --source-distance, axis to source, and --detector-distance, axis to "
                "detector, in the unit of --pixel-size"
            )
        if self.operator == "rotate":
            raise ValueError(
                "--operator rotate: a turned image has parallel rays; a fan beam needs joseph or strip"
            )
        if self.center == "auto":
            raise ValueError(
                "--center auto compares mirrored parallel views; for a fan beam give --center BIN"
            )
        return self


class MethodSettings(BaseModel):
    """Which reconstructions, and what they assume."""

    model_config = _FROZEN

    methods: tuple[str, ...] = DEFAULT_METHODS
    filter: Literal["ramp", "shepp-logan", "cosine", "hamming", "hann"] = "hann"
    iterations: int | Literal["auto"] = Field("auto", description="of SART and SIRT")
    tv: float | Literal["auto"] = Field("auto", description="weight of TV relative to max |A^T W p|")
    prior: Literal["tv+nlm", "tv", "nlm", "none"] = Field("tv+nlm", description="of the networks' image")
    bandwidth: float | Literal["auto"] = Field(
        "auto", description="of the nonlocal means, in units where water is 0.5"
    )
    ramp: bool = Field(False, description="ramp-filter the networks' residual")

    @field_validator("iterations", "bandwidth", "tv")
    @classmethod
    def _sensible(cls, value: float | str, info: Any) -> float | str:
        if not isinstance(value, str) and not (value > 0 and value >= (info.field_name == "iterations")):
            raise ValueError(f"expected more than 0, or auto, got {value:g}")
        return value

    @field_validator("methods", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("methods")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"expected at least one of {', '.join(CLASSICAL)} or a model")
        for name in value:
            if name not in CLASSICAL:
                try:
                    row(name)
                except ConfigError as error:
                    raise ValueError(
                        f"{str(error).removeprefix('model: ')}, {', '.join(CLASSICAL)}"
                    ) from None
        if len(set(value)) < len(value):
            raise ValueError(f"expected every method once, got {','.join(value)}")
        return value

    @property
    def networks(self) -> tuple[str, ...]:
        """The models among the methods."""
        return tuple(name for name in self.methods if name not in CLASSICAL)


class NetworkSettings(BaseModel):
    """The networks' size and options."""

    model_config = _FROZEN

    params: int = Field(DEFAULT_PARAMS, ge=1, description="parameter budget of every network")
    options: dict[str, Any] = Field(default_factory=dict, description="of the only network")


class CtSettings(BaseModel):
    """All of it."""

    model_config = _FROZEN

    scan: ScanSettings = Field(default_factory=ScanSettings)
    method: MethodSettings = Field(default_factory=MethodSettings)
    model: NetworkSettings = Field(default_factory=NetworkSettings)
    fit: FitSettings = Field(default_factory=lambda: FitSettings(time_s=PRESETS["fast"]))

    @field_validator("fit")
    @classmethod
    def _no_target(cls, value: FitSettings) -> FitSettings:
        if value.until is not None:
            raise ValueError(
                "until: a network of a reconstruction follows a target that moves, and no error tells when "
                "it is done; give steps or time_s"
            )
        return value

    @model_validator(mode="after")
    def _one_network(self) -> CtSettings:
        if self.model.options and len(self.method.networks) != 1:
            given = ", ".join(self.model.options)
            raise ValueError(f"options of a model ({given}) need exactly one network among the methods")
        return self


def dump(settings: CtSettings) -> dict[str, Any]:
    """Return the settings as plain values: as --config they give the same run again."""
    tree: dict[str, Any] = settings.model_dump(mode="json", exclude_none=True)
    if settings.scan.sinogram is not None:
        tree["scan"] = {name: value for name, value in tree["scan"].items() if name not in SIMULATED}
    return tree


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset: fast, a minute per network; best, eight minutes.

    Raises:
        ConfigError: when it is unknown.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return {"fit": {"time_s": PRESETS[name]}}
