"""Daily weather of a place from NASA POWER: MERRA-2 and CERES, half a degree to a degree wide, free of charge.

https://power.larc.nasa.gov/docs/services/api/temporal/daily/
"""

from __future__ import annotations

from datetime import date, timedelta
from urllib.parse import urlencode, urlsplit

import pandas as pd
import xarray as xr

from embeddings import meteorology, schema
from embeddings.stac import access
from embeddings.stac.request import Request
from models.errors import InputError

NAME = "nasa-power"
URL = "https://power.larc.nasa.gov/api/temporal/daily/point"
LEAD_DAYS = 30
"""Before the first day asked: GPP looks at the recent past."""
SOLAR, MEAN, HIGH, LOW, DEW, RAIN = PARAMETERS = (
    "ALLSKY_SFC_SW_DWN",
    "T2M",
    "T2M_MAX",
    "T2M_MIN",
    "T2MDEW",
    "PRECTOTCORR",
)
UNITS = {
    SOLAR: {"MJ/m^2/day": 1e6 / 86400, "kW-hr/m^2/day": 1000 / 24, "kWh/m^2/day": 1000 / 24, "W/m^2": 1.0},
    **{name: {"C": 1.0} for name in (MEAN, HIGH, LOW, DEW)},
    RAIN: {"mm/day": 1.0},
}
"""What a unit of each parameter is in W m-2, degC, mm d-1."""
SOURCE = "NASA POWER, Langley Research Center: MERRA-2 (GMAO) and CERES SYN1deg"


def fetch(request: Request, url: str = URL) -> xr.Dataset:
    """The node ``weather`` for the days of a request and ``LEAD_DAYS`` before; days it does not know yet are NaN."""
    first = date.fromisoformat(request.start) - timedelta(days=LEAD_DAYS)
    asked = {
        "parameters": ",".join(PARAMETERS),
        "community": "AG",
        "longitude": f"{request.lon:.4f}",
        "latitude": f"{request.lat:.4f}",
        "start": f"{first:%Y%m%d}",
        "end": request.end.replace("-", ""),
        "format": "JSON",
        "time-standard": "UTC",
    }
    answer = access.get(f"{url}?{urlencode(asked)}")
    if not answer.ok:
        raise _useless(url, f"code {answer.status_code}")
    try:
        told = answer.json()
        missing, units = float(told["header"]["fill_value"]), told["parameters"]
        table = pd.DataFrame(told["properties"]["parameter"]).astype("float64")
        table.index = pd.to_datetime(table.index, format="%Y%m%d").as_unit("ns")
        table = table.where(table != missing)[list(PARAMETERS)].sort_index()
        known = {name: table[name] * UNITS[name][units[name]["units"]] for name in PARAMETERS}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _useless(url, f"an answer that is no weather ({type(error).__name__} {error})") from error
    days = xr.Dataset(
        {name: ("time", values.values) for name, values in known.items()}, {"time": table.index}
    )
    node = xr.Dataset(
        {
            "sw_in": days[SOLAR],
            "tair": days[MEAN],
            "vpd": meteorology.vapour_pressure_deficit_hpa(
                days[HIGH], days[LOW], meteorology.saturation_vapour_pressure_hpa(days[DEW])
            ),
            "precip": days[RAIN],
        }
    ).astype("float32")
    for name in node.data_vars:
        node[name].attrs = {"units": schema.units("weather", str(name))}
    return schema.checked(schema.NODES["weather"], node.assign_attrs(source=SOURCE))


def _useless(url: str, got: str) -> InputError:
    return InputError(
        f"Got {got} from {urlsplit(url).netloc}, need daily weather; give a table of your own with --weather FILE.csv."
    )
