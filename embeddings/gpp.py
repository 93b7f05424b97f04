"""Daily GPP of embedding cubes: a pixel's series or whole maps, with a 90 % band and a flag for the unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import embeddings
from embeddings.gpp_weather import drivers, latitude, nearness, unsureness
from models.errors import InputError

WEIGHTS = "gpp.safetensors"
KIND = "daily"
NORMAL_90 = 1.6449
CHUNK = 8192
"""Pixel-days asked together: their layers stay in a core's cache, and memory is bounded."""


@dataclass(frozen=True)
class Head:
    """A trained head and which embeddings it understands."""

    net: object
    model_digest: str
    digest: str
    card: dict


@cache
def load(path: str | Path = "default") -> Head:
    """The shipped head, or that of a file."""
    import torch

    from models import heads
    from models.gpp import Config, DailyHead

    path = heads.WEIGHTS / WEIGHTS if str(path) == "default" else Path(path)
    tensors, config, card, digest = heads.load(path, KIND)
    net = DailyHead(Config(config["features"], config["hidden"]))
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"Got {path.name}, which does not fit its configuration, need a whole head; run `fluxlens train gpp`."
        ) from error
    return Head(net.eval().requires_grad_(False).to(torch.float32), config["model_digest"], digest, card)


def predict(
    cube: xr.Dataset, weather: xr.Dataset | None = None, head: Head | str | Path | None = None
) -> xr.Dataset:
    """`gpp`, `gpp_lo`, `gpp_hi` (gC m-2 d-1) and `ood` with the dims of the cube less `feature`.

    ``weather`` (time daily) may lack variables, days or all; then day length and clear-sky light stand in and the
    band is wider. Latitude comes from the cube's coordinates, or its attribute ``lat``. A map of one day may be given
    with the weather of the whole year: the recent past counts.
    """
    import torch

    head = head if isinstance(head, Head) else load(head or "default")
    _check(cube, head)
    days = pd.DatetimeIndex(np.atleast_1d(cube["time"].values)).normalize()
    sw, air = drivers(weather, days, latitude(cube))
    order = ("time", *(d for d in cube["embedding"].dims if d not in ("time", "feature")), "feature")
    block = cube["embedding"].transpose(*order)
    where = block.dims[:-1]
    out = {name: np.empty(block.shape[:-1], np.float32) for name in ("gpp", "gpp_lo", "gpp_hi")}
    out["ood"] = np.zeros(block.shape[:-1], bool)
    scale = torch.from_numpy(cube["scale"].values.astype(np.float32).copy())
    gap, doubt = (_over(cube, name, block) for name in ("days_from_s2", "sigma"))
    values = block.values.reshape(len(days), -1, block.shape[-1])
    flat = {name: part.reshape(values.shape[:2]) for name, part in out.items()}
    gap, doubt = (part if part is None else part.reshape(values.shape[:2]) for part in (gap, doubt))
    with torch.inference_mode():
        ask = head.net.of_days(scale, torch.from_numpy(sw), torch.from_numpy(air))
    for at, part in _parts(*values.shape[:2]):
        steps = torch.from_numpy(np.ascontiguousarray(values[at, part])).to(torch.float32)
        seen = np.zeros((*steps.shape[:2], 2), np.float32)
        if gap is not None:
            seen[..., 0] = nearness(gap[at, part])
        if doubt is not None:
            seen[..., 1] = unsureness(doubt[at, part])
        with torch.inference_mode():
            mean, spread, strange = ask(at, steps, torch.from_numpy(seen))
            half = NORMAL_90 * head.net.widen * spread
        found = {"gpp": mean, "gpp_lo": mean - half, "gpp_hi": mean + half, "ood": strange > head.net.far}
        for name, value in found.items():
            flat[name][at, part] = value.numpy()
    coords = {name: c for name, c in cube.coords.items() if "feature" not in c.dims}
    answer = xr.Dataset(
        {name: (where, value) for name, value in out.items()}, coords, _attrs(cube, weather, head)
    )
    for name, words in LONG_NAMES.items():
        answer[name].attrs = {"long_name": words, "units": "1" if name == "ood" else "gC m-2 d-1"}
    return answer if "time" in cube["embedding"].dims else answer.isel(time=0)


LONG_NAMES = {
    "gpp": "gross primary production",
    "gpp_lo": "lower end of the 90 % band of what a tower would measure",
    "gpp_hi": "upper end of the 90 % band of what a tower would measure",
    "ood": "embedding unlike any that taught the head",
}


def _parts(days: int, pixels: int) -> Iterator[tuple[slice, slice]]:
    """Days and pixels in pieces of about ``CHUNK`` pixel-days."""
    wide = min(pixels, CHUNK)
    long = max(1, CHUNK // max(wide, 1))
    for first in range(0, days, long):
        for left in range(0, pixels, wide):
            yield slice(first, first + long), slice(left, left + wide)


def _over(cube: xr.Dataset, name: str, block: xr.DataArray) -> np.ndarray | None:
    """A variable of the cube on (time, pixels...), None where the cube has none."""
    if name not in cube:
        return None
    return cube[name].transpose(*block.dims[:-1]).values


def knows(attrs: dict, head: Head | None = None) -> bool:
    """Whether the head was taught with the model that made a cube with these attrs."""
    made, need = str(attrs.get("model_digest", "")), (head or load()).model_digest
    return not (made and need and made != need)


def _check(cube: xr.Dataset, head: Head) -> None:
    lost = [name for name in ("embedding", "scale", "time") if name not in cube.variables]
    if lost:
        raise InputError(
            f"Got a cube without {', '.join(lost)}, need embeddings as `fluxlens embed` writes them; embed a scene."
        )
    if not knows(cube.attrs, head):
        raise InputError(
            f"Got embeddings of the model {cube.attrs['model_digest']}, need those of {head.model_digest} that taught"
            " the GPP head; embed the scene again or run `fluxlens train gpp`."
        )


def _attrs(cube: xr.Dataset, weather: xr.Dataset | None, head: Head) -> dict:
    kept = {
        name: cube.attrs[name]
        for name in ("simulated", "model", "model_digest", "scene_id", "scene_digest")
        if name in cube.attrs
    }
    return kept | {
        "title": f"Daily GPP from {cube.attrs.get('title', 'embeddings')}",
        "gpp_head_digest": head.digest,
        "weather": "none: day length and clear-sky light"
        if weather is None
        else ", ".join(map(str, weather.data_vars)),
        "software": f"fluxlens {embeddings.__version__}",
        "Conventions": "CF-1.11",
    }
