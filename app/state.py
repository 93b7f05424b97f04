"""The choices of one visitor: which entry, day, layer, feature and pixels; one object per session."""

import datetime as dt

import param

LAYERS = {
    "true": "True colour",
    "pca": "Embedding",
    "feature": "Feature",
    "gpp": "GPP",
    "width": "GPP band",
    "sigma": "Sigma",
    "gap": "Days from S2",
}


class State(param.Parameterized):
    """What is chosen; views watch it, nothing else holds a choice."""

    entry = param.String(default="", doc="Catalog entry on screen.")
    day = param.CalendarDate(
        default=dt.date(2020, 1, 1), doc="Day of the map and of the charts' cursor, UTC."
    )
    layer = param.Selector(default="pca", objects=list(LAYERS), doc="What the map shows.")
    feature = param.Integer(default=0, bounds=(0, None), doc="Embedding feature of the layer 'feature'.")
    pins = param.List(
        default=[], item_type=tuple, doc="Tapped pixels as (row, col); the last one is current."
    )
    tower = param.Boolean(default=True, doc="Whether tower GPP is drawn beside the prediction.")
    dark = param.Boolean(default=False, doc="Dark colours.")
    message = param.String(default="", doc="One sentence for the visitor; empty when all is well.")

    @property
    def pixel(self) -> tuple[int, int] | None:
        """The current pixel (row, col), or None before the first tap."""
        return self.pins[-1] if self.pins else None

    def pin(self, row: int, col: int) -> None:
        """Makes (row, col) the current pixel."""
        self.param.update(pins=[(row, col)], message="")

    def step(self, days: int, first: dt.date, last: dt.date) -> None:
        """Moves the day by ``days``, kept inside first..last."""
        self.day = min(max(self.day + dt.timedelta(days=days), first), last)
