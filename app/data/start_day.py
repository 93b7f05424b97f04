"""The day with which a store is shown first: the clearest one of its growing season."""

import datetime as dt

import numpy as np
import pandas as pd
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.scene import SceneData

SEASON_SHARE = 0.5
"""The growing season is where mean GPP is at least this share of its highest value."""
EQUAL_SHARE = 0.01
"""Images whose shares of clear pixels differ by less are equally clear; the one nearer to the peak is taken."""
UNKNOWN_SHARE = 0.5
"""Of the sample out of the head's distribution, from which on its season is not believed."""
TROPICS_DEG, MIDSUMMER_DOY = 15.0, 196
"""Nearer to the equator there is no summer; elsewhere it is greenest in mid July, or half a year later."""


def growing_weight(scene: SceneData) -> np.ndarray:
    """How far each day is in the growing season: (day,), 0-1.

    Parameters
    ----------
    scene : SceneData
        With GPP: the mean prediction over its sample, between whose days it is interpolated. Without, and where most
        of the sample is unlike what the GPP head was taught: the sun's season at its latitude.
    """
    # Of land that the head does not know, its season is not to be believed.
    predicted = scene.sample_prediction
    if predicted is not None and "ood" in predicted and float(predicted.ood.mean()) >= UNKNOWN_SHARE:
        predicted = None
    if predicted is not None:
        gpp = predicted.gpp
        space_dims = [dim for dim in gpp.dims if dim != "time"]
        mean = gpp.mean(space_dims).values
        at = pd.DatetimeIndex(gpp.time.values).normalize()
        # Days without weather have no GPP; a store of a dead season has none above zero, and the sun must do.
        known = np.isfinite(mean)
        if known.any() and mean[known].max() > 0:
            days = scene.days.values.astype(float)
            return np.interp(days, at.values.astype(float)[known], mean[known] / mean[known].max()).clip(0)
    if abs(scene.latitude) < TROPICS_DEG:
        return np.ones(len(scene.days))
    peak = MIDSUMMER_DOY + (0 if scene.latitude > 0 else 182.6)
    return (1 + np.cos(2 * np.pi * (scene.days.day_of_year.values - peak) / 365.25)) / 2


def clearest_day(scene: SceneData, imagery: Imagery) -> dt.date:
    """The clearest day of the growing season; reads no more than clear shares and the sample, which maps need anyway.

    Parameters
    ----------
    scene : SceneData
        Days and sample.
    imagery : Imagery
        Shares of clear pixels, where there is Sentinel-2. Else the sampled day nearest to a clear view is taken.
    """
    weight = growing_weight(scene)
    season = weight >= SEASON_SHARE * weight.max()
    # (day,) of 0-1, NaN on days about which nothing is known
    clear = np.full(len(scene.days), np.nan)
    shares = imagery.clear_shares
    if shares is not None:
        at = scene.days.get_indexer(shares.index)
        clear[at[at >= 0]] = shares.values[at >= 0]
    else:
        sample = scene.sample
        days = sample.days_from_s2 if "days_from_s2" in sample else None
        if days is not None and bool((days >= 0).any()):
            mean = days.where(days >= 0).mean([dim for dim in days.dims if dim != "time"]).values
            at = scene.days.get_indexer(pd.DatetimeIndex(sample.time.values).normalize())
            # Falls from 1 with the distance, so that nearer is clearer, as with shares.
            clear[at] = 1 / (1 + mean)
    candidates = season & np.isfinite(clear)
    if not candidates.any():
        return scene.days[int(weight.argmax())].date()
    best = np.nanmax(clear[candidates])
    # A pixel under a cloud more or less must not move the opening day to the edge of the season.
    equal = candidates & (clear >= best - EQUAL_SHARE)
    return scene.days[int(np.where(equal, weight, -1.0).argmax())].date()
