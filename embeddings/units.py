"""Units of weather, wind and carbon fluxes as files write them, and the factors to ours.

All readers of tables and NetCDF parse units here, so that a spelling that one of them knows is known to the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

DAY_S = 86400.0
GC_PER_UMOL = 1.0377
"""gC m-2 d-1 of 1 umol CO2 m-2 s-1: 86400 s x 12.011 g mol-1 x 1e-6."""
G_PER_MOL_CO2 = 44.0095
NO_UNITS = ("", "-", "--", "1", "n/a", "na", "none", "dimensionless", "unitless")
"""What stands in a row of units where a column has none."""


@dataclass(frozen=True)
class Unit:
    """A linear conversion into the unit of the contract."""

    factor: float
    offset: float = 0.0
    """contract value = value x factor + offset."""
    amount: bool = False
    """An amount per time step (mm, J m-2): steps of a day are summed; anything else is averaged."""

    def convert(self, values: np.ndarray | pd.Series) -> np.ndarray | pd.Series:
        """Values in the unit of the contract.

        Parameters
        ----------
        values
            Numbers in this unit, any shape.

        Returns
        -------
        numpy.ndarray or pandas.Series
            ``values * factor + offset``.
        """
        return values * self.factor + self.offset


# Spellings after ``_SPELLINGS``: lower case, no spaces, no ^ * . [ ] ( ), exponents written -2, / kept.
UNITS: dict[str, dict[str, Unit]] = {
    "sw_in": {
        "wm-2": Unit(1.0),
        "kwm-2": Unit(1e3),
        "mjm-2d-1": Unit(1e6 / DAY_S),
        "mjm-2": Unit(1e6 / DAY_S, amount=True),
        "mjm-2h-1": Unit(1e6 / 3600),
        "mjm-2hh-1": Unit(1e6 / 1800),
        "kjm-2d-1": Unit(1e3 / DAY_S),
        "kjm-2": Unit(1e3 / DAY_S, amount=True),
        "jm-2d-1": Unit(1 / DAY_S),
        "jm-2": Unit(1 / DAY_S, amount=True),
        "jcm-2d-1": Unit(1e4 / DAY_S),
        "jcm-2": Unit(1e4 / DAY_S, amount=True),
        "kwhm-2d-1": Unit(1e3 / 24),
        "kwhm-2": Unit(1e3 / 24, amount=True),
        "whm-2d-1": Unit(1 / 24),
        "whm-2": Unit(1 / 24, amount=True),
        # The thermochemical calorie, 4.184 J.
        "calcm-2d-1": Unit(4.184e4 / DAY_S),
    },
    "tair": {"degc": Unit(1.0), "k": Unit(1.0, -273.15), "degf": Unit(5 / 9, -160 / 9)},
    "vpd": {"hpa": Unit(1.0), "kpa": Unit(10.0), "pa": Unit(0.01), "mmhg": Unit(1.33322)},
    "precip": {
        "mmd-1": Unit(1.0),
        "mm": Unit(1.0, amount=True),
        "mmh-1": Unit(24.0),
        "mmhh-1": Unit(48.0),
        "mms-1": Unit(DAY_S),
        "m": Unit(1e3, amount=True),
        "md-1": Unit(1e3),
        "cm": Unit(10.0, amount=True),
        "cmd-1": Unit(10.0),
        "inch": Unit(25.4, amount=True),
        "inchd-1": Unit(25.4),
    },
    "heat": {"wm-2": Unit(1.0)},
    "pressure": {
        "kpa": Unit(1.0),
        "hpa": Unit(0.1),
        "pa": Unit(1e-3),
        "mmhg": Unit(0.133322),
        "atm": Unit(101.325),
        "bar": Unit(100.0),
    },
    "length": {"m": Unit(1.0), "cm": Unit(0.01), "km": Unit(1e3)},
    "variance_v": {"m2s-2": Unit(1.0), "m2/s2": Unit(1.0), "cm2s-2": Unit(1e-4)},
}
"""By variable: ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa, ``precip`` mm d-1, ``heat`` W m-2, ``pressure`` kPa,
``length`` m, ``variance_v`` m2 s-2; ``wind``, ``ustar`` and ``sigma_v`` m s-1 and ``direction`` degrees by patterns."""

SPEEDS = ("wind", "ustar", "sigma_v")
_SPEED = re.compile(
    r"(?P<size>[ck])?m(?:et(?:er|re)s?)?(?:/|per)?(?P<time>s|sec|seconds?|h|hr|hours?)(?:-?1)?"
)
_SPEED_WORDS = {
    **dict.fromkeys(("kt", "kts", "kn", "knot", "knots"), 0.514444),
    **dict.fromkeys(("mph", "mi/h", "milesperhour"), 0.44704),
    "mps": 1.0,
    "kph": 1 / 3.6,
}

_PLAIN = ((r"²|\*\*2|\^2", "2"), (r"⁻", "-"), (r"¹", "1"), (r"₂", "2"), (r"µ|μ", "u"), (r"−|–", "-"), (r"°|º", "deg"),
          # EddyPro writes every exponent: [W+1m-2].
          (r"\+1(?!\d)", ""), (r"\+(?=\d)", ""))  # fmt: skip
_SPELLINGS = (
    (r"(k?)w-?hr?\b", r"\1wh"),
    (r"[\s\^\*\.\[\]\(\)·_]", ""),
    (r"watts?/?", "w/"),
    (r"per", "/"),
    (r"/m2", "m-2"),
    (r"/cm2", "cm-2"),
    (r"m2", "m-2"),
    (r"m--2", "m-2"),
    (r"/?(30min(ute)?s?|halfhours?|hh)(-1)?$", "hh-1"),
    (r"/?(24h|days?|d)(-1)?$", "d-1"),
    (r"/?(hours?|hr|(?<!h)h)(-1)?$", "h-1"),
    (r"/?(seconds?|sec|s)(-1)?$", "s-1"),
    (r"^w/?(m-2)?$", "wm-2"),
    (r"^kw/(m-2)?$", "kwm-2"),
    (r"^(mbar|mb|hectopascal)$", "hpa"),
    (r"^kilopascal$", "kpa"),
    (r"^pascal$", "pa"),
    (r"^torr$", "mmhg"),
    (r"^kgm-2", "mm"),
    (r"^(mmh2o|millimet(er|re)s?|mmwe|l/?m-2)", "mm"),
    (r"^(met(er|re)s?|mofwaterequivalent|mwe)", "m"),
    (r"^(inches|in)", "inch"),
)
_TEMPERATURES = {
    "degc": re.compile("(deg(ree)?s?)?(celsius|centigrade|c)"),
    "k": re.compile("(deg(ree)?s?)?(kelvins?|k)"),
    "degf": re.compile("(deg(ree)?s?)?(fahrenheit|f)"),
}
_TENTHS = re.compile(r"(?P<part>0[.,]0*1|1/10|1/100)\s*\*?\s*(?=[^\d\s])")

_FLUX = re.compile(
    r"(?P<size>nano|micro|milli|kilo|[numk])?(?P<what>mol(?:es|s(?=[m/c]))?|g(?:r|rams?)?)(?P<of>co2-?c|co2|carbon|c)?(?P<rest>.*)"
)
_SIZES = {
    "": 1.0,
    "n": 1e-9,
    "nano": 1e-9,
    "u": 1e-6,
    "micro": 1e-6,
    "m": 1e-3,
    "milli": 1e-3,
    "k": 1e3,
    "kilo": 1e3,
}
_PER_DAY = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), DAY_S),
    **dict.fromkeys(("min", "minute"), 1440.0),
    **dict.fromkeys(("hh", "halfhour", "30min", "30minutes", "30mins"), 48.0),
    **dict.fromkeys(("h", "hr", "hour"), 24.0),
    **dict.fromkeys(("d", "day", "24h"), 1.0),
}


def is_stated(text: str) -> bool:
    """Whether a cell of units says anything.

    Parameters
    ----------
    text : str
        As a file writes it, such as ``[-]`` or ``W m-2``.
    """
    return text.strip("[]() ").lower() not in NO_UNITS


def parse_unit(variable: str, text: str) -> Unit | None:
    """The unit a text names.

    Parameters
    ----------
    variable : str
        A key of ``UNITS``, one of ``SPEEDS``, or ``direction``.
    text : str
        As files and column names write it: ``"MJ m-2 d-1"``, ``"MJ/m^2/day"``, ``"kPa"``, ``"kg m**-2 s**-1"``,
        ``"[m+1s-1]"``, ``"0.1 mm"``.

    Returns
    -------
    Unit or None
        None where the text is no unit of that variable.
    """
    normal = text.strip().lower()
    # Weather services store tenths as whole numbers.
    part = _TENTHS.match(normal)
    if part is not None and variable != "direction":
        unit = parse_unit(variable, normal[part.end() :])
        scale = 0.01 if "00" in part["part"] or "01" in part["part"] else 0.1
        return unit and Unit(unit.factor * scale, unit.offset, unit.amount)
    for pattern, spelling in (("**-", "-"), ("^-", "-")):
        normal = normal.replace(pattern, spelling)
    for pattern, spelling in _PLAIN:
        normal = re.sub(pattern, spelling, normal)
    # Without marks, exponents and bars kept.
    plain = re.sub(r"[\s\^*.\[\](){}·_]", "", normal)
    if variable == "direction":
        return (
            Unit(180 / np.pi)
            if re.match("rad", plain)
            else Unit(1.0)
            if re.match("(decimal)?deg", plain)
            else None
        )
    if variable in SPEEDS:
        if plain in _SPEED_WORDS:
            return Unit(_SPEED_WORDS[plain])
        if (speed := _SPEED.fullmatch(plain)) is None:
            return None
        size = {"c": 0.01, "k": 1e3, None: 1.0}[speed["size"]]
        return Unit(size / (3600 if speed["time"].startswith("h") else 1))
    if variable == "tair":
        return next(
            (UNITS["tair"][one] for one, words in _TEMPERATURES.items() if words.fullmatch(plain)), None
        )
    if plain in UNITS[variable]:
        return UNITS[variable][plain]
    for pattern, spelling in _SPELLINGS:
        normal = re.sub(pattern, spelling, normal)
    return UNITS[variable].get(normal)


def parse_carbon_flux(text: str, is_carbon: bool = False) -> Unit | None:
    """The unit of a flux of carbon or CO2 over ground that a text names, to gC m-2 d-1.

    Parameters
    ----------
    text : str
        Such as ``umol/m2/s``, ``gC m-2 d-1``, ``kg C m-2 s-1``, ``mg CO2 m-2 s-1``, ``gC m-2 hh-1``,
        ``[µmol+1s-1m-2]``.
    is_carbon : bool
        Whether grams that say not of what are of carbon, as a CF standard name tells.

    Returns
    -------
    Unit or None
        ``amount`` for grams without a time, which are of each step. None where the text is no such unit, or of weeks,
        months or years, whose lengths differ.
    """
    plain = text.lower()
    for pattern, spelling in _PLAIN:
        plain = re.sub(pattern, spelling, plain)
    plain = re.sub(r"[\s^*.()\[\]{}_·]", "", plain)
    match = _FLUX.fullmatch(plain)
    if match is None:
        return None
    rest = match["rest"]
    of = match["of"] or ""
    if match["what"].startswith("mol"):
        # A mole of CO2 is a mole of carbon, wherever that is written.
        rest, grams = re.sub(r"co2", "", rest), GC_PER_UMOL * 1e6 / DAY_S
    elif of == "co2":
        grams = GC_PER_UMOL * 1e6 / DAY_S / G_PER_MOL_CO2
    elif of or is_carbon:
        grams = 1.0
    else:
        return None  # grams of what
    rest, areas = re.subn(r"(/|per)?(?<!c)m(?:et(?:er|re)s?)?-?2(?=30|\D|$)", "", rest)
    if areas != 1:
        return None
    time = re.sub(r"^(/|per)|-?1$", "", rest)
    factor = _SIZES[match["size"] or ""] * grams
    if not time:
        return Unit(factor, amount=True) if not match["what"].startswith("mol") else None
    return Unit(factor * _PER_DAY[time]) if time in _PER_DAY else None
