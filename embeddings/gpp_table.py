"""GPP for tables of single spectra with weather, at sites the head has no rows of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from embeddings import gpp_features
from embeddings.gpp_features import BANDS, GROUPS, WEATHER, GaussianImputer
from models.errors import InputError
from models.gpp.drivers import COVERAGE, NORMAL_90

WEIGHTS = "gpp_table.safetensors"
KIND = "table"
OOD_QUANTILE = 0.99
"""Share of training rows that is within the limit of `ood`, each site compared with the others."""
ROW_GROUPS = ("leaf", "bands", "embedding", "air", "light")
"""Groups of features of the row itself, by which `ood` is decided."""
MGRS_LATITUDE_BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Latitude bands of 8 degrees of the Military Grid Reference System, from 80 S."""


def read(path: str | Path, need_gpp: bool = False) -> pd.DataFrame:
    """Read a CSV table of spectra.

    Parameters
    ----------
    path
        CSV with the columns ``SITE_ID`` or ``site``, ``date``, ``BANDS`` (reflectance 0-1) and, where there are,
        ``WEATHER`` (MERRA-2 names and units), a latitude or a tile, ``PFT``, ``GPP`` (gC m-2 d-1).
    need_gpp
        Whether GPP must be there.

    Returns
    -------
    DataFrame
        As ``clean`` returns it.

    Raises
    ------
    InputError
        When the file is missing or not such a table.
    """
    try:
        raw = pd.read_csv(path, dtype={"SITE_ID": str, "site": str})
    except FileNotFoundError as error:
        raise InputError(f"Got {path}, which does not exist, need a CSV file; check the path.") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, IsADirectoryError) as error:
        raise InputError(
            f"Got {path}, which is not a CSV table, need one with a header; check the file."
        ) from error
    return clean(raw, need_gpp)


def clean(raw: pd.DataFrame, need_gpp: bool = False) -> pd.DataFrame:
    """Check names, dates, numbers and units of a table.

    Parameters
    ----------
    raw
        Columns as for ``read``; others are ignored, outputs of land models (``LHLAND``, ``SHLAND``) among them, which
        know the vegetation already.
    need_gpp
        Whether GPP must be there.

    Returns
    -------
    DataFrame
        ``site``, ``date`` (midnight), the bands, what there is of weather, ``lat`` (degrees, NaN where unknown),
        ``type`` (plant functional type) and, where given, ``gpp``; rows in the order given, missing values NaN.

    Raises
    ------
    InputError
        When a column is missing, or a value is not what it should be.
    """
    raw = raw.rename(columns={"SITE_ID": "site"} if "site" not in raw else {})
    need = ["site", "date", *BANDS, *(["GPP"] if need_gpp else [])]
    if lost := [name for name in need if name not in raw]:
        raise InputError(
            f"Got a table without {', '.join(lost)}, need the columns SITE_ID, date, {', '.join(BANDS)}"
            f"{', GPP' if need_gpp else ''}; add them."
        )
    if raw.empty:
        raise InputError("Got a table without rows, need one or more; check the file.")
    if raw["site"].isna().any():
        raise InputError(
            f"Got row {int(raw['site'].isna().values.argmax()) + 1} without a site, need one in each; fill it in."
        )
    date = pd.to_datetime(raw["date"].astype(str), errors="coerce", format="ISO8601")
    if date.isna().any():
        bad = raw["date"][date.isna()].iloc[0]
        raise InputError(f"Got the date {bad!r}, need dates as YYYY-MM-DD; rewrite it.")
    date = date.dt.tz_localize(None) if date.dt.tz is not None else date
    out = pd.DataFrame({"site": raw["site"].astype(str).values, "date": date.dt.normalize().values})
    for name in (*BANDS, *WEATHER, *(["GPP"] if need_gpp else [])):
        if name in raw:
            out[name] = _numbers(raw[name])
    # A table in other units gives plausible, wrong GPP: refuse rather than guess.
    _check_units(out)
    out["lat"] = _latitude(raw)
    out["type"] = raw["PFT"].fillna("unknown").astype(str).values if "PFT" in raw else "unknown"
    return out.rename(columns={"GPP": "gpp"})


def _numbers(column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce")
    if (values.isna() & column.notna()).any():
        bad = column[values.isna() & column.notna()].iloc[0]
        raise InputError(f"Got {bad!r} in the column {column.name}, need a number or nothing; correct it.")
    return values.where(np.isfinite(values) & (values > -9000)).values.astype(float)  # -9999 is missing


def _check_units(table: pd.DataFrame) -> None:
    if table[list(BANDS)].stack().median() > 2:
        raise InputError("Got bands above 2, need reflectance 0-1; divide by 10000.")
    for name in ("T2MIN", "T2MAX", "T2MEAN", "TSMDEWMEAN"):
        if name in table and table[name].notna().any() and table[name].median() < 150:
            raise InputError(f"Got {name} of {table[name].median():.0f}, need kelvin; add 273.15.")


def _latitude(raw: pd.DataFrame) -> np.ndarray:
    """Degrees: given, or the middle of the tile's latitude band; NaN if neither."""
    for name in ("lat", "latitude", "LAT"):
        if name in raw:
            return _numbers(raw[name])
    for name, pattern in (
        ("TILE_ID_x", r"^T?\d{2}([C-X])"),
        ("TILE_ID_y", r"^T?\d{2}([C-X])"),
        ("Chip", r"\.T\d{2}([C-X])"),
    ):
        if name in raw:
            # Half a band (4 degrees) is near enough: latitude counts by day length and season alone.
            letter = raw[name].astype(str).str.extract(pattern)[0]
            return letter.map(
                {one: -76.0 + 8 * i for i, one in enumerate(MGRS_LATITUDE_BANDS)}
            ).values.astype(float)
    return np.full(len(raw), np.nan)


def add_embeddings(table: pd.DataFrame, model: str = "default") -> pd.DataFrame:
    """Add the embedding of each row's day, from all spectra of its site as a series of one pixel.

    Bands stand for those of Sentinel-2 of the same wavelengths; spectra of one day are averaged, those of cloud or
    snow left out where the site has others.

    Parameters
    ----------
    table
        As ``read`` returns it.
    model
        Name or path of the embedder.

    Returns
    -------
    DataFrame
        The table with the columns ``e00`` and so on.
    """
    import torch

    from embeddings import engine
    from embeddings.inputs import AcquisitionSeries, to_epoch_day
    from models import checkpoints
    from models.sensors import HLS_BANDS

    net = checkpoints.load(model, "cpu")
    spec, middle = net.config.specs["s2"], engine.HALO_PX
    day, z = to_epoch_day(table["date"].values), np.empty((len(table), net.features), np.float32)
    where = [spec.bands.index(name) for name in HLS_BANDS]
    # Site by site: spectra of other sites must not enter.
    for rows in table.groupby("site").indices.values():
        days, of = np.unique(day[rows], return_inverse=True)
        spectra = table[list(BANDS)].iloc[rows].groupby(of).mean()
        clear = gpp_features.is_clear(*(spectra[name] for name in ("b2", "b3", "b6"))).values
        # An image of one pixel: the halo around it is missing.
        values = np.full((len(days), len(spec.bands), 2 * middle + 1, 2 * middle + 1), np.nan, np.float32)
        values[:, where, middle, middle] = np.where(clear[:, None] | ~clear.any(), spectra, np.nan)
        tokens = engine.encode(net, "s2", AcquisitionSeries(values, np.isfinite(values).any(1), days))
        with torch.inference_mode():
            z[rows] = net.embed({"s2": tokens}, torch.from_numpy(days)[None]).z[0, :, 0].numpy()[of]
    return table.assign(**{f"e{i:02d}": column for i, column in enumerate(z.T)})


def signed_sqrt(gpp: np.ndarray) -> np.ndarray:
    """Square root of the size, with the sign: errors of GPP grow with GPP, those of its root hardly.

    Parameters
    ----------
    gpp
        gC m-2 d-1, any shape; measurements may be negative.

    Returns
    -------
    ndarray
        The same shape.
    """
    return np.sign(gpp) * np.sqrt(np.abs(gpp))


def signed_square(value: np.ndarray) -> np.ndarray:
    """Undo ``signed_sqrt``.

    Parameters
    ----------
    value
        Signed root of GPP, any shape.

    Returns
    -------
    ndarray
        gC m-2 d-1, the same shape.
    """
    return np.sign(value) * np.square(value)


@dataclass(frozen=True)
class FeatureDomain:
    """Where the features of training rows lie, by mean and covariance (Mahalanobis 1936).

    Parameters
    ----------
    mean
        (feature,)
    inverse
        (feature, feature) inverse covariance.
    limit
        Distance beyond which a row is out of distribution.
    """

    mean: np.ndarray
    inverse: np.ndarray
    limit: float = np.inf

    @classmethod
    def from_features(cls, x: np.ndarray) -> FeatureDomain:
        """Estimate mean and covariance, with a ridge that keeps constant features invertible.

        Parameters
        ----------
        x
            (row, feature)

        Returns
        -------
        FeatureDomain
            Without a limit.
        """
        return cls(x.mean(0), np.linalg.inv(np.cov(x.T) + 1e-6 * np.diag(x.var(0) + 1e-12)))

    def mahalanobis(self, x: np.ndarray) -> np.ndarray:
        """Distance of rows from the training rows.

        Parameters
        ----------
        x
            (row, feature)

        Returns
        -------
        ndarray
            (row,) in standard deviations.
        """
        away = x - self.mean
        return np.sqrt(np.einsum("nf,fg,ng->n", away, self.inverse, away))


@dataclass
class TableGppHead:
    """GPP of table rows: an equal mixture of Gaussian processes with different kernels, on the signed root of GPP.

    Parameters
    ----------
    processes
        ``models.gpp.gaussian_process.SiteGaussianProcess``, one per kernel.
    imputer
        Completes rows with missing columns.
    interval_scale
        Factor on the spread that gave the band its coverage at left-out sites.
    domain
        Where the features of training rows lie, for `ood`.
    digest
        Digest of the weights, empty before they are saved.
    card
        Model card: what the head was fitted on.
    groups
        Features by group, as ``gpp_features.GROUPS``.
    """

    processes: list
    imputer: GaussianImputer
    interval_scale: float = 1.0
    domain: FeatureDomain | None = None
    digest: str = ""
    card: dict | None = None
    groups: dict[str, tuple[str, ...]] = field(default_factory=lambda: GROUPS)

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        kernels: tuple[str, ...] = ("gaussian", "cauchy", "matern"),
        steps: int = 25,
        groups: dict[str, tuple[str, ...]] = GROUPS,
        by: str = "site",
    ) -> TableGppHead:
        """Fit everything to a table.

        Parameters
        ----------
        table
            As ``read`` returns it, with ``gpp``; rows without GPP are left out.
        kernels
            Names in ``models.gpp.gaussian_process.SHAPES``, one process each.
        steps
            Optimiser steps of each process.
        groups
            Features by group.
        by
            Column whose groups are left out whole to set the width of the band.

        Returns
        -------
        TableGppHead
            Calibrated, conditioned on the rows.
        """
        import torch

        from models.gpp.gaussian_process import SiteGaussianProcess

        table = table[table["gpp"].notna()]
        x, imputer, y, site = _training_tensors(table, groups)
        index = torch.from_numpy(gpp_features.group_index(groups))
        processes = [SiteGaussianProcess(index, kernel).fit(x, y, site, steps) for kernel in kernels]
        return cls(processes, imputer, groups=groups).calibrate(table[by])

    def conditioned_on(self, table: pd.DataFrame) -> TableGppHead:
        """Copy with the same hyperparameters, scaling and imputer, conditioned on other rows.

        Parameters
        ----------
        table
            With ``gpp``; rows without GPP are left out.

        Returns
        -------
        TableGppHead
            A new one.
        """
        x, _, y, site = _training_tensors(table[table["gpp"].notna()], self.groups, self.imputer)
        return replace(self, processes=[process.conditioned_on(x, y, site) for process in self.processes])

    def nystroem(self) -> TableGppHead:
        """The head as it is shipped: nearly the same predictions, from inducing inputs instead of measured rows.

        Returns
        -------
        TableGppHead
            A new one, which holds no measurement.
        """
        return replace(self, processes=[process.nystroem() for process in self.processes])

    def calibrate(self, group: pd.Series) -> TableGppHead:
        """Set the width of the band and the limit of `ood`.

        The band is scaled, in the manner of conformal prediction (Vovk et al. 2005), so that it holds its share of the
        rows when each group is left out in turn. For `ood` each site is compared with the others.

        Parameters
        ----------
        group
            (row,) label of the rows conditioned on.

        Returns
        -------
        TableGppHead
            This one.
        """
        # Errors in units of the predicted spread: one factor widens sure and unsure rows alike.
        mean, spread = self.leave_group_out(group)
        process = self.processes[0]
        error = np.abs(process.y.numpy() - mean) / spread
        self.interval_scale = float(np.quantile(error, COVERAGE)) / NORMAL_90
        x, site = (
            (process.x * process.spread + process.centre).numpy()[:, self._row_features],
            process.site.numpy(),
        )
        distance = np.concatenate(
            [FeatureDomain.from_features(x[site != s]).mahalanobis(x[site == s]) for s in np.unique(site)]
        )
        limit = float(np.quantile(distance, OOD_QUANTILE))
        self.domain = replace(FeatureDomain.from_features(x), limit=limit)
        return self

    def leave_group_out(self, group: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Predict each row from all rows outside its group.

        Parameters
        ----------
        group
            (row,) label of the rows conditioned on.

        Returns
        -------
        mean, spread
            (row,) mean and standard deviation of the signed root of GPP.
        """
        import torch

        index = torch.from_numpy(pd.factorize(group)[0])
        return _mixture([[part.numpy() for part in p.leave_group_out(index)] for p in self.processes])

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predict GPP of rows, all taken as of new sites.

        Parameters
        ----------
        table
            As ``read`` returns it.

        Returns
        -------
        DataFrame
            ``gpp``, ``gpp_lo``, ``gpp_hi`` (gC m-2 d-1, a 90 % band) and ``ood`` with the index of the table. Rows with
            a missing band are out of distribution.
        """
        import torch

        # A mixture over imputations and kernels: what is missing widens the band by the spread between them.
        predictions, distances = [], []
        for rows in self.imputer.impute(gpp_features.base(table)):
            x = gpp_features.features(rows, table, self.groups).values
            predictions += [[part.numpy() for part in p.predict(torch.tensor(x))] for p in self.processes]
            distances.append(self.domain.mahalanobis(x[:, self._row_features]))
        mean, spread = _mixture(predictions)
        lost = table[list(BANDS)].isna().any(axis=1).values
        return pd.DataFrame(
            gpp_with_band(mean, spread, self.interval_scale)
            | {"ood": (np.mean(distances, 0) > self.domain.limit) | lost},
            table.index,
        )

    @property
    def _row_features(self) -> list[int]:
        """Positions of the features of the row itself."""
        names = [name for group in self.groups.values() for name in group]
        return [names.index(n) for g in self.groups if g in ROW_GROUPS for n in self.groups[g]]


def gpp_with_band(mean: np.ndarray, spread: np.ndarray, interval_scale: float) -> dict[str, np.ndarray]:
    """Back from the signed root to GPP and its 90 % band.

    Parameters
    ----------
    mean, spread
        (row,) mean and standard deviation of the signed root of GPP.
    interval_scale
        Factor on the spread.

    Returns
    -------
    dict
        ``gpp`` (not negative), ``gpp_lo`` and ``gpp_hi`` (which may be, as measurements are), (row,) gC m-2 d-1.
    """
    half = NORMAL_90 * interval_scale * spread
    return {
        "gpp": np.square(np.maximum(mean, 0)),
        "gpp_lo": signed_square(mean - half),
        "gpp_hi": signed_square(mean + half),
    }


def _training_tensors(
    table: pd.DataFrame, groups: dict[str, tuple[str, ...]], imputer: GaussianImputer | None = None
):
    """Features (row, feature), imputer, signed root of GPP (row,) and site numbers (row,)."""
    import torch

    table = table.reset_index(drop=True)
    base = gpp_features.base(table)
    imputer = imputer or GaussianImputer.fit(base)
    drawn = imputer.impute(base)
    # Training rows are completed by the mean of their imputations: draws would add noise to the kernels' inputs.
    complete = sum(drawn[1:], drawn[0]) / len(drawn)
    x = gpp_features.features(complete, table, groups).values
    site = np.unique(table["site"], return_inverse=True)[1]
    return torch.tensor(x), imputer, torch.tensor(signed_sqrt(table["gpp"].values)), torch.tensor(site)


def _mixture(parts: list) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an equal mixture of (mean, variance); total variance is within plus between."""
    means, variances = (np.stack(part) for part in zip(*parts, strict=True))  # (part, row)
    return means.mean(0), np.sqrt(variances.mean(0) + means.var(0))


def save(head: TableGppHead, path: str | Path, card: dict) -> str:
    """Write a head as tensors and configuration, in its Nystroem approximation.

    Parameters
    ----------
    head
        Fitted.
    path
        File to write, ending in ``.safetensors``.
    card
        What the head was fitted on, JSON.

    Returns
    -------
    str
        Digest of the tensors.

    Raises
    ------
    InputError
        When the name has another suffix.
    """
    import torch

    from models import checkpoints

    # ``filler``, ``usual``, ``widen`` and ``unusual`` are keys of the shipped file: imputer, domain, interval_scale and
    # the limit of the domain.
    head = head.nystroem()
    tensors = {f"filler.{name}": torch.tensor(getattr(head.imputer, name)) for name in ("mean", "cov")}
    tensors |= {f"usual.{name}": torch.tensor(getattr(head.domain, name)) for name in ("mean", "inverse")}
    for i, process in enumerate(head.processes):
        tensors |= {f"{i}.{name}": tensor.clone() for name, tensor in process.state().items()}
    config = {
        "kernels": [process.shape for process in head.processes],
        "features": list(gpp_features.NAMES),
        "widen": head.interval_scale,
        "unusual": head.domain.limit,
    }
    return checkpoints.save_head(path, KIND, tensors, config, card)


@cache
def load(path: str | Path = "default") -> TableGppHead:
    """Read a head, once per path and process.

    Parameters
    ----------
    path
        ``default`` for the shipped head, or a file that ``fluxlens train gpp --table`` wrote.

    Returns
    -------
    TableGppHead
        Ready to predict; it holds no measurement.

    Raises
    ------
    InputError
        When the file is not such a head, or has other features than this version.
    """
    from models import checkpoints
    from models.gpp.gaussian_process import SiteGaussianProcess

    path = checkpoints.WEIGHTS / WEIGHTS if str(path) == "default" else Path(path)
    tensors, config, card, digest = checkpoints.load_head(path, KIND)
    # Names in order: a renamed or moved feature would be read as another one.
    if config["features"] != list(gpp_features.NAMES):
        raise InputError(
            f"Got {path.name} made for other features, need this version's; run `fluxlens train gpp`."
        )
    processes = []
    for i, kernel in enumerate(config["kernels"]):
        state = {
            name.split(".", 1)[1]: tensor for name, tensor in tensors.items() if name.startswith(f"{i}.")
        }
        processes.append(SiteGaussianProcess.from_state(state, kernel))
    imputer = GaussianImputer(tensors["filler.mean"].numpy(), tensors["filler.cov"].numpy())
    domain = FeatureDomain(tensors["usual.mean"].numpy(), tensors["usual.inverse"].numpy(), config["unusual"])
    return TableGppHead(processes, imputer, config["widen"], domain, digest, card)


def predict(in_csv: str | Path, out_csv: str | Path, head: str | Path = "default") -> pd.DataFrame:
    """Predict GPP of a CSV table and write it.

    Parameters
    ----------
    in_csv
        Table as for ``read``.
    out_csv
        File to write: ``site,date,gpp,gpp_lo,gpp_hi,ood``, a row per row; its folder must exist.
    head
        ``default`` for the shipped head, or the path of one.

    Returns
    -------
    DataFrame
        What was written; gC m-2 d-1, a 90 % band.

    Raises
    ------
    InputError
        When the table or the place to write is not as needed.
    """
    import os

    table = read(in_csv)
    result = pd.concat([table[["site", "date"]], load(head).predict(table)], axis=1)
    result["date"] = result["date"].dt.strftime("%Y-%m-%d")
    out = Path(out_csv)
    if not out.parent.is_dir():
        raise InputError(f"Got {out}, whose folder does not exist, need one that does; create it.")
    # Written next to the file and renamed, so that a reader never meets half a table.
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        result.to_csv(partial, index=False, float_format="%.4f")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return result
