"""Reconstruction: what a sensor would have measured on hidden dates, predicted from all other acquisitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from fluxlens.embeddings.geometry import target_grid
from fluxlens.embeddings.inference import batched_forward, request
from fluxlens.embeddings.inference.residuals import AREA_PX, RESIDUAL_DAYS, correct_area
from fluxlens.embeddings.scenes.acquisitions import (
    AcquisitionSeries,
    from_epoch_day,
    read_acquisitions,
    to_epoch_day,
)
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import HALO_PX
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SENSORS


@dataclass(frozen=True)
class Hidden:
    """Which acquisitions the model must not see."""

    sensor: str
    days: tuple[int, ...]
    """Days since 1970-01-01 to reconstruct; their acquisitions of ``sensor`` are hidden."""
    within_days: int = 0
    """Acquisitions of ``sensor`` this close to such a day are hidden as well."""
    also: tuple[str, ...] = ()
    """Sensors removed altogether, to measure their benefit."""

    def keep(self, name: str, day: np.ndarray) -> np.ndarray:
        """Which acquisitions remain visible.

        Parameters
        ----------
        name
            Of the sensor.
        day
            (time) its acquisitions' days since 1970-01-01.

        Returns
        -------
        numpy.ndarray
            (time) bool.
        """
        # A whole sensor hidden: what the others alone make of the date.
        if name in self.also:
            return np.zeros(len(day), bool)
        if name != self.sensor:
            return np.ones(len(day), bool)
        # (time, hidden day): the nearest hidden day decides; with ``within_days`` 0 only its own date is hidden.
        return np.abs(day[:, None] - np.array(self.days)).min(1) > self.within_days


def parse_days(scene: xr.DataTree, dates: Sequence[str], sensor: str) -> tuple[int, ...]:
    """Days of the dates to hide.

    Parameters
    ----------
    scene
        With the sensor.
    dates
        As YYYY-MM-DD.
    sensor
        Whose acquisitions are hidden.

    Returns
    -------
    tuple of int
        Days since 1970-01-01, increasing, each once.

    Raises
    ------
    InputError
        Where one is no date or has no acquisition of the sensor.
    """
    if sensor not in scene.children:
        raise InputError(
            f"the scene has no {sensor}, only {sorted(set(scene.children) & set(SENSORS))}; hide one of those."
        )
    acquired = to_epoch_day(scene[sensor]["time"].values)
    days = []
    for date in dates:
        try:
            day = int(to_epoch_day(np.datetime64(date, "D")))
        except ValueError as error:
            raise InputError(
                f"--hide has {date!r}, not a date; write dates as YYYY-MM-DD,YYYY-MM-DD."
            ) from error
        # A date without an acquisition has nothing to be compared with; the nearest one is named.
        if day not in acquired:
            nearest = acquired[np.abs(acquired - day).argmin()]
            raise InputError(
                f"{date} has no {sensor} acquisition to hide; the nearest is on"
                f" {from_epoch_day(nearest).astype('datetime64[D]')}."
            )
        days.append(day)
    if not days:
        raise InputError("no date to hide was given; write --hide YYYY-MM-DD[,YYYY-MM-DD].")
    # A date given twice is one.
    return tuple(sorted(set(days)))


def reconstruct_hidden(
    scene: xr.DataTree, model: Embedder, hidden: Hidden, causal: bool = False, features: int | None = None
) -> xr.Dataset:
    """Predict the hidden acquisitions of a sensor from all others.

    Parameters
    ----------
    scene
        Validated.
    model
        That knows the sensor.
    hidden
        What it must not see.
    causal
        Use acquisitions of the past and the day itself only.
    features
        Decode the first features alone, the others set to zero; None: all.

    Returns
    -------
    xarray.Dataset
        The sensor's variable (time, band, y, x) in its unit on the 10 m grid, without holes, and
        ``<variable>_sigma``, the expected standard deviation of its error.

    Raises
    ------
    InputError
        Where the model does not know the sensor.
    """
    if hidden.sensor not in model.config.sensors:
        raise InputError(
            f"Got {hidden.sensor} to hide, need one of {', '.join(model.config.sensors)}, which {model.name} knows;"
            " choose another sensor or model."
        )
    spec, grid = SENSORS[hidden.sensor], target_grid(scene)
    shape = (len(hidden.days), len(spec.bands), grid.ny, grid.nx)
    # Every pixel is written: the areas cover the grid, and the model answers everywhere.
    mean, sigma = np.empty(shape, np.float32), np.empty(shape, np.float32)  # (time, band, y, x)
    # Sentinel-2 alone is corrected by residuals: those of radar are speckle. Features left out are to be seen missing.
    corrects = hidden.sensor == "s2" and (features is None or features >= model.features)
    for area in _areas(request.Request.from_scene(scene, model).aligned_blocks()):
        top, left = area[0][0].start, area[0][1].start
        bottom, right = area[-1][0].stop, area[-1][1].stop
        shown = _shown(scene, model, hidden, slice(top, bottom), slice(left, right)) if corrects else None
        # Days shown are decoded too: what the model misses on them is what corrects the hidden ones.
        days = hidden.days if shown is None else (*hidden.days, *map(int, shown.day))
        decoded = np.empty((len(days), shape[1], bottom - top, right - left), np.float32)
        # The blocks of the engine, so that a reconstruction sees the same neighbourhoods as an embedding.
        for rows, cols in area:
            size = (rows.stop - rows.start, cols.stop - cols.start)
            # (pixel, day, band) of some pixels; days beyond the hidden ones are those shown.
            for start, strip in _block(scene, model, hidden, days, rows, cols, causal, features):
                # strips run through the block row by row
                y, x = np.unravel_index(np.arange(start, start + strip[0].shape[0]), size)
                decoded[:, :, y + rows.start - top, x + cols.start - left] = strip[0].transpose(1, 2, 0)
                sigma[:, :, y + rows.start, x + cols.start] = strip[1][:, : shape[0]].transpose(1, 2, 0)
        if shown is not None:
            decoded = _corrected(decoded, hidden, shown, causal)
        mean[:, :, top:bottom, left:right] = decoded[: shape[0]]
    return _to_dataset(mean, sigma, scene, model, hidden)


def _to_dataset(
    mean: np.ndarray, sigma: np.ndarray, scene: xr.DataTree, model: Embedder, hidden: Hidden
) -> xr.Dataset:
    """Hidden images and their expected errors (time, band, y, x) with coordinates, units and their origin."""
    spec, grid = SENSORS[hidden.sensor], target_grid(scene)
    dims = ("time", "band", "y", "x")
    attrs = {"units": spec.unit, "long_name": f"reconstructed {spec.variable}, its own acquisition hidden"}
    sigma_attrs = {"units": spec.unit, "long_name": "expected error, standard deviation"}
    return xr.Dataset(
        {spec.variable: (dims, mean, attrs), f"{spec.variable}_sigma": (dims, sigma, sigma_attrs)},
        {"time": from_epoch_day(np.array(hidden.days)), "band": list(spec.bands), **grid.coords()},
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


def load_decoder(attrs: Mapping[str, Any]) -> Embedder | None:
    """The shipped model that made a cube, and so can decode it.

    Parameters
    ----------
    attrs
        Of the cube.

    Returns
    -------
    Embedder or None
        On the CPU; None where no shipped model with a Sentinel-2 decoder made it.
    """
    from fluxlens.models import checkpoints

    name = str(attrs.get("model", ""))
    # Only shipped weights are looked up by name; a path in a store's attributes is never opened.
    if name not in checkpoints.shipped():
        return None
    model = checkpoints.load(name, "cpu")
    # The name alone is not enough: a later release may ship other weights under the name of the default.
    return model if model.digest == attrs.get("model_digest") and "s2" in model.decoders else None


@torch.inference_mode()
def decode_reflectance(cube: xr.Dataset, model: Embedder, bands: Sequence[str]) -> xr.DataArray:
    """Decode Sentinel-2 reflectance from the embeddings of a cube: every day, observed or filled.

    Parameters
    ----------
    cube
        ``embedding`` (..., feature) int8 and ``scale`` (feature).
    model
        Of :func:`load_decoder`.
    bands
        Of Sentinel-2.

    Returns
    -------
    xarray.DataArray
        ``reflectance`` (..., band) float32, 0-1.
    """
    features = cube["embedding"].transpose(..., "feature")
    # (..., feature): steps times their size.
    z = torch.from_numpy(features.values.astype(np.float32) * cube["scale"].values)
    decoded = model.decoders["s2"](z)[..., [SENSORS["s2"].bands.index(band) for band in bands]]
    coords = {name: coord for name, coord in features.coords.items() if "feature" not in coord.dims}
    attrs = {"units": "1", "long_name": "surface reflectance, read off the embedding"}
    return xr.DataArray(
        decoded.numpy(), coords | {"band": list(bands)}, (*features.dims[:-1], "band"), "reflectance", attrs
    )


def _areas(blocks: Sequence[tuple[slice, slice]]) -> list[list[tuple[slice, slice]]]:
    """Blocks grouped into the squares of ``AREA_PX`` in which they lie."""
    areas: dict[tuple[int, int], list[tuple[slice, slice]]] = {}
    for rows, cols in blocks:
        areas.setdefault((rows.start // AREA_PX, cols.start // AREA_PX), []).append((rows, cols))
    return list(areas.values())


def _shown(
    scene: xr.DataTree, model: Embedder, hidden: Hidden, rows: slice, cols: slice
) -> AcquisitionSeries | None:
    """Visible acquisitions of the hidden sensor that are near to a hidden day; None where there are none."""
    series = read_acquisitions(scene, model.config.specs[hidden.sensor], target_grid(scene), rows, cols)
    if series is None:
        return None
    # Residuals of hidden acquisitions must not leak in: ``keep`` leaves them out, as it does for the fusion.
    near = np.abs(series.day[:, None] - np.array(hidden.days)).min(1) <= RESIDUAL_DAYS
    near &= hidden.keep(hidden.sensor, series.day) & series.valid.any((1, 2))
    return series.select(near) if near.any() else None


def _corrected(decoded: np.ndarray, hidden: Hidden, shown: AcquisitionSeries, causal: bool) -> np.ndarray:
    """Decoded hidden days (time, band, y, x) of an area, corrected by the residuals of what is shown."""
    first = len(hidden.days)
    # (time shown, band, y, x) measured less decoded, on clear pixels.
    residual = np.where(shown.valid[:, None], shown.values - decoded[first:], np.nan)
    # (time, band, y, x) -> (time, pixel, band)
    value, residual = (
        maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1) for maps in (decoded[:first], residual)
    )
    value = correct_area(np.ascontiguousarray(value), np.array(hidden.days), shown.day, residual, causal)
    return value.transpose(0, 2, 1).reshape(decoded[:first].shape)


@torch.inference_mode()
def _block(
    scene: xr.DataTree,
    model: Embedder,
    hidden: Hidden,
    query: Sequence[int],
    rows: slice,
    cols: slice,
    causal: bool,
    features: int | None,
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """Of a block, strip by strip: its first pixel, and the decoded mean and sigma (pixel, query, band)."""
    tokens = {}
    for name, spec in model.config.specs.items():
        series = read_acquisitions(scene, spec, target_grid(scene), rows, cols, HALO_PX)
        if series is None:
            continue
        visible: AcquisitionSeries = series.select(hidden.keep(name, series.day))
        if len(visible.day):
            tokens[name] = batched_forward.encode(model, name, visible)
    pixels = (rows.stop - rows.start) * (cols.stop - cols.start)
    days = torch.tensor([query], device=model.scale.device)
    for start in range(0, pixels, batched_forward.STRIP_PX):
        strip = slice(start, min(start + batched_forward.STRIP_PX, pixels))
        fusion_output = model.embed({name: t.pixels(strip) for name, t in tokens.items()}, days, causal)
        if features is not None:
            # As in training on prefixes, see ``models.training``.
            fusion_output.z[..., features:] = 0
        # (1, query, pixel, band) of one area to (pixel, query, band)
        decoder, log_sigma = model.decoders[hidden.sensor], fusion_output.log_sigma[hidden.sensor]
        mean, sigma = (
            output[0].transpose(0, 1) for output in (decoder(fusion_output.z), decoder.sigma(log_sigma))
        )
        yield start, (mean.cpu().numpy(), sigma.cpu().numpy())
