"""Features of a table of spectra and weather: greenness, water, light, season, and the site's own range of each.

What a site's other rows show (its greenest and barest spectra, those of nearby dates) is a covariate; GPP never is.
Rows of one site never see those of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

BANDS = ("b2", "b3", "b4", "b5", "b6", "b7")
"""Blue, green, red, near infrared, shortwave infrared 1 and 2; reflectance 0-1."""
WEATHER = ("T2MIN", "T2MAX", "T2MEAN", "TSMDEWMEAN", "GWETROOT", "SWLAND", "PARDFLAND")
"""Temperatures K, dew point K, root-zone wetness 0-1, shortwave and diffuse PAR W m-2 (MERRA-2 names)."""
BASE = (*BANDS, *WEATHER, "lat", "sin_day", "cos_day")
LOGARITHMIC = (*BANDS, "SWLAND", "PARDFLAND")
REFLECTANCE = (0.001, 1.2)
"""Range kept before taking logarithms."""
DRAWS = 8
"""Plausible values tried for each missing one."""
NEAR_DAYS = 12
"""Spread of the weight of the site's other spectra by their distance in time."""
YEAR_DAYS = 365.25

GROUPS: dict[str, tuple[str, ...]] = {
    "leaf": ("ndvi", "nirv", "lswi", "green_red", "nir_green", "swir"),
    "air": ("tmean", "tmin", "log_vpd", "wet"),
    "light": ("sw", "diffuse"),
    "work": ("root_nirv_sw", "root_nirv_sw_warm", "warm"),
    "sun": ("day_length", "clearness"),
    "site": ("ndvi_mean", "nirv_mean", "lswi_mean", "nirv_q90", "ndvi_q90", "ndvi_q10"),
    "position": ("ndvi_position", "nirv_position"),
    "near": ("nirv_near", "ndvi_near", "lswi_near", "green_red_near"),
    "place": ("tmean_mean", "wet_mean", "vpd_mean"),
    "soil": ("nir_green_q90", "log_b7_mean", "log_b4_mean", "swir_q10"),
    "season": ("season_sin", "season_cos"),
}
"""Features that share a length scale."""
AROUND = {name: GROUPS[name] for name in ("air", "light", "sun", "season")}
"""Weather and season, beside which spectra are compared."""
BANDS_ALONE = {"bands": tuple(f"log_{name}" for name in BANDS), **AROUND}
"""One raw spectrum."""
EMBEDDING_ALONE = {"embedding": tuple(f"e{i:02d}" for i in range(32)), **AROUND}
"""The embedding of the day, which the table then carries in columns `e00` to `e31`."""
NAMES = tuple(name for group in GROUPS.values() for name in group)


def group_index(groups: dict[str, tuple[str, ...]] = GROUPS) -> np.ndarray:
    """Group of each of the names."""
    return np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])


def base(table: pd.DataFrame) -> pd.DataFrame:
    """``BASE`` of a table as read: numbers near normal, NaN where not given."""
    out = pd.DataFrame(index=table.index)
    for name in (*BANDS, *WEATHER, "lat"):
        out[name] = table[name].astype(float) if name in table else np.nan
    out[list(BANDS)] = out[list(BANDS)].clip(*REFLECTANCE)
    out[["SWLAND", "PARDFLAND"]] = out[["SWLAND", "PARDFLAND"]].clip(lower=1.0)
    out[list(LOGARITHMIC)] = np.log(out[list(LOGARITHMIC)])
    angle = 2 * np.pi * table["date"].dt.day_of_year / YEAR_DAYS
    return out.assign(sin_day=np.sin(angle), cos_day=np.cos(angle))


@dataclass(frozen=True)
class Filler:
    """Plausible values for missing columns: normal, given those that are there."""

    mean: np.ndarray
    """(base,)"""
    cov: np.ndarray
    """(base, base)"""

    @classmethod
    def fit(cls, rows: pd.DataFrame) -> Filler:
        """Mean and covariance of complete and incomplete rows; a little ridge keeps it regular."""
        cov = rows.cov().reindex(index=rows.columns, columns=rows.columns).fillna(0).values
        cov = cov + np.diag(1e-3 * np.diag(cov) + 1e-9)
        return cls(rows.mean().fillna(0).values, cov)

    def fill(self, rows: pd.DataFrame) -> list[pd.DataFrame]:
        """The rows themselves if complete, else ``DRAWS`` completions; a row's draws never depend on other rows."""
        missing = rows.isna().values
        if not missing.any():
            return [rows]
        chance = np.random.default_rng(0).standard_normal((DRAWS, len(self.mean)))
        drawn = [rows.values.copy() for _ in range(DRAWS)]
        for pattern in np.unique(missing, axis=0):
            if not pattern.any():
                continue
            at = np.flatnonzero((missing == pattern).all(1))
            have, lack = np.flatnonzero(~pattern), np.flatnonzero(pattern)
            slope = np.linalg.solve(self.cov[np.ix_(have, have)], self.cov[np.ix_(have, lack)]).T
            expected = self.mean[lack] + (rows.values[np.ix_(at, have)] - self.mean[have]) @ slope.T
            rest = self.cov[np.ix_(lack, lack)] - slope @ self.cov[np.ix_(have, lack)]
            root = np.linalg.cholesky(rest + 1e-9 * np.eye(len(lack)))
            for values, z in zip(drawn, chance, strict=True):
                values[np.ix_(at, lack)] = expected + root @ z[lack]
        return [pd.DataFrame(values, rows.index, rows.columns) for values in drawn]


def features(
    rows: pd.DataFrame, table: pd.DataFrame, groups: dict[str, tuple[str, ...]] = GROUPS
) -> pd.DataFrame:
    """The names in ``groups`` of complete ``base`` rows; sites, dates and embeddings are those of the table."""
    b2, b3, b4, b5, b6, b7 = (np.exp(rows[name]) for name in BANDS)
    out = pd.DataFrame(index=rows.index)
    out["ndvi"] = (b5 - b4) / (b5 + b4)
    out["nirv"] = out["ndvi"] * b5  # Badgley et al. 2017
    out["lswi"] = (b5 - b6) / (b5 + b6)
    out["green_red"], out["nir_green"] = rows["b3"] - rows["b4"], rows["b5"] - rows["b3"]
    out["swir"] = (b6 - b7) / (b6 + b7)
    out["tmean"], out["tmin"] = rows["T2MEAN"] - 273.15, rows["T2MIN"] - 273.15
    vpd = (_saturation_hpa(out["tmean"]) - _saturation_hpa(rows["TSMDEWMEAN"] - 273.15)).clip(lower=0)
    out["log_vpd"], out["wet"] = np.log1p(vpd), rows["GWETROOT"]
    out["sw"], out["diffuse"] = np.exp(rows["SWLAND"]), rows["PARDFLAND"] - rows["SWLAND"]
    out["warm"] = 1 / (1 + np.exp(-(out["tmean"] - 5) / 3))
    out["root_nirv_sw"] = np.sqrt(out["nirv"].clip(lower=0) * out["sw"])
    out["root_nirv_sw_warm"] = out["root_nirv_sw"] * out["warm"]
    hours, clear_sky = sun(rows["lat"], table["date"].dt.day_of_year)
    out["day_length"], out["clearness"] = hours, out["sw"] / clear_sky.clip(lower=20)
    side = np.tanh(rows["lat"] / 10)  # seasons turn over at the equator and fade towards it
    out["season_sin"], out["season_cos"] = rows["sin_day"] * side, rows["cos_day"] * side
    clean = clear(b2, b3, b6)
    extra = {f"log_{name}": rows[name] for name in BANDS} | {"vpd": vpd}
    out = out.assign(**extra)
    out = out.assign(**_context(out, clean, table), **table.filter(regex=r"^e\d\d$"))
    return out[[name for group in groups.values() for name in group]]


def clear(b2: pd.Series, b3: pd.Series, b6: pd.Series) -> pd.Series:
    """Whether a spectrum shows neither cloud nor snow."""
    return (b2 < 0.2) & ((b3 - b6) / (b3 + b6) < 0.2)


def sun(lat: pd.Series, day_of_year: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Day length, h, and radiation above the air, W m-2 (FAO-56, equations 21 to 34)."""
    angle = 2 * np.pi * day_of_year / 365
    phi, declination = np.radians(lat.clip(-89, 89)), 0.409 * np.sin(angle - 1.39)
    sunset = np.arccos((-np.tan(phi) * np.tan(declination)).clip(-1, 1))
    high = sunset * np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.sin(sunset)
    return 24 / np.pi * sunset, 1367 / np.pi * (1 + 0.033 * np.cos(angle)) * high


def _saturation_hpa(celsius: pd.Series) -> pd.Series:
    return 6.108 * np.exp(17.27 * celsius / (celsius + 237.3))


def _context(now: pd.DataFrame, clean: pd.Series, table: pd.DataFrame) -> dict[str, pd.Series]:
    """What the site's rows show together; a row without a clean one at its site stands for itself."""
    site, out = table["site"], {}

    def over(name: str, how: str | float) -> pd.Series:
        seen = now[name].where(clean).groupby(site)
        value = seen.transform("mean") if how == "mean" else seen.transform(lambda s: s.quantile(how))
        return value.fillna(now[name])

    for name in ("ndvi", "nirv", "lswi", "log_b7", "log_b4"):
        out[f"{name}_mean"] = over(name, "mean")
    for name in ("nirv", "ndvi", "nir_green"):
        out[f"{name}_q90"] = over(name, 0.9)
    for name in ("nirv", "ndvi", "swir"):
        out[f"{name}_q10"] = over(name, 0.1)
    for name in ("ndvi", "nirv"):
        low, high = out[f"{name}_q10"], out[f"{name}_q90"]
        out[f"{name}_position"] = (now[name] - low) / (high - low + 0.05)
    for name in ("tmean", "wet", "vpd"):
        out[f"{name}_mean"] = now[name].groupby(site).transform("mean")
    return out | _near(now, clean, table)


def _near(now: pd.DataFrame, clean: pd.Series, table: pd.DataFrame) -> dict[str, pd.Series]:
    """Mean over the site's spectra, weighted by nearness in time; cloud and snow count for a twentieth."""
    names = ("nirv", "ndvi", "lswi", "green_red")
    values, out = now[list(names)].values, np.empty((len(now), len(names)))
    day = table["date"].values.astype("datetime64[D]").astype(float)
    trust = np.where(clean, 1.0, 0.05)
    for rows in table.groupby("site").indices.values():
        weight = np.exp(-0.5 * ((day[rows, None] - day[rows]) / NEAR_DAYS) ** 2) * trust[rows]
        out[rows] = weight @ values[rows] / weight.sum(1, keepdims=True)
    return {f"{name}_near": pd.Series(out[:, i], now.index) for i, name in enumerate(names)}
