"""Daily GPP of embedding cubes, pixel series or whole maps, with a 90 % band and an out-of-distribution flag.

Long on purpose: which cubes a head can read, and what it makes of them, must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.gpp import calibration_file
from fluxlens.embeddings.gpp.calibration import DayAdjustment, DayTerms
from fluxlens.embeddings.gpp.calibration_file import Calibration
from fluxlens.embeddings.gpp.drivers import daily_drivers, latitude, pixel_drivers
from fluxlens.embeddings.scenes import reflectance_check
from fluxlens.embeddings.scenes.schema import WEATHER
from fluxlens.embeddings.store.quantise import FEATURE_MISSING
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import NORMAL_90

from fluxlens import embeddings

WEIGHTS = "gpp.safetensors"

EARLIER_WEIGHTS = ("gpp_v1.safetensors", "gpp_v2.safetensors", "gpp_v3.safetensors")
"""Heads of earlier releases, for stores whose embeddings were made by the weights of those releases."""

KIND = "daily"

CALIBRATION_ATTR = "gpp_calibration_json"
"""Attribute of a cube with the text of a calibration: entries of a catalog may carry one."""

CHUNK = 8192
"""Pixel-days per call of the network: the hidden layers fit a core's cache, and memory is bounded."""

LONG_NAMES = {
    "gpp": "gross primary production",
    "gpp_lo": "lower end of the 90 % band of what a tower would measure",
    "gpp_hi": "upper end of the 90 % band of what a tower would measure",
    "ood": "embedding or weather unlike any that taught the head, or reflectance that no land has",
}


@dataclass(frozen=True)
class DailyGppHead:
    """A trained daily head, and which embeddings it can read.

    Parameters
    ----------
    net
        ``models.gpp.daily_head.DailyHead``, in evaluation mode (not named in the signature: torch is slow to import).
    model_digest
        Digest of the embedder whose embeddings it was fitted on.
    digest
        Digest of the head's own weights.
    card
        Model card: what it was fitted on.
    """

    net: Any
    model_digest: str
    digest: str
    card: dict

    def predict_rows(
        self, z: np.ndarray, sw: np.ndarray, drivers: np.ndarray, fine: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict single pixel-days, as ``predict`` does those of a cube.

        Parameters
        ----------
        z
            (row, feature) embedding, dequantised.
        sw
            (row,) daily mean shortwave radiation, W m-2.
        drivers
            (row, driver) scaled, in the order of ``models.gpp.drivers.DRIVERS``.
        fine
            (row,) bool, whether a row shows land at 10 to 30 m, as ``table_resolution.is_fine`` tells; others go
            without the correction that was learnt there. None: all do.

        Returns
        -------
        mean, spread, ood
            (row,) mean and standard deviation, gC m-2 d-1, as wide as the band; bool.
        """
        net = self.net
        fine = np.ones(len(z), bool) if fine is None else np.asarray(fine, bool)
        mean, spread, distance, air = predict_pixel_days(net, z, sw, drivers, fine)
        if not net.config.correction:  # heads of earlier releases have one limit and one factor for all
            return mean, float(net.interval_scale) * spread, distance > float(net.far)
        # Rows of 500 m have a factor of their own: the correction has its own spread.
        factor = np.where(fine, float(net.interval_scale), float(net.coarse_interval_scale))
        return (
            mean,
            factor * spread,
            (distance > float(net.far_of_rows)) | (air > float(net.air_far)),
        )


def predict_pixel_days(
    net: Any, z: np.ndarray, sw: np.ndarray, drivers: np.ndarray, fine: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a network says of single pixel-days: of tables, of towers that teach and of towers left out.

    Parameters
    ----------
    net
        ``models.gpp.daily_head.DailyHead``.
    z, sw, drivers, fine
        As ``DailyGppHead.predict_rows`` takes them.

    Returns
    -------
    mean, spread, distance, air_distance
        (row,) mean and standard deviation before the band is widened, gC m-2 d-1, and the distances of embedding and
        weather from the rows that taught, standard deviations.
    """
    import torch

    inputs = [torch.from_numpy(np.asarray(array, np.float32)) for array in (z, sw, drivers)]
    with torch.inference_mode():
        # Rows at 10 to 30 m with the correction; coarser ones, where there are both, in a second pass without it.
        mean, spread = (array.numpy().astype(float) for array in net(*inputs, corrected=bool(fine.any())))
        if fine.any() and not fine.all():
            own = (array.numpy().astype(float) for array in net(*inputs, corrected=False))
            mean, spread = (
                np.where(fine, one, other) for one, other in zip((mean, spread), own, strict=True)
            )
        return mean, spread, net.mahalanobis(inputs[0]).numpy(), net.air_distance(inputs[2]).numpy()


@cache
def load(path: str | Path = "default") -> DailyGppHead:
    """Read a daily head, once per path and process.

    Parameters
    ----------
    path
        ``default`` for the shipped head, or a file that ``fluxlens train gpp`` wrote.

    Returns
    -------
    DailyGppHead
        Without gradients, on the CPU.

    Raises
    ------
    InputError
        When the file is not a daily head.
    """
    import torch
    from fluxlens.models import checkpoints
    from fluxlens.models.gpp.daily_head import Config, DailyHead

    path = checkpoints.WEIGHTS / WEIGHTS if str(path) == "default" else Path(path)
    tensors, config, card, digest = checkpoints.load_head(path, KIND)
    with checkpoints.building(path, "a head"):
        # Heads of earlier releases have no correction.
        net = DailyHead(Config(config["features"], config["hidden"], config.get("correction", 0)))
        # A head reads the embeddings of one model: other weights number their features otherwise.
        made_for = config["model_digest"]
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"Got {path.name}, which does not fit its configuration, need a whole head; run `fluxlens train gpp`."
        ) from error
    net = net.eval().requires_grad_(False).to(torch.float32)
    return DailyGppHead(net, made_for, digest, card)


def load_for(attrs: dict) -> DailyGppHead:
    """The shipped head that reads the embeddings of a cube.

    Parameters
    ----------
    attrs
        Attributes of the cube; ``model_digest`` counts.

    Returns
    -------
    DailyGppHead
        The current head, unless an earlier one was fitted on just these embeddings.
    """
    from fluxlens.models import checkpoints

    head = load("default")
    if is_compatible(attrs, head):
        return head
    # Read only for stores of earlier releases; each file is small and read once.
    earlier = [load(checkpoints.WEIGHTS / name) for name in EARLIER_WEIGHTS]
    return next((one for one in earlier if is_compatible(attrs, one)), head)


def predict(
    cube: xr.Dataset,
    weather: xr.Dataset | None = None,
    head: DailyGppHead | str | Path | None = None,
    calibration: Calibration | str | Path | None = None,
    threads: int = 1,
    with_ood: bool = True,
) -> xr.Dataset:
    """Predict daily GPP of every pixel and day of an embedding cube.

    Parameters
    ----------
    cube
        ``embedding`` int8 with a dim ``feature``, ``scale`` (feature), ``time``; ``days_from_s2`` and ``sigma`` where
        there are. Any other dims, ``time`` included, may be missing. Latitude comes from its coordinates or from its
        attribute ``lat``.
    weather
        Daily ``sw_in`` (W m-2), ``tair`` (degC), ``vpd`` (hPa), ``precip`` (mm d-1) on ``time``. Variables, days or all
        of it may be missing; then day length and clear-sky radiation stand in and the band is wider. It may reach
        beyond the days of the cube: the recent past counts.
    head
        A loaded head, the path of one, or None for the shipped one that reads the cube's embeddings.
    calibration
        To measured towers: of ``calibrate_series``, ``calibrate_table`` or ``load_calibration``, or the path of its
        file. None: that in the cube's attribute ``gpp_calibration_json``, if there is one.
    threads
        Threads among which large cubes are divided, beside those of the caller; the numbers are the same.
    with_ood
        Whether ``ood`` is computed, which takes a seventh of the time; maps on screen do not show it.

    Returns
    -------
    Dataset
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (float32, gC m-2 d-1) and ``ood`` (bool) with the dims of the cube less
        ``feature``. The band holds 90 % of what towers would measure; its lower end may be negative.

    Raises
    ------
    InputError
        When the cube is not an embedding cube, has no place, or was made by another model than the head was fitted on,
        and when the calibration was made with another head.
    """
    import torch

    if not isinstance(head, DailyGppHead):
        head = load(head) if head else load_for(cube.attrs)
    _check(cube, head)
    _check_weather(weather)
    has_days = "time" in cube["embedding"].dims
    if not has_days:
        # ``isel(time=0)`` leaves the day as a coordinate; predicted as a cube of one day, which is taken off again.
        per_day = [name for name in ("embedding", "days_from_s2", "sigma") if name in cube]
        cube = cube.assign({name: cube[name].expand_dims("time") for name in per_day})
    # Drivers once per day for all pixels, whatever the size of the map.
    days = pd.DatetimeIndex(np.atleast_1d(cube["time"].values)).normalize()
    sw, drivers = daily_drivers(weather, days, latitude(cube))
    active_calibration = calibration_of(cube.attrs, calibration)
    # One site or the set's mean: a map has no column of sites.
    adjust = None
    if active_calibration is not None:
        adjust = active_calibration.head(KIND, head.digest).pooled.of_days(DayTerms.from_drivers(sw, drivers))
    # The embedding may have been transposed by its reader: time first, feature last.
    order = ("time", *(d for d in cube["embedding"].dims if d not in ("time", "feature")), "feature")
    block = cube["embedding"].transpose(*order)
    dims = block.dims[:-1]
    # All dims but time become one of pixels: what a head takes.
    values = block.values.reshape(len(days), -1, block.shape[-1])  # (day, pixel, feature)
    gap, sigma = (
        cube[name].transpose(*dims).values.reshape(values.shape[:2]) if name in cube else None
        for name in ("days_from_s2", "sigma")
    )
    scale = torch.from_numpy(cube["scale"].values.astype(np.float32))
    with torch.inference_mode():
        predict_block = head.net.for_days(
            scale, torch.from_numpy(sw), torch.from_numpy(drivers), with_distance=with_ood
        )
        # Weather unlike any that taught makes the whole day out of distribution.
        is_ood_day = head.net.is_air_ood(torch.from_numpy(drivers)).numpy()  # (day)
    # Of the scene as a whole: the embedding of a single day mends an offset in part, and hides it so.
    is_ood_day = is_ood_day | bool(cube.attrs.get(reflectance_check.ATTR)) if with_ood else None
    out = _predict_pixels(head, predict_block, values, gap, sigma, is_ood_day, adjust, threads)
    # The dim feature is gone, and so are its coordinates.
    coords = {name: c for name, c in cube.coords.items() if "feature" not in c.dims}
    result = xr.Dataset(
        {name: (dims, array.reshape(block.shape[:-1])) for name, array in out.items()},
        coords,
        _attrs(cube, weather, head, active_calibration),
    )
    for name in result:
        result[name].attrs = {"long_name": LONG_NAMES[name], "units": "1" if name == "ood" else "gC m-2 d-1"}
    return result if has_days else result.isel(time=0)


def _predict_pixels(
    head: DailyGppHead,
    predict_block: Callable,
    values: np.ndarray,
    gap: np.ndarray | None,
    sigma: np.ndarray | None,
    is_ood_day: np.ndarray | None,
    adjust: DayAdjustment | None,
    threads: int,
) -> dict[str, np.ndarray]:
    """GPP with its band and flag, each (day, pixel), in pieces of bounded memory.

    ``predict_block`` is that of ``DailyHead.for_days``; ``values`` (day, pixel, feature) int8 steps; ``gap`` (day,
    pixel) days from Sentinel-2 and ``sigma`` (day, pixel), None where the cube has none; ``is_ood_day`` (day,) bool,
    None where no flag is asked for;
    ``threads`` as of ``predict``.
    """
    import torch

    out = {name: np.empty(values.shape[:2], np.float32) for name in GPP_COLUMNS}
    if is_ood_day is not None:
        out["ood"] = np.zeros(values.shape[:2], bool)

    def predict_chunk(chunk: tuple[slice, slice]) -> None:
        """Predict some days of some pixels, and write them into ``out``."""
        at, pixels = chunk
        # Still quantised: the network multiplies by the scale inside its first product.
        steps = torch.from_numpy(np.ascontiguousarray(values[at, pixels])).to(torch.float32)
        pixel = pixel_drivers(
            None if gap is None else gap[at, pixels],
            None if sigma is None else sigma[at, pixels],
            tuple(steps.shape[:2]),
        )
        with torch.inference_mode():
            mean, spread, distance = predict_block(at, steps, torch.from_numpy(pixel))
            # From the standard deviation to half of the 90 % band, widened to its coverage at towers left out.
            half = NORMAL_90 * head.net.interval_scale * spread
        block_gpp = mean.numpy(), (mean - half).numpy(), (mean + half).numpy()
        if adjust is not None:
            block_gpp = adjust.apply(*block_gpp, at)
        # Pixels that no store of a mosaic holds have no GPP, and nothing that could be unlike the training data.
        # The first feature tells: no feature of a pixel that is held has that code.
        unobserved = values[at, pixels, 0] == FEATURE_MISSING
        for name, value in zip(GPP_COLUMNS, block_gpp, strict=True):
            out[name][at, pixels] = np.where(unobserved, np.float32(np.nan), value)
        if is_ood_day is not None:
            is_ood = (distance > head.net.map_limit).numpy() | is_ood_day[at, None]
            out["ood"][at, pixels] = is_ood & ~unobserved

    chunks = list(_chunks(*values.shape[:2]))
    if min(threads, len(chunks)) > 1:
        # Nearly all of a chunk's time is in loops without Python's lock. One thread of torch in each: a new thread
        # would start a team of OpenMP threads for its few products, which takes longer than they do (800 x 800 pixels
        # on two cores: 330 ms; 270 ms with one thread, 404 ms without the pool).
        caller_threads = torch.get_num_threads()
        workers = min(threads, len(chunks))
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(predict_chunk, chunks))
        # Torch hands the number set last to threads that start later: theirs is the caller's again.
        torch.set_num_threads(caller_threads)
    else:
        for chunk in chunks:
            predict_chunk(chunk)
    return out


def _chunks(days: int, pixels: int) -> Iterator[tuple[slice, slice]]:
    """Slices of days and of pixels, of about ``CHUNK`` pixel-days each."""
    # Whole rows of pixels as long as they fit, then several days together: long contiguous reads.
    wide = min(pixels, CHUNK)
    long = max(1, CHUNK // max(wide, 1))
    for first in range(0, days, long):
        for left in range(0, pixels, wide):
            yield slice(first, first + long), slice(left, left + wide)


def is_compatible(attrs: dict, head: DailyGppHead | None = None) -> bool:
    """Whether a head was fitted on embeddings of the model that made a cube.

    Parameters
    ----------
    attrs
        Attributes of the cube; ``model_digest`` counts.
    head
        A loaded head, or None for the shipped one.

    Returns
    -------
    bool
        True also where either does not say which model.
    """
    # Only a contradiction is refused: a cube put together by hand says nothing of its model.
    made, need = str(attrs.get("model_digest", "")), (head or load_for(attrs)).model_digest
    return not (made and need and made != need)


def _check(cube: xr.Dataset, head: DailyGppHead) -> None:
    lost = [name for name in ("embedding", "scale", "time") if name not in cube.variables]
    if lost:
        raise InputError(
            f"Got a cube without {', '.join(lost)}, need embeddings as `fluxlens embed` writes them; embed a scene."
        )
    if not is_compatible(cube.attrs, head):
        raise InputError(
            f"Got embeddings of the model {cube.attrs['model_digest']}, need those of {head.model_digest},"
            " on which the GPP head was trained; embed the scene again or run `fluxlens train gpp`."
        )


def _check_weather(weather: Any) -> None:
    """Refuse what holds no weather by its names: without a word it would count as no weather at all."""
    if weather is None:
        return
    names = [str(name) for name in getattr(weather, "data_vars", weather)]
    # A node of a scene is as good as a dataset; a whole scene has nodes below it.
    is_table = isinstance(weather, xr.Dataset | xr.DataTree) and not getattr(weather, "children", None)
    if is_table and (set(names) & set(WEATHER) or not names):
        return
    got = f"a {type(weather).__name__} of {', '.join(names[:6]) or 'nothing by these names'}"
    raise InputError(
        f"Got weather as {got}, need a Dataset with some of {', '.join(WEATHER)} on time, such as"
        ' scene["weather"].to_dataset(); rename or convert it.'
    )


def calibration_of(attrs: dict, calibration: Calibration | str | Path | None) -> Calibration | None:
    """The calibration given, or that in the attributes of a cube; None where there is neither.

    Parameters
    ----------
    attrs
        Of a cube.
    calibration
        A calibration, the path of one, or None.
    """
    if calibration is None and CALIBRATION_ATTR in attrs:
        return calibration_file.from_text(str(attrs[CALIBRATION_ATTR]), CALIBRATION_ATTR)
    if calibration is None or isinstance(calibration, Calibration):
        return calibration
    return calibration_file.load(calibration)


def _attrs(
    cube: xr.Dataset, weather: xr.Dataset | None, head: DailyGppHead, calibration: Calibration | None
) -> dict:
    if calibration is not None:
        label = {"gpp_calibration": calibration.label, "gpp_calibration_digest": calibration.digest}
    else:
        label = {}
    copied = {
        name: cube.attrs[name]
        for name in ("simulated", "model", "model_digest", "scene_id", "scene_digest", reflectance_check.ATTR)
        if name in cube.attrs
    }
    return copied | {
        "title": f"Daily GPP from {cube.attrs.get('title', 'embeddings')}",
        "gpp_head_digest": head.digest,
        "weather": "none: day length and clear-sky light"
        if weather is None
        else ", ".join(map(str, weather.data_vars)),
        "software": f"fluxlens {embeddings.__version__}",
        "Conventions": "CF-1.11",
        **label,
    }
