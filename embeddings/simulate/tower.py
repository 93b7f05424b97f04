"""A simulated flux tower: its site, its measurement of the true GPP around it, and the file it would publish."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.simulate import vegetation
from fluxlens.embeddings.simulate.landscape import BROAD, CEREAL, GRASS, NEEDLE, PIXEL_M, SUMMER, Land
from fluxlens.embeddings.simulate.noise import autoregressive
from fluxlens.models.errors import InputError

IGBP = {NEEDLE: "ENF", BROAD: "DBF", GRASS: "GRA", CEREAL: "CRO", SUMMER: "CRO"}
PERCENTILES = {5: -1.645, 16: -0.994, 25: -0.674, 50: 0.0, 75: 0.674, 84: 0.994, 95: 1.645}
"""Of the uncertainty from friction-velocity thresholds, and where they lie in a normal distribution."""
FOOTPRINT_M = 60.0
"""Spread of the daily footprint around a low tower (flux footprints:
Kljun et al. 2015, doi:10.5194/gmd-8-3695-2015)."""
MISSING = -9999


def igbp(cover: int, climate: str) -> str:
    """The IGBP class of a site.

    Parameters
    ----------
    cover
        Land cover around the mast, index into ``landscape.COVERS``.
    climate
        Name of the climate; it decides whether broad leaves stay on all year.
    """
    if cover == BROAD and vegetation.FARMING[climate].evergreen_broad:
        # Evergreen trees of dry land stand apart, over grass.
        return "SAV" if climate == "semi-arid" else "EBF"
    return IGBP.get(cover, "OSH")


def choose_site(rng: np.random.Generator, land: Land) -> tuple[int, int]:
    """The pixel around which one vegetated cover reaches farthest, as builders of towers choose (fetch).

    Parameters
    ----------
    rng
        Random stream of the tower; it decides between covers of equal reach.
    land
        The landscape.

    Returns
    -------
    Row and column of the mast.
    """
    from scipy.ndimage import distance_transform_edt

    ny, nx = land.cover.shape
    inside = np.zeros((ny, nx), dtype=bool)
    # Not at the edge of the scene, which would cut the footprint.
    inside[2 : ny - 2, 2 : nx - 2] = True
    best, where = -1.0, (ny // 2, nx // 2)
    # Beyond 8 pixels more fetch counts little; ties go to the cover that comes first in a random order.
    for kind in rng.permutation(list(IGBP)):
        # Padded by one pixel, so that the edge of the scene ends a cover as another one does.
        reach = (
            distance_transform_edt(np.pad((land.cover == kind) & (land.roof < 0.1), 1))[1:-1, 1:-1] * inside
        )
        reach = np.minimum(reach, 8) + 0.01 * reach
        # More by rounding is no more: on a tie the cover that came first keeps the tower.
        if reach.max() > best + 1e-9:
            best, where = (
                float(reach.max()),
                tuple(int(i) for i in np.unravel_index(reach.argmax(), reach.shape)),
            )
    return where


def footprint(land: Land, row: int, col: int) -> np.ndarray:
    """Gaussian footprint weights (y, x) that sum to one, around the mast at ``row``, ``col`` of ``land``."""
    ny, nx = land.cover.shape
    y, x = np.ogrid[:ny, :nx]
    weight = np.exp(-0.5 * ((y - row) ** 2 + (x - col) ** 2) * (PIXEL_M / FOOTPRINT_M) ** 2)
    return weight / weight.sum()


def measure(rng: np.random.Generator, truth: np.ndarray, days: pd.DatetimeIndex) -> xr.Dataset:
    """GPP as partitioned from a measured net exchange: two estimates, their uncertainty, quality, gaps.

    Random error grows with the flux (Hollinger & Richardson 2005, doi:10.1093/treephys/25.7.873); night-time
    (Reichstein et al. 2005) and day-time (Lasslop et al. 2010) partitioning differ by a slow, structural
    part.

    Parameters
    ----------
    rng
        Random stream of the tower.
    truth
        (day,) true GPP of the footprint, gC m-2 d-1.
    days
        Its days.

    Returns
    -------
    Dataset (time): ``gpp_nt``, ``gpp_dt`` and their percentiles, gC m-2 d-1; ``qc`` 0-1; NaN in long gaps.
    """
    n = len(days)
    # Structural errors last for weeks, unlike the random error of a day.
    slow, other = autoregressive(rng, n, 40), autoregressive(rng, n, 25)
    # gC m-2 d-1: a constant part, and one in proportion to the flux.
    error = 0.30 + 0.07 * truth
    nt = truth * (1 + 0.05 * slow) + 0.25 * other + error * rng.standard_normal(n)
    dt = (
        truth * (0.97 + 0.04 * rng.standard_normal() - 0.03 * slow)
        + 0.12 * slow
        + 0.6 * error * rng.standard_normal(n)
    )
    dt = np.maximum(dt, 0)  # its light-response curve cannot be negative
    qc = np.clip(0.93 - 0.25 * np.maximum(autoregressive(rng, n, 6) - 0.4, 0) - 0.05 * rng.random(n), 0, 1)
    day = 0
    while (day := day + int(rng.exponential(55)) + 3) < n:  # filled gaps: power, rain on the anemometer
        length = int(rng.exponential(5)) + 1
        qc[day : day + length] *= rng.uniform(0, 0.5)
        day += length
    lost = np.zeros(n, dtype=bool)
    for start in rng.integers(0, max(n - 1, 1), max(1, n // 150)):  # too long to fill
        lost[start : start + int(rng.integers(3, 18))] = True
    nt, dt = np.where(lost, np.nan, nt), np.where(lost, np.nan, dt)
    out = {"gpp_nt": nt, "gpp_dt": dt, "qc": np.where(lost, np.nan, np.round(qc, 3))}
    # Standard uncertainty from the friction-velocity threshold; both partitionings share it in part.
    half = 0.12 + 0.06 * truth + 0.08 * np.abs(slow)
    for percent, z in PERCENTILES.items():
        out[f"gpp_nt_{percent:02d}"] = nt + z * half
        # Less than of the night: the light-response curve rests on days, whose air is mixed enough for most thresholds.
        out[f"gpp_dt_{percent:02d}"] = np.maximum(dt + z * 0.7 * half, np.where(lost, np.nan, 0))
    dataset = xr.Dataset({k: ("time", v.astype(np.float32)) for k, v in out.items()}, coords={"time": days})
    for name in dataset.data_vars:
        dataset[name].attrs["units"] = "1" if name == "qc" else "gC m-2 d-1"
    dataset["qc"].attrs["long_name"] = "fraction of measured and good gap-filled data (NEE_VUT_REF_QC)"
    return dataset


def write_tower_file(scene: xr.DataTree, folder: str | Path) -> Path:
    """Write the scene's tower as a FLUXNET2015 daily file (Pastorello et al. 2020, doi:10.1038/s41597-020-0534-3).

    Parameters
    ----------
    scene
        A simulated scene with truth.
    folder
        Where to write; made when missing.

    Returns
    -------
    Path of the file, ``FLX_SITE_FLUXNET2015_SUBSET_DD_YEARS_1-3.csv``.

    Raises
    ------
    InputError
        If the scene has no tower.
    """
    if "tower" not in scene.children:
        raise InputError("the scene has no tower; a simulated scene with truth=True has one: simulate it so.")
    tower = scene["tower"].to_dataset()
    days = pd.DatetimeIndex(tower.time.values)
    table = pd.DataFrame({"TIMESTAMP": days.strftime("%Y%m%d")})
    for column, name in {"TA_F": "tair", "SW_IN_F": "sw_in", "VPD_F": "vpd", "P_F": "precip"}.items():
        table[column] = tower[name].values
    table["NEE_VUT_REF_QC"] = tower["qc"].values
    for method in ("NT", "DT"):
        table[f"GPP_{method}_VUT_REF"] = tower[f"gpp_{method.lower()}"].values
        for percent in PERCENTILES:
            table[f"GPP_{method}_VUT_{percent:02d}"] = tower[f"gpp_{method.lower()}_{percent:02d}"].values
    numbers = table.columns[1:]
    table[numbers] = table[numbers].astype(float).round(4).fillna(MISSING)
    years = f"{days[0].year}-{days[-1].year}"
    path = Path(folder) / f"FLX_{tower.attrs['site']}_FLUXNET2015_SUBSET_DD_{years}_1-3.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path
