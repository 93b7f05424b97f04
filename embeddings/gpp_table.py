"""GPP for tables of single spectra with weather, at sites the head never saw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from embeddings import gpp_features
from embeddings.gpp_features import BANDS, GROUPS, WEATHER, Filler
from models.errors import InputError

WEIGHTS = "gpp_table.safetensors"
KIND = "table"
BAND = 0.90
NORMAL_90 = 1.6449
UNUSUAL = 0.99
"""Share of training rows that lie nearer to the other sites' centre than the limit of `ood`."""
NEVER = ("LHLAND", "SHLAND")
"""Outputs of a land model, which already knows the vegetation: never used."""
SENTINEL_2 = ("B02", "B03", "B04", "B8A", "B11", "B12")
"""The bands of Sentinel-2 that see what ``BANDS`` see."""
LETTERS = "CDEFGHJKLMNPQRSTUVWX"
"""Latitude bands of 8 degrees of the military grid, from 80 S."""


def read(path: str | Path, need_gpp: bool = False) -> pd.DataFrame:
    """A table with `site`, `date` (days), the bands, what there is of weather, `lat` where it can be known, `gpp`."""
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
    """Checks names, dates and numbers; keeps order and number of rows."""
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
            letter = raw[name].astype(str).str.extract(pattern)[0]
            return letter.map({one: -76.0 + 8 * i for i, one in enumerate(LETTERS)}).values.astype(float)
    return np.full(len(raw), np.nan)


def embedded(table: pd.DataFrame, model: str = "default") -> pd.DataFrame:
    """The table with `e00` ... of each row's day, from all of its site's spectra as a series of one pixel.

    Bands stand for those of Sentinel-2 of the same wavelengths; spectra of one day are averaged, those of cloud or
    snow left out where the site has others.
    """
    import torch

    from embeddings import engine
    from embeddings.inputs import AcquisitionSeries, to_epoch_day
    from models import checkpoints

    net = checkpoints.load(model, "cpu")
    spec, middle = net.config.specs["s2"], engine.HALO_PX
    day, z = to_epoch_day(table["date"].values), np.empty((len(table), net.features), np.float32)
    where = [spec.bands.index(name) for name in SENTINEL_2]
    for rows in table.groupby("site").indices.values():
        seen, of = np.unique(day[rows], return_inverse=True)
        spectra = table[list(BANDS)].iloc[rows].groupby(of).mean()
        clear = gpp_features.clear(*(spectra[name] for name in ("b2", "b3", "b6"))).values
        values = np.full((len(seen), len(spec.bands), 2 * middle + 1, 2 * middle + 1), np.nan, np.float32)
        values[:, where, middle, middle] = np.where(clear[:, None] | ~clear.any(), spectra, np.nan)
        tokens = engine.encode(net, "s2", AcquisitionSeries(values, np.isfinite(values).any(1), seen))
        with torch.inference_mode():
            z[rows] = net.embed({"s2": tokens}, torch.from_numpy(seen)[None]).z[0, :, 0].numpy()[of]
    return table.assign(**{f"e{i:02d}": column for i, column in enumerate(z.T)})


def root(gpp: np.ndarray) -> np.ndarray:
    """Signed square root: errors of GPP grow with GPP, those of its root hardly."""
    return np.sign(gpp) * np.sqrt(np.abs(gpp))


def square(value: np.ndarray) -> np.ndarray:
    """Back from ``root``."""
    return np.sign(value) * np.square(value)


@dataclass(frozen=True)
class Usual:
    """Where the features of a row usually lie, by mean and covariance (Mahalanobis 1936)."""

    mean: np.ndarray
    inverse: np.ndarray
    limit: float = np.inf

    @classmethod
    def of(cls, x: np.ndarray) -> Usual:
        return cls(x.mean(0), np.linalg.inv(np.cov(x.T) + 1e-6 * np.diag(x.var(0) + 1e-12)))

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Of each row, in standard deviations."""
        away = x - self.mean
        return np.sqrt(np.einsum("nf,fg,ng->n", away, self.inverse, away))


@dataclass
class Head:
    """Processes of several kernels, averaged; how to fill gaps; how wide the band; what is unusual."""

    processes: list
    filler: Filler
    widen: float = 1.0
    """Factor on the spread that made the band hold at left-out sites."""
    usual: Usual | None = None
    digest: str = ""
    card: dict | None = None
    groups: dict[str, tuple[str, ...]] = field(default_factory=lambda: GROUPS)
    """What it looks at, as in ``gpp_features.GROUPS``."""

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        kernels: tuple[str, ...] = ("gaussian", "cauchy", "matern"),
        steps: int = 25,
        groups: dict[str, tuple[str, ...]] = GROUPS,
        by: str = "site",
    ) -> Head:
        """Learns everything from this table, which has `gpp`; rows without GPP are left out.

        The band is made to hold where a whole ``by`` (a column of the table) is left out.
        """
        import torch

        from models.process import SiteProcess

        table = table[table["gpp"].notna()]
        x, filler, y, site = _lesson(table, groups)
        index = torch.from_numpy(gpp_features.group_index(groups))
        processes = [SiteProcess(index, kernel).fit(x, y, site, steps) for kernel in kernels]
        return cls(processes, filler, groups=groups).calibrate(table[by])

    def know(self, table: pd.DataFrame) -> Head:
        """The same hyperparameters, scaling and filler, with other rows to predict from."""
        x, _, y, site = _lesson(table[table["gpp"].notna()], self.groups, self.filler)
        return replace(self, processes=[process.knowing(x, y, site) for process in self.processes])

    def sketch(self) -> Head:
        """The head as it is shipped: it predicts the same from pseudo-rows and holds no measurement."""
        return replace(self, processes=[process.sketch() for process in self.processes])

    def calibrate(self, group: pd.Series) -> Head:
        """Widens the band by leaving out each group of known rows in turn; each site for the limit of `ood`."""
        mean, spread = self.left_out(group)
        error = np.abs(self.processes[0].y.numpy() - mean) / spread
        self.widen = float(np.quantile(error, BAND)) / NORMAL_90
        known = self.processes[0]
        x, site = (known.x * known.spread + known.centre).numpy()[:, self._now], known.site.numpy()
        far = np.concatenate([Usual.of(x[site != s]).distance(x[site == s]) for s in np.unique(site)])
        self.usual = replace(Usual.of(x), limit=float(np.quantile(far, UNUSUAL)))
        return self

    def left_out(self, group: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of root GPP at each known row from all rows outside its group."""
        import torch

        index = torch.from_numpy(pd.factorize(group)[0])
        return _mixture([[part.numpy() for part in p.left_out(index)] for p in self.processes])

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """`gpp`, `gpp_lo`, `gpp_hi` (gC m-2 d-1) and `ood` of each row."""
        import torch

        answers, far = [], []
        for rows in self.filler.fill(gpp_features.base(table)):
            x = gpp_features.features(rows, table, self.groups).values
            answers += [[part.numpy() for part in p.predict(torch.tensor(x))] for p in self.processes]
            far.append(self.usual.distance(x[:, self._now]))
        mean, spread = _mixture(answers)
        lost = table[list(BANDS)].isna().any(axis=1).values
        return pd.DataFrame(
            banded(mean, spread, self.widen) | {"ood": (np.mean(far, 0) > self.usual.limit) | lost},
            table.index,
        )

    @property
    def _now(self) -> list[int]:
        """Features of the row itself, by which `ood` is told."""
        names = [name for group in self.groups.values() for name in group]
        return [names.index(n) for g in self.groups if g in NOW for n in self.groups[g]]


NOW = ("leaf", "bands", "embedding", "air", "light")
"""Groups of features of the row itself."""


def banded(mean: np.ndarray, spread: np.ndarray, widen: float) -> dict[str, np.ndarray]:
    """GPP never negative in the middle; its band may reach below zero, as measurements do."""
    half = NORMAL_90 * widen * spread
    return {
        "gpp": np.square(np.maximum(mean, 0)),
        "gpp_lo": square(mean - half),
        "gpp_hi": square(mean + half),
    }


def _lesson(table: pd.DataFrame, groups: dict[str, tuple[str, ...]], filler: Filler | None = None):
    import torch

    table = table.reset_index(drop=True)
    base = gpp_features.base(table)
    filler = filler or Filler.fit(base)
    drawn = filler.fill(base)
    complete = sum(drawn[1:], drawn[0]) / len(drawn)
    x = gpp_features.features(complete, table, groups).values
    site = np.unique(table["site"], return_inverse=True)[1]
    return torch.tensor(x), filler, torch.tensor(root(table["gpp"].values)), torch.tensor(site)


def _mixture(answers: list) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of equal parts, each a (mean, variance)."""
    means, variances = (np.stack(part) for part in zip(*answers, strict=True))
    return means.mean(0), np.sqrt(variances.mean(0) + means.var(0))


def save(head: Head, path: str | Path, card: dict) -> str:
    """The head as tensors and configuration; returns its digest."""
    import torch

    from models import heads

    head = head.sketch()
    tensors = {f"filler.{name}": torch.tensor(getattr(head.filler, name)) for name in ("mean", "cov")}
    tensors |= {f"usual.{name}": torch.tensor(getattr(head.usual, name)) for name in ("mean", "inverse")}
    for i, process in enumerate(head.processes):
        tensors |= {f"{i}.{name}": tensor.clone() for name, tensor in process.state().items()}
    config = {
        "kernels": [process.shape for process in head.processes],
        "features": list(gpp_features.NAMES),
        "widen": head.widen,
        "unusual": head.usual.limit,
    }
    return heads.save(path, KIND, tensors, config, card)


@cache
def load(path: str | Path = "default") -> Head:
    """The shipped head, or that of a file."""
    from models import heads
    from models.process import SiteProcess

    path = heads.WEIGHTS / WEIGHTS if str(path) == "default" else Path(path)
    tensors, config, card, digest = heads.load(path, KIND)
    if config["features"] != list(gpp_features.NAMES):
        raise InputError(
            f"Got {path.name} made for other features, need this version's; run `fluxlens train gpp`."
        )
    processes = []
    for i, kernel in enumerate(config["kernels"]):
        state = {
            name.split(".", 1)[1]: tensor for name, tensor in tensors.items() if name.startswith(f"{i}.")
        }
        processes.append(SiteProcess.of(state, kernel))
    filler = Filler(tensors["filler.mean"].numpy(), tensors["filler.cov"].numpy())
    usual = Usual(tensors["usual.mean"].numpy(), tensors["usual.inverse"].numpy(), config["unusual"])
    return Head(processes, filler, config["widen"], usual, digest, card)


def predict(in_csv: str | Path, out_csv: str | Path, head: str | Path = "default") -> pd.DataFrame:
    """Reads a table, writes `site,date,gpp,gpp_lo,gpp_hi,ood` in its order (90 % band), and returns that."""
    import os

    table = read(in_csv)
    answer = pd.concat([table[["site", "date"]], load(head).predict(table)], axis=1)
    answer["date"] = answer["date"].dt.strftime("%Y-%m-%d")
    out = Path(out_csv)
    if not out.parent.is_dir():
        raise InputError(f"Got {out}, whose folder does not exist, need one that does; create it.")
    beside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        answer.to_csv(beside, index=False, float_format="%.4f")
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return answer
