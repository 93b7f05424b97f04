"""The series of one pixel as the charts show it, and NDVI decoded from embeddings."""

from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.scene import SceneData
from fluxlens.embeddings.store import QUALITY
from fluxlens.embeddings.variables import GPP_COLUMNS

GAP_DAYS = 10
"""A stretch without a clear view longer than this many days is shaded in the charts."""
SERIES_ATTRS = {
    "pc": ("principal component of the embedding", "1"),
    "gpp": ("gross primary production", "gC m-2 d-1"),
    "gpp_lo": ("GPP, lower end of the 90 % band", "gC m-2 d-1"),
    "gpp_hi": ("GPP, upper end of the 90 % band", "gC m-2 d-1"),
    "ndvi": ("NDVI", "1"),
    "ndvi_decoded": ("NDVI decoded from the embedding", "1"),
    "gpp_pixels": ("gross primary production", "gC m-2 d-1"),
    "ndvi_decoded_pixels": ("NDVI decoded from the embedding", "1"),
    "VV": ("VV backscatter", "dB"),
    "VH": ("VH backscatter", "dB"),
    "gpp_correlation": ("correlation with GPP", "1"),
    "sigma": ("expected reflectance error", "1"),
    "days_from_s2": ("days to the nearest clear Sentinel-2 acquisition", "d"),
    "days_from_s1": ("days to the nearest Sentinel-1 acquisition", "d"),
}
"""``long_name`` and ``units`` of the variables of a series, which hvPlot writes on axes."""


class SeriesReader:
    """Reads pixels of one scene; the latest are cached.

    Parameters
    ----------
    scene : SceneData
        Embeddings, weather and GPP model.
    imagery : Imagery
        NDVI and backscatter of the same scene.
    """

    def __init__(self, scene: SceneData, imagery: Imagery):
        self.scene, self.imagery = scene, imagery
        self._pixels = lru_cache(maxsize=256)(self._read_pixel)

    @cached_property
    def _decoder_model(self):
        """The model that can decode reflectance from this store's embeddings, or None."""
        from fluxlens.embeddings.inference import reconstruct

        return reconstruct.load_decoder(self.scene.attrs) if self.imagery.has_ndvi else None

    def decode_ndvi(self, cube: xr.Dataset) -> np.ndarray | None:
        """NDVI decoded from the embedding of every day, in the cube's dims less ``feature``; None without a decoder.

        Parameters
        ----------
        cube : xarray.Dataset
            ``embedding`` (time[, pixel], feature) int8 with ``scale``.
        """
        if self._decoder_model is None:
            return None
        from fluxlens.embeddings.inference import reconstruct

        bands = ("B04", self.imagery.nir_band)
        red, nir = reconstruct.decode_reflectance(cube, self._decoder_model, bands).values.T
        # ``.T`` twice: the bands come last, and unpacking wants them first. Decoded reflectance may be 0 in both bands.
        return ((nir - red) / np.maximum(nir + red, 0.01)).T

    def pixel(self, row: int, col: int) -> xr.Dataset:
        """All that the charts show of one pixel.

        Parameters
        ----------
        row, col : int
            The pixel.

        Returns
        -------
        xarray.Dataset
            On daily ``time``: ``pc`` (time, component), ``sigma``, ``days_from_s2``, ``days_from_s1``, and where they
            can be had ``gpp``, ``gpp_lo``, ``gpp_hi`` (gC m-2 d-1) and ``ndvi_decoded``. On ``acquisition``: ``ndvi``,
            ``clear``. On ``passage``: ``VV``, ``VH`` (dB). On ``feature``: ``gpp_correlation`` (-1 to 1).
        """
        return self._pixels(row, col)

    def _read_pixel(self, row: int, col: int) -> xr.Dataset:
        scene, imagery = self.scene, self.imagery
        cube = scene.store.series(row, col).load()
        weights, mean = scene.components
        steps = cube.embedding.transpose("time", "feature").values
        pc = steps * scene.scale @ weights - mean @ weights  # (time, component)
        coords = {"time": scene.days, "component": ["PC1", "PC2", "PC3"][: pc.shape[1]]}
        out = {"pc": (("time", "component"), pc.astype("float32"), {"long_name": "principal component"})}
        out |= {name: ("time", cube[name].values) for name in QUALITY}
        if scene.predict:
            predicted = scene.predict(cube, scene.weather)
            for name in GPP_COLUMNS:
                out[name] = ("time", predicted[name].values.astype("float32"), {"units": "gC m-2 d-1"})
            out["gpp_correlation"] = (
                "feature",
                # Of the stored steps: the scale of a feature changes no correlation.
                correlate(steps, out["gpp"][1]),
                {"long_name": "correlation"},
            )
        x, y = scene.centre(row, col)
        at = {"x": x, "y": y}
        if imagery.has_ndvi:
            coords["acquisition"] = imagery.s2.time.values
            out["ndvi"] = ("acquisition", imagery.ndvi_at(at).values)
            out["clear"] = ("acquisition", imagery.clear_at(at).values)
            if (decoded := self.decode_ndvi(cube)) is not None:
                out["ndvi_decoded"] = ("time", decoded, {"long_name": "NDVI decoded from the embedding"})
        # One constructor call: each variable assigned by itself would be aligned with all others anew, which took
        # longer than reading the pixel.
        series = xr.Dataset(out | imagery.radar_at(at), coords, {"row": row, "col": col})
        return label_variables(series)


def label_variables(series: xr.Dataset) -> xr.Dataset:
    """The same ``series`` of a place with ``long_name`` and ``units`` of ``SERIES_ATTRS`` on its variables."""
    for name, (long_name, units) in SERIES_ATTRS.items():
        if name in series.variables:
            # Through ``variables``: ``series[name]`` would build an array with all its coordinates for each.
            series.variables[name].attrs = {"long_name": long_name, "units": units}
    return series


def find_gaps(
    clear_times: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp, min_days: int = GAP_DAYS
) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Stretches (start, end) inside ``first`` .. ``last`` without a clear view for more than ``min_days`` days.

    Parameters
    ----------
    clear_times : pandas.DatetimeIndex
        Rising times of clear views.
    first, last : pandas.Timestamp
        Ends of the period; they bound the first and the last gap.
    min_days : int
        Gaps of that many days or fewer are left out.
    """
    # The ends of the period bound the first and the last gap as clear views do.
    edges = pd.DatetimeIndex([first, *clear_times[(clear_times > first) & (clear_times < last)], last])
    long = np.flatnonzero(np.diff(edges) > pd.Timedelta(days=min_days))
    return [(edges[i], edges[i + 1]) for i in long]


def correlate(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pearson correlation of each column with ``values``; 0 where one of them is constant.

    Parameters
    ----------
    columns : numpy.ndarray
        (time, column), any numeric dtype.
    values : numpy.ndarray
        (time,).

    Returns
    -------
    numpy.ndarray
        (column,) float64, -1 to 1.
    """
    # Centred in float64: int8 steps would overflow when they are squared.
    columns, values = columns - columns.mean(0, dtype="float64"), values - values.mean(dtype="float64")
    spread = np.sqrt((columns**2).sum(0) * (values**2).sum())
    return np.divide(values @ columns, spread, out=np.zeros(columns.shape[1]), where=spread > 0)
