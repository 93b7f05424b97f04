"""Training of the two GPP heads, and the cards that say which rows and landscapes taught them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from embeddings import gpp_table, metrics
from embeddings.gpp_table import Head
from models.errors import InputError

Steps = Generator[tuple[str, float], None, str]
LANDSCAPES = 128
BAND = 0.90
NORMAL_90 = 1.6449
GAP_DAYS = 15
"""Farther than this from a clear acquisition, a day lies in a gap of 30 days or more."""


def run(
    out: str | Path, table_path: str | Path | None = None, seed: int = 0, model: str = "default"
) -> Steps:
    """The head for tables when measured rows are given, else the daily head on embeddings of ``model``.

    Yields progress, returns the digest.
    """
    if table_path is not None:
        return (yield from table(table_path, out))
    return (yield from daily(out, model=model, seed=seed))


def table(path: str | Path, out: str | Path | None = None, **fit) -> Steps:
    """Teaches the head for tables from measured rows."""
    from models import heads

    rows = gpp_table.read(path, need_gpp=True)
    yield f"learning from {len(rows)} rows", 0.0
    head = Head.fit(rows, **fit)
    digest = gpp_table.save(head, out or heads.WEIGHTS / gpp_table.WEIGHTS, table_card(rows, Path(path).name))
    yield "done", 1.0
    return digest


def table_card(rows, name: str) -> dict:
    """What taught the head for tables."""
    return {
        "what": "GPP (night-time partitioning, gC m-2 d-1) from one surface reflectance spectrum of six bands,"
        " daily weather and the other spectra of the same site; 90 % band for new sites",
        "taught_by": name,
        "rows": int(rows["gpp"].notna().sum()),
        "sites": sorted(rows["site"].unique().tolist()),
        "years": [int(rows["date"].dt.year.min()), int(rows["date"].dt.year.max())],
        "source": "ibm-nasa-geospatial/hls_merra2_gppFlux: HLS v2 surface reflectance (NASA), MERRA-2 (NASA GMAO),"
        " GPP of AmeriFlux, ICOS and FLUXNET towers",
        "licence": "the data: CC BY 4.0; this file holds a process told by pseudo-rows, no row and no GPP of the table",
        "never_used": "LHLAND and SHLAND (a land model's outputs), PFT and climate class, GPP of predicted sites",
    }


def daily(
    out: str | Path | None = None, count: int = LANDSCAPES, model: str = "default", seed: int = 0
) -> Steps:
    """Teaches the daily head from simulated landscapes; each climate is left out once to set the band."""
    from embeddings import gpp, gpp_lessons
    from models import checkpoints, heads
    from models.gpp import fit

    embedder = checkpoints.load(model, "cpu")
    found = []
    for i in range(count):
        yield f"simulated landscape {i + 1} of {count}", 0.6 * i / count
        found.append((yield from gpp_lessons.landscape(embedder, gpp_lessons.FIRST_SEED + i)))
    result, ratio = yield from climates_left_out(found, seed)
    net = _net(embedder.features, seed)
    fit(net, gpp_lessons.flat(found), seed=seed)
    net.widen.fill_(float(np.quantile(ratio, BAND)) / NORMAL_90)
    config = {"features": net.config.features, "hidden": net.config.hidden, "model_digest": embedder.digest}
    card = {
        "what": "daily GPP, gC m-2 d-1, of a pixel from its daily embedding and daily weather; 90 % band of what a"
        " tower would measure",
        "taught_by": f"{count} simulated landscapes, seeds {gpp_lessons.FIRST_SEED} to"
        f" {gpp_lessons.FIRST_SEED + count - 1}, {gpp_lessons.PIXELS} pixels each; no measured GPP",
        "embedding_model": embedder.digest,
        "left_out_climates": result,
        "licence": "CC0-1.0 (simulated)",
    }
    return heads.save(out or heads.WEIGHTS / gpp.WEIGHTS, gpp.KIND, net.state_dict(), config, card)


def climates_left_out(
    found: list, seed: int = 0
) -> Generator[tuple[str, float], None, tuple[dict, np.ndarray]]:
    """Each climate predicted by a head that never saw it: scores, and measured error over predicted spread."""
    from embeddings import gpp_lessons
    from models.gpp import fit

    names = sorted({one.climate for one in found})
    if len(names) < 2:
        raise InputError(f"Got landscapes of {len(names)} climate, need two or more; simulate more of them.")
    result, ratios = {}, {}
    for i, name in enumerate(names):
        yield f"{name} left out", 0.6 + 0.3 * i / len(names)
        net = _net(found[0].z.shape[-1], seed)
        fit(net, gpp_lessons.flat([one for one in found if one.climate != name]), seed=seed)
        here = [one for one in found if one.climate == name]
        answers = [answer(net, one) for one in here]
        errors = [
            np.abs(one.measured - mean) / spread for one, (mean, spread) in zip(here, answers, strict=True)
        ]
        ratios[name] = np.concatenate([error[np.isfinite(error)] for error in errors])
        result[name] = _scores(here, [mean for mean, _ in answers])
    for name in names:  # the band as wide as the other climates ask for
        width = np.quantile(np.concatenate([ratios[other] for other in names if other != name]), BAND)
        result[name]["coverage"] = float((ratios[name] <= width).mean())
    return result, np.concatenate(list(ratios.values()))


def answer(net, one) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of a landscape's pixels, (pixel, day)."""
    import torch

    with torch.inference_mode():
        mean, spread = net(*(torch.from_numpy(part.astype(np.float32)) for part in (one.z, one.sw, one.air)))
    return mean.numpy(), spread.numpy()


def _scores(here: list, means: list[np.ndarray]) -> dict[str, float]:
    """Daily scores of vegetated pixels with all weather: median over pixels, all pooled, and inside long gaps.

    Gaps lie in dark months, where GPP varies less: their NSE is against that smaller spread, their RMSE compares.
    """
    own, pairs, gaps = [], [], []
    for one, mean in zip(here, means, strict=True):
        for p in np.flatnonzero(one.whole & (one.true.mean(1) > 0.3)):
            own.append(metrics.nse(one.true[p], mean[p]))
            pairs.append((one.true[p], mean[p]))
            far = (one.days_from_s2[p] > GAP_DAYS) | (one.days_from_s2[p] < 0)
            gaps.append((one.true[p][far], mean[p][far]))
    pooled, inside = (
        tuple(np.concatenate(part) for part in zip(*group, strict=True)) for group in (pairs, gaps)
    )
    return {
        "landscapes": len(here),
        "median_pixel_nse": float(np.median(own)),
        "nse": metrics.nse(*pooled),
        "rmse": metrics.rmse(*pooled),
        "nse_in_gaps": metrics.nse(*inside),
        "rmse_in_gaps": metrics.rmse(*inside),
        "share_in_gaps": float(len(inside[0]) / len(pooled[0])),
    }


def _net(features: int, seed: int):
    import torch

    from models.gpp import Config, DailyHead

    torch.manual_seed(seed)  # the same command writes the same weights
    return DailyHead(Config(features))
