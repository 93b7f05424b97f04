"""Where ordinary land lies in the embedding of maps and series, for the out-of-distribution flag of the GPP head.

Rows that teach GPP are spectra of six bands without neighbours or radar. The embeddings of cubes vary in directions in
which those hardly do: a measured Belgian cube lay far along axes of small variance, and its dense crops and dry soil
were flagged on half of the days of May and June. So the domain of maps is that of the rows, of simulated land and of
sets of measured land together, and its limit comes from sets of measured land left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from fluxlens.embeddings.inference import engine
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.store.quantise import FEATURE_MISSING
from fluxlens.embeddings.training.series import SeriesSource
from fluxlens.models.batch import Tokens
from fluxlens.models.embedder import Embedder
from fluxlens.models.encoder import encode_isolated
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.daily_head import RIDGE, DailyHead, mahalanobis_distance

TRAINING_SHARE = 0.1
"""Share in the domain of rows and simulated land, which no map looks like; measured land has the rest, its sets alike.
With 0.4 dry sand, burnt land and reflectance in wrong units pass more often, and measured farmland is flagged as
often."""
MAP_SHARE = 0.88
"""Share of the days of measured land left out that is within the limit of maps: with 0.9 half of burnt land passes,
with 0.86 a tenth of measured farmland in May and June is flagged."""
CLEAR_BLUE, CLEAR_NDSI = 0.12, 0.2
"""Decoded blue reflectance, and snow index (Hall et al. 1995), above which a day shows haze, cloud or snow, which shall
stay strange."""
SCENE_SIDE_PX = 64
SCENE_SAMPLE = 4000
SERIES, SERIES_DAYS = 80, 40
"""Pixel-days of a scene, series of a set and days of a series: samples that settle a covariance of 32 features."""
LEAST_ACQUISITIONS = 8
"""A series of fewer shows the model's prior rather than land."""


def measured_land(folder: str | Path, model: Embedder, seed: int = 0) -> np.ndarray:
    """Embeddings of the clear days of measured land.

    Parameters
    ----------
    folder
        Series tables, or scenes, as ``train fusion --measured`` takes them.
    model
        The embedder.
    seed
        Of the sample.

    Returns
    -------
    ndarray
        (row, feature) dequantised.

    Raises
    ------
    InputError
        Where the folder holds neither, or no clear day.
    """
    from fluxlens.embeddings.readers import open_scene
    from fluxlens.embeddings.readers.series_sets import find_tables, is_table_folder
    from fluxlens.embeddings.training.series import from_table

    # One generator for all tables and scenes of the folder: the same folder gives the same sample.
    rng = np.random.default_rng(seed)
    root, by_place = Path(folder), []
    if is_table_folder(root):
        for name, table in find_tables(root).items():
            by_place += _of_series(from_table(name, table), model, rng)
    elif root.is_dir():
        for path in sorted(root.iterdir()):
            if path.is_dir() or path.suffix in (".nc", ".zarr"):
                by_place.append(_of_scene(open_scene(path), model, rng))
    z = np.concatenate(
        [rows for rows in by_place if len(rows)] or [np.empty((0, model.features), np.float32)]
    )
    z = z[shows_clear_land(z, model)]
    # Ten rows per feature: a covariance of fewer is singular in places, and the ridge would set the distance.
    if len(z) < 10 * z.shape[1]:
        raise InputError(f"Got --measured {folder} with {len(z)} clear days of land, need {10 * z.shape[1]}.")
    return z


def shows_clear_land(z: np.ndarray, model: Embedder) -> np.ndarray:
    """Whether embeddings decode to spectra without haze, cloud or snow.

    Parameters
    ----------
    z
        (row, feature) dequantised.
    model
        The embedder that made them.

    Returns
    -------
    ndarray
        (row,) bool.
    """
    # By what the embedding decodes to and not by masks: cloud masks miss haze, and tables of plots have none.
    bands = model.config.specs["s2"].bands
    with torch.inference_mode():
        reflectance = model.decoders["s2"](torch.from_numpy(np.asarray(z, np.float32))).numpy()  # (row, band)
    blue, green, swir = (reflectance[:, bands.index(name)] for name in ("B02", "B03", "B11"))
    return (blue < CLEAR_BLUE) & ((green - swir) / np.maximum(green + swir, 1e-3) < CLEAR_NDSI)


def set_map_domain(
    head: DailyHead,
    model: Embedder,
    training: list[np.ndarray],
    measured: dict[str, np.ndarray],
    seed: int = 0,
) -> Steps[dict[str, float]]:
    """Set centre, covariance and limit of maps; nothing else of the head changes.

    Parameters
    ----------
    head
        Fitted, with a correction; changed in place.
    model
        The embedder.
    training
        (row, feature) embeddings of each kind of rows that taught: simulated land, spectra, daily series.
    measured
        (row, feature) of ``measured_land``, by name of the set.
    seed
        Of the samples.

    Yields
    ------
    message, share done

    Returns
    -------
    dict
        Share of each measured set beyond the limit, when it was left out.

    Raises
    ------
    InputError
        With fewer than two sets of measured land.
    """
    if len(measured) < 2:
        raise InputError(
            f"Got {len(measured)} sets of measured land, need two or more to leave one out; give more."
        )
    rng = np.random.default_rng(seed)
    # Scaled as the network's inputs are, whose centre and size stay: the network was fitted with them.
    centre, size = head.centre.numpy(), head.size.numpy()

    def scaled(z: np.ndarray) -> np.ndarray:
        return (np.asarray(z, np.float64) - centre) / size

    own = [scaled(z[shows_clear_land(z, model)]) for z in training]  # (row, feature) each

    def domain(other_sets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        # The kinds that taught share ``TRAINING_SHARE``, the measured sets the rest, whatever their numbers of rows.
        shares = [TRAINING_SHARE / len(own)] * len(own) + [(1 - TRAINING_SHARE) / len(other_sets)] * len(
            other_sets
        )
        return _moments([*own, *other_sets], shares)

    sets = {name: scaled(z) for name, z in measured.items()}
    distance = {}
    for i, name in enumerate(sets):
        yield f"measured land, {name} left out", i / len(sets)
        other_sets = [z for other, z in sets.items() if other != name]
        middle, precision = (torch.from_numpy(moment) for moment in domain(other_sets))
        distance[name] = mahalanobis_distance(torch.from_numpy(sets[name]) - middle, precision).numpy()
    # Every set counts alike, however many pixels it has.
    least = min(len(one) for one in distance.values())
    pooled = np.concatenate([rng.choice(one, least, replace=False) for one in distance.values()])
    limit = float(np.quantile(pooled, MAP_SHARE))
    middle, precision = domain(list(sets.values()))
    head.set_map_domain(torch.from_numpy(middle).float(), torch.from_numpy(precision).float(), limit)
    return {name: float((one > limit).mean()) for name, one in distance.items()}


def _moments(kinds: list[np.ndarray], shares: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse covariance of kinds of land by their shares, whatever their number of rows."""
    middle = sum(share * rows.mean(0) for share, rows in zip(shares, kinds, strict=True))
    cov = sum(
        share * (rows - middle).T @ (rows - middle) / len(rows)
        for share, rows in zip(shares, kinds, strict=True)
    )
    return middle, np.linalg.inv(cov + RIDGE * np.eye(len(cov)))


def _of_scene(scene, model: Embedder, rng: np.random.Generator) -> np.ndarray:
    """Random pixel-days of a corner of a scene, embedded as maps are, with neighbours: (row, feature)."""
    side = slice(0, SCENE_SIDE_PX)
    # The engine itself and not isolated pixels: the domain must hold what neighbours and radar do to an embedding.
    cube = engine.compute(scene, model, window=(side, side))
    steps = cube["embedding"].values.reshape(-1, cube.sizes["feature"])  # (pixel-day, feature) int8
    # Pixels outside a field or a mosaic hold nothing.
    observed = np.flatnonzero((steps != FEATURE_MISSING).any(1))
    rows = rng.choice(observed, min(SCENE_SAMPLE, len(observed)), replace=False)
    return (steps[rows] * cube["scale"].values).astype(np.float32)


def _of_series(source: SeriesSource, model: Embedder, rng: np.random.Generator) -> list[np.ndarray]:
    """Random days of random series of a set, with radar where there is: (day, feature) each."""
    out = []
    for i in rng.permutation(source.count)[:SERIES]:
        tokens, last = {}, None
        for sensor, edges in source.edges.items():
            at = slice(*edges[i : i + 2])
            day = source.day[sensor][at]
            if sensor == "s2":
                last = day
            if len(day):
                token = encode_isolated(model.encoders[sensor], torch.from_numpy(source.values[sensor][at]))
                token = token[None, :, None]  # (area, acquisition, pixel, channel)
                valid = torch.ones(token.shape[:3], dtype=torch.bool)
                tokens[sensor] = Tokens(token, valid, torch.from_numpy(day.astype(np.int64))[None])
        if last is None or len(last) < LEAST_ACQUISITIONS:
            continue
        # Any day between first and last, gaps included: maps are asked for every day.
        days = np.sort(rng.integers(last[0], last[-1] + 1, SERIES_DAYS))
        with torch.inference_mode():
            out.append(model.embed(tokens, torch.from_numpy(days)[None]).z[0, :, 0].numpy())
    return out
