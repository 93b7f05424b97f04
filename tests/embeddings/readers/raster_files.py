"""Small cubes of known content, written the way providers write them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.geometry import Grid, spatial_ref
from fluxlens.embeddings.scenes import schema

LEFT_M, TOP_M = 574_920.0, 5_622_200.0
CRS = "EPSG:32631"
TIMES = pd.DatetimeIndex(["2019-05-12T10:50:31", "2019-05-17T10:50:29", "2019-05-22T10:50:31"]).as_unit("ns")
ODC = dict(
    B02="blue", B03="green", B04="red", B05="rededge1", B06="rededge2", B07="rededge3", B08="nir", B8A="nir08",
    B11="swir16", B12="swir22",
)  # fmt: skip


@dataclass
class Truth:
    """What a cube holds: digital numbers (0 = no data) by band, SCL, and where and when."""

    numbers: dict[str, np.ndarray]
    """(time, y, x) uint16 per band."""
    scl: np.ndarray
    """(time, y, x) uint8."""
    grid: Grid
    times: pd.DatetimeIndex

    def reflectance(self, band: str) -> np.ndarray:
        """float32, NaN where the number is 0."""
        values = self.numbers[band].astype("float32") / np.float32(10_000)
        return np.where(self.numbers[band] == 0, np.float32(np.nan), values)

    def clear(self) -> np.ndarray:
        """SCL 4, 5, 6 with a number in every band."""
        return np.isin(self.scl, (4, 5, 6)) & np.all([one > 0 for one in self.numbers.values()], axis=0)


def truth(
    seed: int = 0, bands=schema.S2_BANDS, ny: int = 4, nx: int = 6, times=TIMES, holes: float = 0.05
) -> Truth:
    """Random land of the given bands; ``holes`` is the share of missing numbers."""
    draw = np.random.default_rng(seed)
    shape = (len(times), ny, nx)
    numbers = {}
    for band in bands:
        values = draw.integers(100, 6000, shape).astype("uint16")
        values[draw.random(shape) < holes] = 0
        numbers[band] = values
    scl = draw.choice(np.array([3, 4, 5, 6, 8, 9], "uint8"), shape)
    return Truth(numbers, scl, Grid(CRS, LEFT_M, TOP_M, 10.0, nx, ny), pd.DatetimeIndex(times))


def as_variables(
    of: Truth, names: dict[str, str] | None = None, scl: str = "SCL", time: str = "time"
) -> xr.Dataset:
    """One variable per band, uint16, CRS in ``spatial_ref``."""
    names = names or {band: band for band in of.numbers}
    dims = (time, "y", "x")
    return xr.Dataset(
        {**{names[band]: (dims, values) for band, values in of.numbers.items()}, scl: (dims, of.scl)},
        coords={time: of.times, "y": of.grid.y, "x": of.grid.x, "spatial_ref": spatial_ref(of.grid.crs)},
    )


def as_array(of: Truth, labels: list[str] | None = None, dim: str = "band") -> xr.DataArray:
    """One float64 array (time, band, y, x) with NaN for no data and SCL as a band, as stackstac and cubo give it."""
    stack = [np.where(values == 0, np.nan, values) for values in of.numbers.values()] + [of.scl.astype(float)]
    labels = labels or [*of.numbers, "SCL"]
    return xr.DataArray(
        np.stack(stack, axis=1),
        dims=("time", dim, "y", "x"),
        coords={"time": of.times, dim: labels, "y": of.grid.y, "x": of.grid.x},
        name="sentinel-2-l2a",
    )


def backscatter(seed: int = 0, count: int = 3, ny: int = 4, nx: int = 6) -> np.ndarray:
    """(polarisation, time, y, x) dB, -15 to -6 for VV and 7 dB less for VH."""
    draw = np.random.default_rng(seed)
    vv = draw.uniform(-15, -6, (count, ny, nx))
    return np.stack([vv, vv - 7])


def assert_same(scene: xr.DataTree, of: Truth, atol: float = 0.0) -> None:
    """The scene holds the truth: every band, the clear mask, dates and grid."""
    s2 = scene["s2"].to_dataset()
    assert list(s2["band"].values) == [band for band in schema.S2_BANDS if band in of.numbers]
    assert Grid.from_cube(s2) == of.grid
    np.testing.assert_array_equal(schema.utc_days(s2), of.times.values.astype("datetime64[D]"))
    for band in of.numbers:
        np.testing.assert_allclose(
            s2.reflectance.sel(band=band).values, of.reflectance(band), rtol=0, atol=atol, err_msg=band
        )
    np.testing.assert_array_equal(s2.clear.values, of.clear())
