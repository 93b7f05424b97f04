"""Training of the GPP head, with a model card that says which rows and landscapes it was fitted on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings import metrics
from fluxlens.embeddings.progress import Steps
from fluxlens.embeddings.training.gpp_pixel_days import Landscape
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import COVERAGE, NORMAL_90

LANDSCAPES = 128
"""Simulated landscapes behind the shipped daily head."""

INSIDE_GAP_DAYS = 15
"""Farther than this from a clear acquisition, a day lies in a gap of 30 days or more."""

VEGETATED_GPP = 0.3
"""gC m-2 d-1: pixels with a lower yearly mean are not scored, their GPP hardly varies."""


def run(
    out: str | Path,
    table_path: str | Path | None = None,
    seed: int = 0,
    model: str = "default",
    towers: tuple[str, ...] = (),
    count: int = LANDSCAPES,
    sources: str = "",
    land: tuple[str, ...] = (),
) -> Steps[str]:
    """Train the GPP head.

    Parameters
    ----------
    out
        File to write.
    table_path
        A further table of measured tower-days.
    seed
        Of the head.
    model
        Name or path of the embedder.
    towers, count, sources, land
        As ``daily`` takes them.

    Yields
    ------
    message, share done

    Returns
    -------
    str
        Digest of the head.
    """
    paths = towers if table_path is None else (str(table_path), *towers)
    return (yield from daily(out, count, model, seed, paths, sources, land))


def daily(
    out: str | Path | None = None,
    count: int = LANDSCAPES,
    model: str = "default",
    seed: int = 0,
    towers: tuple[str, ...] = (),
    sources: str = "",
    land: tuple[str, ...] = (),
) -> Steps[str]:
    """Train the daily head on simulated landscapes and on measured towers.

    Each climate of the landscapes and each tower is left out once. The band is set by the towers left out, or without
    towers by the climates left out.

    Parameters
    ----------
    out
        File to write; None for the place of the shipped head.
    count
        Landscapes to simulate.
    model
        Name or path of the embedder.
    seed
        Of the head's initial weights and batches.
    towers
        Tables of measured tower-days, as ``gpp_towers.read`` takes them.
    sources
        What they are and their licences, for the model card.
    land
        Folders of measured land, as ``gpp_domain.measured_land`` takes them, two or more: ordinary land that maps shall
        not flag as unlike any. Without them the limit of maps is that of all that taught.

    Yields
    ------
    message, share done

    Returns
    -------
    str
        Digest of the head.

    Raises
    ------
    InputError
        When there is land without towers.
    """
    from fluxlens.embeddings.gpp import cubes
    from fluxlens.embeddings.training import gpp_domain, gpp_pixel_days, gpp_towers
    from fluxlens.models import checkpoints
    from fluxlens.models.gpp.training import fit

    if land and not towers:
        raise InputError("Got --measured with train gpp without --towers, need both; add towers.")
    embedder = checkpoints.load(model, "cpu")
    # Before hours of training: a folder without land is told at once.
    measured_land = {Path(folder).name: gpp_domain.measured_land(folder, embedder, seed) for folder in land}
    landscapes = yield from gpp_pixel_days.landscapes(embedder, count, 0.5)
    simulated = gpp_pixel_days.flat(landscapes)
    card = _card_of_landscapes(count, embedder.digest, has_towers=bool(towers))
    measured = None
    if towers:
        yield "reading towers", 0.5
        days = gpp_towers.read(towers, embedder)
        predicted = yield from gpp_towers.leave_site_out(days, simulated, seed)
        measured = gpp_towers.pixel_days(days, np.ones(len(days.frame), bool))
        card |= _card_of_towers(days.frame, card["taught_by"], sources)
        card["left_out_towers"] = gpp_towers.scores(predicted)
    # Also with towers: the card says how the head does in climates left out of training.
    result, ratio = yield from leave_climate_out(landscapes, seed, measured)
    card["left_out_climates"] = result
    if towers:
        net = gpp_towers.fit_head(days, np.ones(len(days.frame), bool), simulated, seed)
        gpp_towers.set_ood_limits(net, predicted)
        # The shipped net learns from all; its band is that of what was left out.
        gpp_towers.set_band(net, predicted)
        if land:
            kind = days.frame["kind"].values
            training = [simulated.z.numpy(), *(days.z[kind == one] for one in np.unique(kind))]
            flagged = yield from gpp_domain.set_map_domain(net, embedder, training, measured_land, seed)
            # Share of each set that is flagged when it was left out.
            card["map_domain"] = {name: round(share, 4) for name, share in flagged.items()}
    else:
        net = _net(embedder.features, seed)
        fit(net, simulated, seed=seed)
        # From a quantile of |error| / spread to a factor on the half width of a normal distribution.
        net.interval_scale.fill_(float(np.quantile(ratio, COVERAGE)) / NORMAL_90)
    # What the network is built from, before its weights are loaded.
    config = {name: getattr(net.config, name) for name in ("features", "hidden", "correction")}
    config |= {"model_digest": embedder.digest}
    place = out or checkpoints.WEIGHTS / cubes.WEIGHTS
    return checkpoints.save_head(place, cubes.KIND, net.state_dict(), config, card)


def _card_of_landscapes(count: int, embedding_model: str, has_towers: bool) -> dict:
    """What a model card says of a head and of the ``count`` landscapes it was trained on."""
    from fluxlens.embeddings.training.gpp_pixel_days import FIRST_SEED, PIXELS

    return {
        "what": "daily GPP, gC m-2 d-1, of a pixel from its daily embedding and daily weather; 90 % band of what a"
        " tower would measure",
        "taught_by": f"{count} simulated landscapes, seeds {FIRST_SEED} to {FIRST_SEED + count - 1},"
        f" {PIXELS} pixels each" + ("" if has_towers else "; no measured GPP"),
        "embedding_model": embedding_model,
        "licence": "CC0-1.0 (simulated)",
    }


def _card_of_towers(frame: pd.DataFrame, simulated: str, sources: str) -> dict:
    """What a model card says of measured tower-days (``site``, ``kind``) beside ``simulated`` land."""
    return {
        "taught_by": f"{simulated}, and {len(frame)} measured days at {frame['site'].nunique()} towers",
        "measured_towers": {
            kind: sorted(rows["site"].unique().tolist()) for kind, rows in frame.groupby("kind")
        },
        "measured_days": {kind: len(rows) for kind, rows in frame.groupby("kind")},
        "measured_sources": sources or "not given",
        "licence": "CC0-1.0 (simulated); measured rows: see measured_sources",
    }


def leave_climate_out(
    landscapes: list[Landscape], seed: int = 0, measured=None
) -> Steps[tuple[dict, np.ndarray]]:
    """Predict each climate by a head fitted on the other climates.

    Parameters
    ----------
    landscapes
        Landscapes of two climates or more.
    seed
        Of the heads' initial weights and batches.
    measured
        ``models.gpp.training.PixelDays`` of towers to learn from beside, or None.

    Yields
    ------
    message, share done

    Returns
    -------
    scores
        Per climate: see ``_scores``, and the coverage of a band set by the other climates.
    ratio
        (measurement,) absolute error over predicted spread, of all climates.

    Raises
    ------
    InputError
        When there is one climate only.
    """
    from fluxlens.embeddings.training import gpp_pixel_days, gpp_towers
    from fluxlens.models.gpp.training import fit

    names = sorted({one.climate for one in landscapes})
    if len(names) < 2:
        raise InputError(f"Got landscapes of {len(names)} climate, need two or more; simulate more of them.")
    result, ratios = {}, {}
    for i, name in enumerate(names):
        yield f"{name} left out", 0.75 + 0.2 * i / len(names)
        net = _net(landscapes[0].z.shape[-1], seed)
        rest = gpp_pixel_days.flat([one for one in landscapes if one.climate != name])
        fit(net, gpp_towers.joined(measured, rest), seed=seed)
        held_out = [one for one in landscapes if one.climate == name]
        predictions = [predict(net, one) for one in held_out]
        # (pixel, day) each, in units of the predicted spread
        errors = [
            np.abs(one.measured - mean) / spread
            for one, (mean, spread) in zip(held_out, predictions, strict=True)
        ]
        # Days in a tower's gaps have no measurement.
        ratios[name] = np.concatenate([error[np.isfinite(error)] for error in errors])
        result[name] = _scores(held_out, [mean for mean, _ in predictions])
    for name in names:
        # A band set by its own climate would be right by construction.
        width = np.quantile(np.concatenate([ratios[other] for other in names if other != name]), COVERAGE)
        result[name]["coverage"] = float((ratios[name] <= width).mean())
    return result, np.concatenate(list(ratios.values()))


def predict(net, one: Landscape) -> tuple[np.ndarray, np.ndarray]:
    """Predict the pixels of a landscape.

    Parameters
    ----------
    net
        ``models.gpp.daily_head.DailyHead``.
    one
        The landscape.

    Returns
    -------
    mean, spread
        (pixel, day) mean and standard deviation, gC m-2 d-1.
    """
    import torch

    with torch.inference_mode():
        mean, spread = net(
            *(torch.from_numpy(array.astype(np.float32)) for array in (one.z, one.sw, one.drivers))
        )
    return mean.numpy(), spread.numpy()


def _scores(landscapes: list[Landscape], means: list[np.ndarray]) -> dict[str, float]:
    """Daily scores of vegetated pixels with all weather: median over pixels, all pooled, and inside long gaps.

    Gaps lie in dark months, where GPP varies less: their NSE is against that smaller spread, their RMSE compares.
    """
    # Pixels without all weather are excluded: they are trained to do worse.
    own, pairs, gaps = [], [], []
    for one, mean in zip(landscapes, means, strict=True):
        for p in np.flatnonzero(one.has_all_weather & (one.true.mean(1) > VEGETATED_GPP)):
            own.append(metrics.nse(one.true[p], mean[p]))
            pairs.append((one.true[p], mean[p]))
            # -1 is no acquisition at all: the deepest gap.
            far = (one.days_from_s2[p] > INSIDE_GAP_DAYS) | (one.days_from_s2[p] < 0)
            gaps.append((one.true[p][far], mean[p][far]))
    pooled, inside = (
        tuple(np.concatenate(columns) for columns in zip(*group, strict=True)) for group in (pairs, gaps)
    )
    return {
        "landscapes": len(landscapes),
        "median_pixel_nse": float(np.median(own)),
        "nse": metrics.nse(*pooled),
        "rmse": metrics.rmse(*pooled),
        "nse_in_gaps": metrics.nse(*inside),
        "rmse_in_gaps": metrics.rmse(*inside),
        "share_in_gaps": float(len(inside[0]) / len(pooled[0])),
    }


def _net(features: int, seed: int):
    import torch
    from fluxlens.models.gpp.daily_head import Config, DailyHead

    torch.manual_seed(seed)  # the same command writes the same weights
    return DailyHead(Config(features))
