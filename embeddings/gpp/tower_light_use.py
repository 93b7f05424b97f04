"""k of NIRv x shortwave at towers that teach the shipped head, for a tower that cannot learn its own.

A baseline must not be fitted to the days that it is scored on. A tower with one year has no other days; the factor of
other towers has never seen it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fluxlens.models.errors import InputError

# Site-dates, sum of light x GPP and sum of light squared, with light = NIRv x shortwave (W m-2) at 30 m, GPP by
# night-time partitioning in gC m-2 d-1. Of ibm-nasa-geospatial/hls_merra2_gppFlux (CC BY 4.0), whose towers teach the
# shipped head; sums per tower and not one factor, so that a tower among them is left out exactly.
TOWER_SUMS: dict[str, tuple[int, float, float]] = {
    "CA-DB2": (15, 884.5, 14129.3),
    "FI-Qvd": (5, 1807.2, 9128.5),
    "GL-Dsk": (2, 63.7, 328.5),
    "IE-Cra": (3, 163.3, 2367.7),
    "IT-BFt": (38, 16986.9, 94644.8),
    "PE-QFR": (1, 556.0, 2729.5),
    "US-BZo": (43, 2951.6, 30678.8),
    "US-CS1": (13, 5857.0, 36391.5),
    "US-CS2": (17, 5839.8, 26184.2),
    "US-CS3": (8, 884.9, 5407.5),
    "US-CS4": (15, 3136.1, 23099.8),
    "US-DFC": (37, 7694.2, 59470.8),
    "US-DS3": (4, 2194.0, 9812.4),
    "US-HB1": (1, 93.0, 696.0),
    "US-HB2": (16, 5309.1, 36061.6),
    "US-HB3": (56, 9907.8, 90240.9),
    "US-Mo2": (46, 10966.5, 83090.4),
    "US-RGA": (26, 3806.1, 24531.2),
    "US-RGo": (24, 4119.9, 26270.5),
    "US-Snf": (1, 243.9, 909.9),
    "US-xAB": (18, 7078.4, 62425.2),
    "US-xBA": (7, 116.5, 4484.0),
    "US-xBL": (32, 4654.5, 43432.5),
    "US-xBN": (40, 2007.3, 18630.2),
    "US-xDJ": (13, 998.8, 9541.9),
    "US-xJR": (105, 757.3, 13802.1),
    "US-xSJ": (95, 4125.0, 58162.0),
    "US-xSL": (36, 2496.1, 27736.5),
    "US-xWD": (22, 982.9, 10719.8),
    "US-xYE": (12, 1569.0, 12786.1),
}


@dataclass(frozen=True)
class LightUse:
    """The one parameter of GPP = k x NIRv x shortwave (Badgley et al. 2017), and what it was fitted to."""

    k: float
    """gC m-2 d-1 per W m-2."""
    towers: int
    rows: int
    """Site-dates."""

    def __post_init__(self) -> None:
        if not (self.k > 0 and self.towers > 0):
            raise InputError(
                f"Got k {self.k:g} of {self.towers} towers, need both above zero; fit more towers."
            )


def light_use_of_other_towers(site: str = "") -> LightUse:
    """Fit k by least squares through the origin at the towers of ``TOWER_SUMS`` but one.

    Parameters
    ----------
    site : str
        Code of the tower to predict, such as ``US-xBL``; it is left out where it is among them.

    Returns
    -------
    LightUse
        Of the other towers.
    """
    other_sums = [sums for name, sums in TOWER_SUMS.items() if name.lower() != site.strip().lower()]
    rows, products, squares = (sum(column) for column in zip(*other_sums, strict=True))
    return LightUse(products / squares, len(other_sums), int(rows))
