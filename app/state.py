"""The choices of one visitor: which entry, day, layer, feature and pixels; one object per session."""

import datetime as dt
from dataclasses import dataclass

import param

from app.labels import Label, with_one
from models.errors import InputError

LAYERS = {
    "true": "True colour",
    "pca": "Embedding",
    "feature": "Feature",
    "published": "Published",
    "gpp": "GPP",
    "width": "GPP band",
    "similar": "Similar",
    "clusters": "Clusters",
    "labels": "Labels",
    "sigma": "Sigma",
    "gap": "Days from S2",
}
COLOURS = ("#129089", "#0072b2", "#c0548f", "#b8860b", "#6b5fb5", "#5a7d2a")
"""One for each place, told apart by the colour-blind, legible on light and dark."""
CLUSTERS = range(2, 9)


@dataclass(frozen=True)
class Place:
    """A pixel, or an area with the pixel nearest to its middle."""

    slot: int
    """Index of its colour, kept for as long as the place stays."""
    row: int
    col: int
    area: tuple = ()
    """Polygons, each rings of (lon, lat), the outline and then the holes; empty for a pixel."""


class State(param.Parameterized):
    """What is chosen; views watch it, nothing else holds a choice."""

    entry = param.String(default="", doc="Catalog entry on screen.")
    day = param.CalendarDate(
        default=dt.date(2020, 1, 1), doc="Day of the map and of the charts' cursor, UTC."
    )
    layer = param.Selector(default="pca", objects=list(LAYERS), doc="What the map shows.")
    feature = param.Integer(default=0, bounds=(0, None), doc="Embedding feature of the layer 'feature'.")
    places = param.List(default=[], item_type=Place, doc="Pins and areas, in the order they were chosen.")
    current = param.Integer(default=0, doc="Slot of the place that taps move and charts tell of in full.")
    year = param.Boolean(default=False, doc="Similar, Clusters, Labels: by the whole period, not by the day.")
    threshold = param.Number(default=0.8, bounds=(-1, 1), doc="Less similar pixels are faded.")
    clusters = param.Integer(default=5, bounds=(CLUSTERS[0], CLUSTERS[-1]), doc="Number of clusters.")
    labels = param.List(default=[], item_type=Label, doc="Pixels a visitor named, for the layer 'labels'.")
    charts = param.List(default=["ndvi", "pc", "radar", "gpp"], item_type=str, doc="Charts shown.")
    tower = param.Boolean(default=True, doc="Whether tower GPP is drawn beside the prediction.")
    page = param.Selector(
        default="series", objects=["series", "tower", "compute"], doc="What stands beside the map."
    )
    flux = param.Selector(
        default="gpp_nt", objects=["gpp_nt", "gpp_dt"], doc="The tower page's partitioning."
    )
    least_qc = param.Number(default=0.75, bounds=(0, 1), doc="The tower page's least quality of a day, 0-1.")
    sight = param.Selector(
        default="pixel",
        objects=["pixel", "radius", "footprint"],
        doc="What the tower's prediction stands for.",
    )
    radius_m = param.Number(default=250, bounds=(50, 500), doc="Of the sight 'radius'.")
    height_m = param.Number(
        default=None, bounds=(0.1, 200), allow_None=True, doc="Sensors above the displacement height, m."
    )
    dark = param.Boolean(default=False, doc="Dark colours.")
    message = param.String(default="", doc="One sentence for the visitor; empty when all is well.")

    def watch(self, answer, names: list[str] | str) -> None:
        """As ``param.watch``, until ``forget``: for views of one store."""
        self._watchers = [*getattr(self, "_watchers", []), self.param.watch(answer, names)]

    def forget(self) -> None:
        """Ends what ``watch`` began: views of another store take over."""
        for watcher in getattr(self, "_watchers", []):
            self.param.unwatch(watcher)
        self._watchers = []

    @property
    def place(self) -> Place | None:
        """The current place, or None before the first tap."""
        return next((place for place in self.places if place.slot == self.current), None)

    @property
    def pixel(self) -> tuple[int, int] | None:
        """The current pixel (row, col); of an area the one in its middle."""
        return (self.place.row, self.place.col) if self.place else None

    @property
    def question(self) -> tuple:
        """What the map shows; equal questions have equal pictures."""
        return self.ask(self.layer, self.day)

    def ask(self, layer: str, day: dt.date) -> tuple:
        """The question of a layer on a day, with all other choices as they are."""
        period = None if self.year else day
        if layer == "feature":
            return "feature", day, self.feature
        if layer == "similar":
            return "similar", period, self.pixel, self.threshold
        if layer == "clusters":
            return "clusters", period, self.clusters
        if layer == "labels":
            return "labels", period, tuple(self.labels)
        return layer, day

    def label(self, row: int, col: int, name: str) -> None:
        """One more label, one less, or another name for one; a message where it is none."""
        try:
            self.param.update(labels=list(with_one(tuple(self.labels), row, col, name)), message="")
        except InputError as error:
            self.message = str(error)

    @property
    def seen(self) -> tuple:
        """What the tower's prediction stands for, as ``ground.ground`` takes it."""
        sizes = {"radius": (self.radius_m,), "footprint": (self.height_m,)}
        return self.sight, *sizes.get(self.sight, ())

    def pin(self, row: int, col: int, area: tuple = (), add: bool = False) -> None:
        """Moves the current pin to (row, col); with ``add``, or from an area, makes another place of its own."""
        held = self.place
        if held is None or held.area or area or add:
            free = [slot for slot in range(len(COLOURS)) if slot not in {p.slot for p in self.places}]
            if not free:
                self.message = f"Got {len(COLOURS)} places already, need a free colour; remove a place first."
                return
            new = Place(free[0], row, col, area)
            self.param.update(places=[*self.places, new], current=new.slot, message="")
        else:
            new = Place(held.slot, row, col)
            self.param.update(places=[new if p is held else p for p in self.places], message="")

    def remove(self) -> None:
        """Takes the current place away; the last one stays."""
        if len(self.places) > 1:
            left = [place for place in self.places if place.slot != self.current]
            self.param.update(places=left, current=left[-1].slot, message="")

    def step(self, days: int, first: dt.date, last: dt.date) -> None:
        """Moves the day by ``days``, kept inside first..last."""
        self.day = min(max(self.day + dt.timedelta(days=days), first), last)
