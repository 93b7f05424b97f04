"""A request to a STAC API: a square on the ground, days, provider, radar product and cloud detector."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.scenes import cloud_mask
from fluxlens.models.errors import InputError

PROVIDERS = {
    "planetary-computer": "https://planetarycomputer.microsoft.com/api/stac/v1",
    "earth-search": "https://earth-search.aws.element84.com/v1",
}
S1_PRODUCTS = {
    "rtc": ("sentinel-1-rtc",),
    "grd": ("sentinel-1-grd",),
    "any": ("sentinel-1-rtc", "sentinel-1-grd"),
    "none": (),
}
"""Collections of Sentinel-1 by what the user calls them, the better first."""
STEP_M = 20
"""Edges lie on multiples of it, as those of Sentinel-2's own tiles do: a 20 m pixel is 2 x 2 of 10 m."""
SIDE_AT_MOST_M = 20_480
"""Longest side, m. A date is in memory as a whole: at this side 0.2 GB of reflectance an image, up to six images."""


@dataclass(frozen=True)
class Request:
    """A square around a point, all days from the first to the last."""

    lon: float
    """Degrees east of the square's middle."""
    lat: float
    """Degrees north."""
    size_m: int
    """Side, metres, a multiple of 20."""
    start: str
    """First day, YYYY-MM-DD, UTC."""
    end: str
    """Last day, included."""
    provider: str = "planetary-computer"
    """A name of PROVIDERS, or the URL of another STAC API."""
    s1: str = "any"
    """A name of S1_PRODUCTS."""
    clear: str = cloud_mask.SCL
    """Name of the detector that says what is clear, as in ``embeddings.scenes.cloud_mask``."""

    def __post_init__(self) -> None:
        # UTM ends there; the poles have grids of their own.
        if not (-180 <= self.lon <= 180 and -80 <= self.lat <= 84):
            raise InputError(
                f"Got lon {self.lon:g}, lat {self.lat:g}, need -180 to 180 and -80 to 84 (UTM); "
                "the order is LON,LAT."
            )
        # A side of whole 20 m pixels, so that both resolutions share their edges.
        if self.size_m % STEP_M or not 2 * STEP_M <= self.size_m <= SIDE_AT_MOST_M:
            near = min(max(round(self.size_m / STEP_M), 2), SIDE_AT_MOST_M // STEP_M) * STEP_M
            raise InputError(
                f"Got a side of {self.size_m} m, need a multiple of {STEP_M} from {2 * STEP_M} to "
                f"{SIDE_AT_MOST_M}; try {near}."
            )
        # Checked before any server is asked.
        if _day(self.start) > _day(self.end):
            raise InputError(f"Got {self.start} to {self.end}, need start before end; swap them.")
        if self.provider not in PROVIDERS and not self.provider.startswith(("http://", "https://")):
            raise InputError(
                f"Got the provider {self.provider!r}, need {', '.join(PROVIDERS)} or the URL of a STAC API; "
                "correct it."
            )
        if self.s1 not in S1_PRODUCTS:
            raise InputError(f"Got s1 {self.s1!r}, need one of {', '.join(S1_PRODUCTS)}; choose one.")
        # Raises for an unknown name: the mask is applied last, when hours of fetching are done.
        cloud_mask.detector(self.clear)

    @property
    def url(self) -> str:
        """Where the API answers."""
        return PROVIDERS.get(self.provider, self.provider)

    @cached_property
    def grid(self) -> Grid:
        """The 10 m grid in the UTM zone of the point, its edges on multiples of ``STEP_M``."""
        # 180 degrees east belongs to the last zone, not to a 61st.
        zone = min(int((self.lon + 180) // 6) + 1, 60)
        crs = f"EPSG:{(32600 if self.lat >= 0 else 32700) + zone}"
        x, y = Grid(crs, 0, 0, 10.0, 1, 1).xy(self.lon, self.lat)
        left, top = (
            # Moved by up to half a pixel of 20 m, so that tiles of Sentinel-2 need no resampling.
            round(edge / STEP_M) * float(STEP_M)
            for edge in (x - self.size_m / 2, y + self.size_m / 2)
        )
        return Grid(crs, left, top, 10.0, self.size_m // 10, self.size_m // 10)

    @property
    def days(self) -> str:
        """Both days in full, as STAC wants them."""
        return f"{self.start}T00:00:00Z/{self.end}T23:59:59Z"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InputError(f"Got the day {text!r}, need YYYY-MM-DD; correct it.") from error
