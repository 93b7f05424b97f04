"""Hidden dates as the model sees them: what a sensor would have measured, told from everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from embeddings import engine
from embeddings.geometry import target_grid
from embeddings.inputs import Series, days_of, read, times_of
from models.embedder import Embedder
from models.encoder import HALO_PX
from models.errors import InputError
from models.sensors import SENSORS


@dataclass(frozen=True)
class Hidden:
    """Which acquisitions the model must not see."""

    sensor: str
    days: tuple[int, ...]
    """Days since 1970-01-01 that are asked; their acquisitions of ``sensor`` are hidden."""
    within_days: int = 0
    """Acquisitions of ``sensor`` this close to an asked day are hidden as well."""
    also: tuple[str, ...] = ()
    """Sensors removed altogether, to see what they are worth."""

    def keep(self, name: str, day: np.ndarray) -> np.ndarray:
        """Which acquisitions of sensor ``name`` remain visible."""
        if name in self.also:
            return np.zeros(len(day), bool)
        if name != self.sensor:
            return np.ones(len(day), bool)
        return np.abs(day[:, None] - np.array(self.days)).min(1) > self.within_days


def parse_days(scene: xr.DataTree, dates: Sequence[str], sensor: str) -> tuple[int, ...]:
    """Days of the dates to hide; InputError when one is no date or has no acquisition of the sensor."""
    if sensor not in scene.children:
        raise InputError(
            f"the scene has no {sensor}, only {sorted(set(scene.children) & set(SENSORS))}; hide one of those."
        )
    there = days_of(scene[sensor]["time"].values)
    days = []
    for date in dates:
        try:
            day = int(days_of(np.datetime64(date, "D")))
        except ValueError as error:
            raise InputError(
                f"--hide has {date!r}, not a date; write dates as YYYY-MM-DD,YYYY-MM-DD."
            ) from error
        if day not in there:
            nearest = there[np.abs(there - day).argmin()]
            raise InputError(
                f"{date} has no {sensor} acquisition to hide; the nearest is on"
                f" {times_of(nearest).astype('datetime64[D]')}."
            )
        days.append(day)
    if not days:
        raise InputError("no date to hide was given; write --hide YYYY-MM-DD[,YYYY-MM-DD].")
    return tuple(sorted(set(days)))


def run(
    scene: xr.DataTree, model: Embedder, hidden: Hidden, causal: bool = False, features: int | None = None
) -> xr.Dataset:
    """Reconstruction (time, band, y, x) on the 10 m grid with its expected error; no holes.

    ``causal`` looks at the past only; ``features`` decodes the first features alone, the others set to zero.
    """
    if hidden.sensor not in model.config.sensors:
        raise InputError(
            f"Got {hidden.sensor} to hide, need one of {', '.join(model.config.sensors)}, which {model.name} knows;"
            " choose another sensor or model."
        )
    spec, grid = SENSORS[hidden.sensor], target_grid(scene)
    shape = (len(hidden.days), len(spec.bands), grid.ny, grid.nx)
    mean, sigma = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for rows, cols in engine.Request.of(scene, model).blocks():
        size = (rows.stop - rows.start, cols.stop - cols.start)
        for start, (block_mean, block_sigma) in _block(scene, model, hidden, rows, cols, causal, features):
            where = np.unravel_index(np.arange(start, start + block_mean.shape[0]), size)
            mean[:, :, where[0] + rows.start, where[1] + cols.start] = block_mean.transpose(1, 2, 0)
            sigma[:, :, where[0] + rows.start, where[1] + cols.start] = block_sigma.transpose(1, 2, 0)
    name = spec.variable
    dims = ("time", "band", "y", "x")
    attrs = {"units": spec.unit, "long_name": f"reconstructed {name}, its own acquisition hidden"}
    return xr.Dataset(
        {
            name: (dims, mean, attrs),
            f"{name}_sigma": (
                dims,
                sigma,
                {"units": spec.unit, "long_name": "expected error, standard deviation"},
            ),
        },
        {"time": times_of(np.array(hidden.days)), "band": list(spec.bands), **grid.coords()},
        {
            "title": f"Hidden {hidden.sensor} dates of {scene.attrs.get('id', 'a scene')}, reconstructed",
            "simulated": int(scene.attrs.get("simulated", 0)),
            "model": model.name,
            "model_digest": model.digest,
            "hidden_sensor": hidden.sensor,
            "hidden_within_days": hidden.within_days,
            "Conventions": "CF-1.11",
        },
    )


def reader(attrs: Mapping[str, Any]) -> Embedder | None:
    """The shipped model that made a cube with these attributes, and so can read it; None where none of them did."""
    from models import checkpoints

    name = str(attrs.get("model", ""))
    if name not in checkpoints.shipped():
        return None
    model = checkpoints.load(name, "cpu")
    return model if model.digest == attrs.get("model_digest") and "s2" in model.decoders else None


@torch.inference_mode()
def read_out(cube: xr.Dataset, model: Embedder, bands: Sequence[str]) -> xr.DataArray:
    """Reflectance of Sentinel-2 that the embeddings of a cube tell, (..., band): of every day, observed or filled."""
    features = cube["embedding"].transpose(..., "feature")
    z = torch.from_numpy(features.values.astype(np.float32) * cube["scale"].values)
    told = model.decoders["s2"](z)[..., [SENSORS["s2"].bands.index(band) for band in bands]]
    coords = {name: coord for name, coord in features.coords.items() if "feature" not in coord.dims}
    attrs = {"units": "1", "long_name": "surface reflectance, read off the embedding"}
    return xr.DataArray(
        told.numpy(), coords | {"band": list(bands)}, (*features.dims[:-1], "band"), "reflectance", attrs
    )


@torch.inference_mode()
def _block(
    scene: xr.DataTree,
    model: Embedder,
    hidden: Hidden,
    rows: slice,
    cols: slice,
    causal: bool,
    features: int | None,
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """Per strip of pixels: its start and the decoded (pixel, time, band) mean and sigma."""
    tokens = {}
    for name, spec in model.config.specs.items():
        series = read(scene, spec, target_grid(scene), rows, cols, HALO_PX)
        if series is None:
            continue
        left: Series = series.at(hidden.keep(name, series.day))
        if len(left.day):
            tokens[name] = engine.encode(model, name, left)
    pixels = (rows.stop - rows.start) * (cols.stop - cols.start)
    days = torch.tensor([hidden.days], device=model.scale.device)
    for start in range(0, pixels, engine.STRIP_PX):
        strip = slice(start, min(start + engine.STRIP_PX, pixels))
        answer = model.embed({name: t.pixels(strip) for name, t in tokens.items()}, days, causal)
        if features is not None:
            answer.z[..., features:] = 0
        decoder, doubt = model.decoders[hidden.sensor], answer.log_sigma[hidden.sensor]
        mean, sigma = (part[0].transpose(0, 1) for part in (decoder(answer.z), decoder.sigma(doubt)))
        yield start, (mean.cpu().numpy(), sigma.cpu().numpy())
