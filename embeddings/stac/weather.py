"""Daily weather of a place from NASA POWER: MERRA-2 and CERES, half a degree to a degree wide, free of charge.

https://power.larc.nasa.gov/docs/services/api/temporal/daily/
"""

from __future__ import annotations

from datetime import date, timedelta
from urllib.parse import urlencode, urlsplit

import pandas as pd
import xarray as xr
from fluxlens.embeddings import meteorology
from fluxlens.embeddings.scenes import schema, validation
from fluxlens.embeddings.stac import access
from fluxlens.embeddings.stac.request import Request
from fluxlens.models.errors import InputError

NAME = "nasa-power"
URL = "https://power.larc.nasa.gov/api/temporal/daily/point"
LEAD_DAYS = 30
"""Days of weather before the first day of the request: GPP depends on the recent past."""
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
    """Fetch the daily weather of a place.

    Parameters
    ----------
    request : Request
        Its point and days; ``LEAD_DAYS`` before the first day are fetched too, for the recent past that GPP needs.
    url : str
        The service.

    Returns
    -------
    xarray.Dataset
        Node ``weather`` on ``time``: ``sw_in`` W m-2, ``tair`` degC, ``vpd`` hPa, ``precip`` mm d-1, float32; NaN on
        days the service does not know yet.

    Raises
    ------
    InputError
        Where the service does not answer, refuses, or answers something else.
    """
    first = date.fromisoformat(request.start) - timedelta(days=LEAD_DAYS)
    query = {
        "parameters": ",".join(PARAMETERS),
        "community": "AG",
        "longitude": f"{request.lon:.4f}",
        "latitude": f"{request.lat:.4f}",
        "start": f"{first:%Y%m%d}",
        "end": request.end.replace("-", ""),
        "format": "JSON",
        # The service's own default is local solar time.
        "time-standard": "UTC",
    }
    response = access.get(f"{url}?{urlencode(query)}")
    if not response.ok:
        raise _no_weather_error(url, f"code {response.status_code}")
    try:
        content = response.json()
        missing, units = float(content["header"]["fill_value"]), content["parameters"]
        table = pd.DataFrame(content["properties"]["parameter"]).astype("float64")
        table.index = pd.to_datetime(table.index, format="%Y%m%d").as_unit("ns")
        # Its fill value stands in the header and has changed between versions.
        table = table.where(table != missing)[list(PARAMETERS)].sort_index()
        # Units as the answer tells them: they depend on the community asked for.
        known = {name: table[name] * UNITS[name][units[name]["units"]] for name in PARAMETERS}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _no_weather_error(
            url, f"an answer that is no weather ({type(error).__name__} {error})"
        ) from error
    days = xr.Dataset(
        {name: ("time", values.values) for name, values in known.items()}, {"time": table.index}
    )
    node = xr.Dataset(
        {
            "sw_in": days[SOLAR],
            "tair": days[MEAN],
            # Saturation at both extremes, since it is convex in temperature.
            "vpd": meteorology.vapour_pressure_deficit_hpa(
                days[HIGH], days[LOW], meteorology.saturation_vapour_pressure_hpa(days[DEW])
            ),
            "precip": days[RAIN],
        }
    ).astype("float32")
    for name in node.data_vars:
        node[name].attrs = {"units": schema.units("weather", str(name))}
    return validation.check_node(schema.NODES["weather"], node.assign_attrs(source=SOURCE))


def _no_weather_error(url: str, got: str) -> InputError:
    return InputError(
        f"Got {got} from {urlsplit(url).netloc}, need daily weather; give a table of your own with --weather FILE.csv."
    )
