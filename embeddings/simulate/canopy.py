"""Reflectance and absorbed PAR of a canopy over soil, interpolated in a table of radiative transfer.

The numbers come from PROSAIL (Jacquemoud et al. 2009, doi:10.1016/j.rse.2008.01.026), here PROSPECT-D + 4SAIL, by
``make_canopy_table.py``. The sun's height and the view are the same for a whole acquisition, so they are
interpolated once per date; brown pigment and leaf water once per land unit; leaf area and chlorophyll for each pixel.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

TABLE_FILE = Path(__file__).parent / "canopy_table.npz"


@dataclass(frozen=True)
class Band:
    """One Sentinel-2 band: S2A values of ESA's Sentinel-2 Spectral Response Functions,
    COPE-GSEG-EOPG-TN-15-0007."""

    centre_nm: float
    width_nm: float
    """Full width at half maximum."""
    native_m: int


BANDS = {
    "B02": Band(492.4, 66, 10),
    "B03": Band(559.8, 36, 10),
    "B04": Band(664.6, 31, 10),
    "B05": Band(704.1, 15, 20),
    "B06": Band(740.5, 15, 20),
    "B07": Band(782.8, 20, 20),
    "B08": Band(832.8, 106, 10),
    "B8A": Band(864.7, 21, 20),
    "B11": Band(1613.7, 91, 20),
    "B12": Band(2202.4, 175, 20),
}


@dataclass(frozen=True)
class LeafType:
    """Parameters of PROSAIL that are fixed for a kind of leaf; ranges as in Jacquemoud et al. 2009."""

    structure: float
    """PROSPECT N, layers."""
    dry_matter_g_cm2: float
    mean_angle_deg: float
    """Campbell's ellipsoidal mean leaf angle."""
    hotspot: float
    """Leaf size over canopy height."""


LEAVES = {
    "broad": LeafType(1.8, 0.0055, 45.0, 0.10),
    "grass": LeafType(1.8, 0.004, 56.0, 0.05),
    "needle": LeafType(2.0, 0.020, 57.0, 0.03),
}
VIEWS = {"hot": 30.0, "cold": 150.0}
"""Relative azimuth, degrees, of sun and sensor: sun at the sensor's back (towards the hotspot), and against it."""
VIEW_ZENITH_DEG = 10.0
"""Near the swath's edge: Sentinel-2 sees at most about 11 degrees off nadir."""
SUN_DEG = (15.0, 35.0, 55.0, 72.0)
AXES = {
    "brown": (0.0, 0.5, 1.5),
    "water": (0.005, 0.012, 0.025),
    "cab": (5.0, 20.0, 40.0, 80.0),
    "lai": (0.0, 0.25, 0.6, 1.1, 1.8, 2.8, 4.2, 7.0),
}
"""brown pigment (arbitrary, PROSPECT), leaf water g cm-2, chlorophyll ug cm-2, leaf area m2 m-2."""
CHANNELS = 3 * len(BANDS) + 1
"""a, b, c of each band, then absorbed PAR."""


def _bracket(nodes: tuple[float, ...], value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The node below each value, and how far it is to the next one (0-1); outside, the edge."""
    grid = np.asarray(nodes, dtype=np.float32)
    # Held at the edges: radiative transfer does not extrapolate linearly.
    value = np.clip(value, grid[0], grid[-1])
    # At most the last but one node, so that low + 1 exists also where a value is the last node itself.
    low = np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 2)
    return low, ((value - grid[low]) / (grid[low + 1] - grid[low])).astype(np.float32)


@dataclass(frozen=True)
class CanopyTable:
    """The table of radiative transfer; it is interpolated linearly, one axis after the other."""

    values: np.ndarray
    """(leaf, view, sun, brown, water, cab, lai, channel) float32."""

    @staticmethod
    def pack(values: np.ndarray) -> np.ndarray:
        """The table (any shape), reflectance and fractions, as uint16.

        Parameters
        ----------
        values
            Channels, unitless, all between 0 and 1.1.
        """
        # Shared by all channels: fractions beyond 1.1 do not occur, and a step of 1.7e-5 is below a product's 1e-4.
        return np.round(np.clip(values, 0, 1.1) / 1.1 * 65535).astype(np.uint16)

    @classmethod
    @cache
    def load(cls) -> "CanopyTable":
        """The shipped table, read once per process."""
        with np.load(TABLE_FILE) as stored:
            return cls(stored["table"].astype(np.float32) * np.float32(1.1 / 65535))

    def at_geometry(self, sun_deg: float, hotspot_weight: float) -> np.ndarray:
        """The table of one acquisition, whose sun and view are the same for all pixels.

        Parameters
        ----------
        sun_deg
            Solar zenith angle, degrees; held at the edges of ``SUN_DEG``.
        hotspot_weight
            1 where the sun stands at the sensor's back, 0 where the sensor looks against it.

        Returns
        -------
        (leaf, brown, water, cab, lai, channel)
        """
        low, fraction = _bracket(SUN_DEG, np.asarray(sun_deg))
        # The view is taken out first: what is left is (leaf, sun, brown, water, cab, lai, channel).
        view = self.values[:, 0] * np.float32(hotspot_weight) + self.values[:, 1] * np.float32(
            1 - hotspot_weight
        )
        return view[:, low] * (1 - fraction) + view[:, low + 1] * fraction

    def at_units(
        self, acquisition: np.ndarray, leaf: np.ndarray, brown: np.ndarray, water: np.ndarray
    ) -> np.ndarray:
        """The table of each land unit.

        Parameters
        ----------
        acquisition
            What ``at_geometry`` returns.
        leaf
            (unit,) index into ``LEAVES``.
        brown
            (unit,) brown pigment, PROSPECT's arbitrary units.
        water
            (unit,) leaf water, g cm-2.

        Returns
        -------
        (unit, cab, lai, channel)
        """
        b, pb = _bracket(AXES["brown"], brown)
        w, pw = _bracket(AXES["water"], water)
        pb, pw = pb[:, None, None, None], pw[:, None, None, None]  # (unit, 1, 1, 1)
        # Bilinear in brown pigment and leaf water, one gather per corner.
        dry = acquisition[leaf, b, w] * (1 - pb) + acquisition[leaf, b + 1, w] * pb
        wet = acquisition[leaf, b, w + 1] * (1 - pb) + acquisition[leaf, b + 1, w + 1] * pb
        return dry * (1 - pw) + wet * pw

    @staticmethod
    def at_pixels(units: np.ndarray, unit: np.ndarray, lai: np.ndarray, cab: np.ndarray) -> np.ndarray:
        """Channels of each pixel.

        Parameters
        ----------
        units
            What ``at_units`` returns.
        unit
            (pixel,) the land unit of each pixel.
        lai
            (pixel,) leaf area, m2 m-2.
        cab
            (pixel,) leaf chlorophyll, ug cm-2.

        Returns
        -------
        (pixel, channel)
        """
        # (pixel,) node below, and (pixel, 1) share of the way to the next one.
        n, c = _bracket(AXES["lai"], lai)[0], _bracket(AXES["cab"], cab)[0]
        pn, pc = _bracket(AXES["lai"], lai)[1][:, None], _bracket(AXES["cab"], cab)[1][:, None]
        # Flat rows (unit x cab x lai, channel): the four corners are then plain row look-ups.
        flat = units.reshape(-1, units.shape[-1])
        lais, cabs = units.shape[2], units.shape[1]
        at = (unit * cabs + c) * lais + n  # (pixel,) row of the lower corner
        # Bilinear in chlorophyll and leaf area.
        out = flat[at] * ((1 - pc) * (1 - pn))
        out += flat[at + 1] * ((1 - pc) * pn)
        out += flat[at + lais] * (pc * (1 - pn))
        out += flat[at + lais + 1] * (pc * pn)
        return out


def over_soil(channels: np.ndarray, soil: np.ndarray) -> np.ndarray:
    """Reflectance of canopies over soils: ``a + b s / (1 - c s)``, the soil's multiple reflections summed.

    Parameters
    ----------
    channels
        (..., channel) of ``CanopyTable``.
    soil
        (..., band) reflectance of the ground, 0-1.

    Returns
    -------
    (..., band) bidirectional reflectance.
    """
    n = len(BANDS)
    a, b, c = channels[..., :n], channels[..., n : 2 * n], channels[..., 2 * n : 3 * n]
    return a + b * soil / (1 - c * soil)


def absorbed(channels: np.ndarray) -> np.ndarray:
    """Fraction of PAR absorbed by the canopy, green and brown.

    Parameters
    ----------
    channels
        (..., channel) of ``CanopyTable``.

    Returns
    -------
    (...,) 0-1.
    """
    return np.clip(channels[..., -1], 0, 1)
