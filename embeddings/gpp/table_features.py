"""Features of tables of spectra and weather: greenness, water, light, season, and the site's own range of each.

What a site's other rows show (its greenest and barest spectra, those of nearby dates) is a covariate; GPP never is.
Rows of one site never see those of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from fluxlens.embeddings.meteorology import extraterrestrial_radiation, saturation_vapour_pressure_hpa

BANDS = ("b2", "b3", "b4", "b5", "b6", "b7")
"""Blue, green, red, near infrared, shortwave infrared 1 and 2; reflectance 0-1."""

MERRA2_COLUMNS = ("T2MIN", "T2MAX", "T2MEAN", "TSMDEWMEAN", "GWETROOT", "SWLAND", "PARDFLAND")
"""Temperatures K, dew point K, root-zone wetness 0-1, shortwave and diffuse PAR W m-2 (MERRA-2 names)."""

BASE = (*BANDS, *MERRA2_COLUMNS, "lat", "sin_day", "cos_day")

LOGARITHMIC = (*BANDS, "SWLAND", "PARDFLAND")

REFLECTANCE = (0.001, 1.2)
"""Range kept before taking logarithms."""

DRAWS = 8
"""Imputations tried for each row with missing values."""

NEAR_DAYS = 12
"""Standard deviation of the Gaussian weight of the site's other spectra by their distance in time, days."""

CLOUDY_WEIGHT = 0.05
"""Weight of spectra of cloud or snow there: they count only where nothing else is near."""

YEAR_DAYS = 365.25

KELVIN = 273.15

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
"""Features that share a length scale of a Gaussian process."""

AROUND = {name: GROUPS[name] for name in ("air", "light", "sun", "season")}
"""Weather and season, beside which spectra are compared."""

BANDS_ALONE = {"bands": tuple(f"log_{name}" for name in BANDS), **AROUND}
"""One raw spectrum."""

EMBEDDING_ALONE = {"embedding": tuple(f"e{i:02d}" for i in range(32)), **AROUND}
"""The embedding of the day, which the table then carries in columns `e00` to `e31`."""

NAMES = tuple(name for group in GROUPS.values() for name in group)


def group_index(groups: dict[str, tuple[str, ...]] = GROUPS) -> np.ndarray:
    """Group of each feature.

    Parameters
    ----------
    groups
        Names of features by group.

    Returns
    -------
    ndarray
        (feature,) integers, 0 to the number of groups less one.
    """
    return np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])


def base(table: pd.DataFrame) -> pd.DataFrame:
    """Base columns of a table, on scales where they are nearly normal.

    Parameters
    ----------
    table
        As ``tables.read`` returns it.

    Returns
    -------
    DataFrame
        ``BASE``: reflectances and radiation as logarithms, temperatures in K, sine and cosine of the day of the year;
        NaN where not given. The index of the table.
    """
    out = pd.DataFrame(index=table.index)
    for name in (*BANDS, *MERRA2_COLUMNS, "lat"):
        out[name] = table[name].astype(float) if name in table else np.nan
    out[list(BANDS)] = out[list(BANDS)].clip(*REFLECTANCE)
    # At least 1 W m-2, so that the logarithm of a polar night stays near the others.
    out[["SWLAND", "PARDFLAND"]] = out[["SWLAND", "PARDFLAND"]].clip(lower=1.0)
    out[list(LOGARITHMIC)] = np.log(out[list(LOGARITHMIC)])
    angle = 2 * np.pi * table["date"].dt.day_of_year / YEAR_DAYS
    return out.assign(sin_day=np.sin(angle), cos_day=np.cos(angle))


@dataclass(frozen=True)
class GaussianImputer:
    """Multiple imputation of missing columns: normal, conditional on the columns that are there (Rubin 1987).

    Parameters
    ----------
    mean
        (base column,)
    cov
        (base column, base column)
    """

    mean: np.ndarray
    cov: np.ndarray

    @classmethod
    def fit(cls, rows: pd.DataFrame) -> GaussianImputer:
        """Estimate mean and pairwise covariance from complete and incomplete rows.

        Parameters
        ----------
        rows
            As ``base`` returns them.

        Returns
        -------
        GaussianImputer
            With a small ridge, since pairwise covariances need not be positive definite.
        """
        # Columns that are missing altogether have no covariance; 0 makes them independent of all others.
        cov = rows.cov().reindex(index=rows.columns, columns=rows.columns).fillna(0).values
        cov = cov + np.diag(1e-3 * np.diag(cov) + 1e-9)
        return cls(rows.mean().fillna(0).values, cov)

    def impute(self, rows: pd.DataFrame) -> list[pd.DataFrame]:
        """Draw completions of rows.

        Parameters
        ----------
        rows
            As ``base`` returns them.

        Returns
        -------
        list of DataFrame
            The rows themselves if all are complete, else ``DRAWS`` completions.
        """
        missing = rows.isna().values
        if not missing.any():
            return [rows]
        # The same normal numbers for every row: a row's imputations never depend on other rows or their order.
        normal = np.random.default_rng(0).standard_normal((DRAWS, len(self.mean)))  # (draw, column)
        drawn = [rows.values.copy() for _ in range(DRAWS)]
        for pattern in np.unique(missing, axis=0):
            if not pattern.any():
                continue
            at = np.flatnonzero((missing == pattern).all(1))  # rows that lack the same columns
            have, lack = np.flatnonzero(~pattern), np.flatnonzero(pattern)
            # Conditional mean and covariance of a partitioned normal vector.
            slope = np.linalg.solve(self.cov[np.ix_(have, have)], self.cov[np.ix_(have, lack)]).T
            # (row, lacking column)
            expected = self.mean[lack] + (rows.values[np.ix_(at, have)] - self.mean[have]) @ slope.T
            conditional = self.cov[np.ix_(lack, lack)] - slope @ self.cov[np.ix_(have, lack)]
            root = np.linalg.cholesky(conditional + 1e-9 * np.eye(len(lack)))
            for values, z in zip(drawn, normal, strict=True):
                values[np.ix_(at, lack)] = expected + root @ z[lack]
        return [pd.DataFrame(values, rows.index, rows.columns) for values in drawn]


def features(
    rows: pd.DataFrame, table: pd.DataFrame, groups: dict[str, tuple[str, ...]] = GROUPS
) -> pd.DataFrame:
    """Features of complete base rows.

    Parameters
    ----------
    rows
        Complete ``base`` rows.
    table
        The table they come from, for sites, dates and embeddings.
    groups
        Names of features by group.

    Returns
    -------
    DataFrame
        One column per name in the order of the groups, one row per row. ``ndvi``, ``nirv`` (Badgley et al. 2017),
        ``lswi`` (Xiao et al. 2004) are indices of reflectance; temperatures degC, ``log_vpd`` log(1 + hPa),
        ``sw`` W m-2, ``day_length`` h, ``clearness`` the share of extraterrestrial radiation. ``_mean``, ``_q10``,
        ``_q90`` are of the site's clear rows, ``_near`` of its rows near the date, ``_position`` lies within its range.
    """
    b2, b3, b4, b5, b6, b7 = (np.exp(rows[name]) for name in BANDS)
    out = pd.DataFrame(index=rows.index)
    out["ndvi"] = (b5 - b4) / (b5 + b4)
    out["nirv"] = out["ndvi"] * b5
    out["lswi"] = (b5 - b6) / (b5 + b6)
    out["green_red"], out["nir_green"] = rows["b3"] - rows["b4"], rows["b5"] - rows["b3"]
    out["swir"] = (b6 - b7) / (b6 + b7)
    out["tmean"], out["tmin"] = rows["T2MEAN"] - KELVIN, rows["T2MIN"] - KELVIN
    saturation = saturation_vapour_pressure_hpa(out["tmean"])
    vpd = (saturation - saturation_vapour_pressure_hpa(rows["TSMDEWMEAN"] - KELVIN)).clip(lower=0)
    out["log_vpd"], out["wet"] = np.log1p(vpd), rows["GWETROOT"]
    out["sw"], out["diffuse"] = np.exp(rows["SWLAND"]), rows["PARDFLAND"] - rows["SWLAND"]
    # A smooth step at 5 degC, the usual base temperature of growth.
    out["warm"] = 1 / (1 + np.exp(-(out["tmean"] - 5) / 3))
    out["root_nirv_sw"] = np.sqrt(out["nirv"].clip(lower=0) * out["sw"])
    out["root_nirv_sw_warm"] = out["root_nirv_sw"] * out["warm"]
    sun = extraterrestrial_radiation(rows["lat"], table["date"].dt.day_of_year)
    # 20 W m-2: in the polar night clearness would divide by nothing.
    out["day_length"], out["clearness"] = sun.day_length_h, out["sw"] / sun.radiation_w_m2.clip(lower=20)
    # Seasons turn over at the equator and fade towards it.
    hemisphere = np.tanh(rows["lat"] / 10)
    out["season_sin"], out["season_cos"] = rows["sin_day"] * hemisphere, rows["cos_day"] * hemisphere
    clear = is_clear(b2, b3, b6)
    extra = {f"log_{name}": rows[name] for name in BANDS} | {"vpd": vpd}
    out = out.assign(**extra)
    out = out.assign(**_of_site(out, clear, table), **table.filter(regex=r"^e\d\d$"))
    return out[[name for group in groups.values() for name in group]]


def is_clear(b2: pd.Series, b3: pd.Series, b6: pd.Series) -> pd.Series:
    """Whether spectra show neither cloud nor snow.

    Parameters
    ----------
    b2, b3, b6
        Blue, green and shortwave infrared reflectance, 0-1.

    Returns
    -------
    Series
        bool: blue is dark, and the snow index NDSI (Hall et al. 1995) is low.
    """
    # Negated: a missing band shows neither.
    return ~(b2 >= 0.2) & ~((b3 - b6) / (b3 + b6) >= 0.2)


def _of_site(now: pd.DataFrame, clear: pd.Series, table: pd.DataFrame) -> dict[str, pd.Series]:
    """Statistics of the site's clear rows; a row whose site has none stands for itself."""
    site, out = table["site"], {}

    # Over the clear rows of a site; a site without any has its own row instead.
    def over(name: str, how: str | float) -> pd.Series:
        groups = now[name].where(clear).groupby(site)
        value = groups.transform("mean") if how == "mean" else groups.transform(lambda s: s.quantile(how))
        return value.fillna(now[name])

    for name in ("ndvi", "nirv", "lswi", "log_b7", "log_b4"):
        out[f"{name}_mean"] = over(name, "mean")
    for name in ("nirv", "ndvi", "nir_green"):
        out[f"{name}_q90"] = over(name, 0.9)
    for name in ("nirv", "ndvi", "swir"):
        out[f"{name}_q10"] = over(name, 0.1)
    for name in ("ndvi", "nirv"):
        low, high = out[f"{name}_q10"], out[f"{name}_q90"]
        # 0.05: a site that hardly changes must not amplify its noise.
        out[f"{name}_position"] = (now[name] - low) / (high - low + 0.05)
    for name in ("tmean", "wet", "vpd"):
        out[f"{name}_mean"] = now[name].groupby(site).transform("mean")
    return out | _near_in_time(now, clear, table)


def _near_in_time(now: pd.DataFrame, clear: pd.Series, table: pd.DataFrame) -> dict[str, pd.Series]:
    """Kernel-weighted mean over the site's spectra around each date (Nadaraya 1964, Watson 1964)."""
    names = ("nirv", "ndvi", "lswi", "green_red")
    values, out = now[list(names)].values, np.empty((len(now), len(names)))  # (row, name)
    day = table["date"].values.astype("datetime64[D]").astype(float)
    row_weight = np.where(clear, 1.0, CLOUDY_WEIGHT)
    for rows in table.groupby("site").indices.values():
        weight = np.exp(-0.5 * ((day[rows, None] - day[rows]) / NEAR_DAYS) ** 2) * row_weight[rows]
        out[rows] = weight @ values[rows] / weight.sum(1, keepdims=True)  # (row, row) x (row, name)
    return {f"{name}_near": pd.Series(out[:, i], now.index) for i, name in enumerate(names)}
