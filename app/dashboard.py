"""The dashboard, `panel serve app/dashboard.py`: an Explorer per session, wired of state, data and views."""

import gc
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

import dask
import pandas as pd
import panel as pn
import xarray as xr
from bokeh.settings import settings

from app import export, link, visiting
from app.data import Data
from app.opening import OPENINGS, Opening, predictor, steps
from app.runs import ENTRY, Run
from app.state import Place, State
from app.views import messages
from app.views.browser import Browser
from app.views.compute import ComputeView
from app.views.export import ExportView
from app.views.header import Header
from app.views.map import MapView
from app.views.pages import PagesView
from app.views.places import PlacesView, outlined
from app.views.series import SeriesView
from app.views.style import page_css, sheets
from app.views.tower import TowerView
from app.views.visitor import VisitorForm
from app.visiting import Visitor
from models.errors import InputError

TITLE = "fluxlens"
POLL_MS = 250
READY_S = 3.5
"""A store that is there is open by then, before the first visitor is answered; one to be made is told on the page."""
MADE = re.compile(rf"{ENTRY}[0-9a-f]{{12}}")
LINKED = ("day", "layer", "places", "labels", "current", "charts", *link.CHOICES)
_COLUMNS = """
:host { flex: 1 1 auto !important; display: grid !important; gap: 12px; align-items: stretch;
  grid-template-columns: minmax(330px, 46fr) minmax(380px, 54fr); grid-template-rows: 1fr; }
@media (max-width: 780px) { :host { grid-template-columns: 1fr; grid-template-rows: none; } }
"""
_FILL = ":host { flex: 1 1 auto !important; }"
_PAGE = ":host { min-height: 100vh; background: var(--bg); }"
_BODY = ":host { flex: 1 1 auto !important; padding: 12px 18px 18px; box-sizing: border-box; }"


class Explorer:
    """The dashboard's own object: ``.panel()`` to look at, ``.selection`` and ``.series`` to work with.

    ``cat`` is an intake catalog; ``data`` shows a store directly, without a catalog.
    """

    def __init__(self, cat=None, entry: str = "", data: Data | None = None):
        self.cat = cat
        self.state = State(entry=entry)
        self.data: Data | None = None
        self.browser = Browser(width=0, height=0, margin=0)
        self.header = Header(self.state, self._entries())
        self._waiting = messages.waiting_pane()
        self._welcome = messages.welcome(lambda: setattr(self.browser, "explained", True))
        self._body = pn.Column(self._waiting, sizing_mode="stretch_width", margin=0, stylesheets=[_FILL])
        self.map: MapView | None = None
        self.charts: SeriesView | None = None
        self._opening: Opening | None = None
        self._asked: dict[str, str] = {}
        self._poll = None
        self._results: dict[str, Path] = {}
        self._scene: Data | None = None
        self._visitor: Visitor | None = None
        self._wire()
        if data is not None:
            data.keep()
            self.show(data)

    def _wire(self) -> None:
        self.state.param.watch(lambda _: self.open(self.state.entry), "entry")
        self.state.param.watch(lambda event: setattr(self.browser, "dark", event.new), "dark")
        self.browser.param.watch(lambda event: setattr(self.state, "dark", event.new), "dark")
        self.browser.param.watch(lambda event: setattr(self._welcome, "visible", not event.new), "returning")
        self.state.param.watch(self._write_link, list(LINKED))
        self.browser.param.watch(lambda event: self.map and self.map.step(event.new - event.old), "steps")
        self.browser.param.watch(lambda event: self.map and self.map.scrub(event.new - event.old), "scrubs")
        self.state.param.watch(lambda event: setattr(self.browser, "scrub", event.new == "feature"), "layer")

    def _entries(self) -> list[str]:
        """Names of the entries that hold embeddings."""
        if self.cat is None:
            return []
        from embeddings.catalog import entries

        return [entry.name for entry in entries(self.cat) if entry.kind == "embeddings"]

    # --- opening ---

    def open(self, entry: str) -> None:
        """Opens a catalog entry without stopping the page, at the snapshot a link names."""
        snapshot = self._asked.get("snapshot", "")
        self._opening = OPENINGS.get(
            str(getattr(self.cat, "path", "")), entry, lambda: steps(self.cat, entry, snapshot), snapshot
        )
        self._body[:] = [self._waiting]
        self._look()
        if self._opening is not None and self._poll is None:
            self._poll = pn.state.add_periodic_callback(self._again, period=POLL_MS)

    def start(self, entry: str = "", asked: str = "") -> None:
        """Opens the entry asked for, or the catalog's first; ``asked`` is the query of a link."""
        self._asked = link.read(asked)
        entry = entry or self._asked.get("entry", "")
        self._recall(entry)
        entry = entry or next(iter(self._entries()), "")
        if not entry:
            self.fail(
                "Got a catalog without embeddings, need at least one such entry; add one to the catalog."
            )
        elif self.state.entry == entry:
            self.open(entry)
        else:
            self.state.entry = entry

    def fail(self, sentence: str) -> None:
        """Says what is wrong; the page lives on."""
        self.state.message = sentence
        self._waiting.object = messages.nothing(self._entries())

    def _again(self) -> None:
        """Looks once the browser has drawn the page: Panel drops what is put into a page on its way there."""
        if pn.state.loaded:
            self._look()

    def _look(self) -> None:
        """How far the opening is; shows the explorer when it is done."""
        opening = self._opening
        if opening is None:
            return
        if not opening.ended:
            self._waiting.object = messages.waiting(
                f"Preparing {opening.entry}", opening.message, opening.fraction, opening.seconds
            )
            return
        self._opening = None
        if self._poll is not None:
            self._poll.stop()
            self._poll = None
        if opening.error:
            self.fail(opening.error)
        else:
            self.show(opening.data)

    def show(self, data: Data) -> None:
        """Puts a store on screen, its first pixel chosen, in the middle of its season."""
        self._scene, self.data = data, self._visited(data)
        data, state = self.data, self.state
        state.forget()
        state.param.update(
            day=data.days[len(data.days) // 2].date(),
            places=[Place(0, *data.start)],
            labels=[],
            current=0,
            feature=0,
            message="",
            layer=state.layer if state.layer in data.layers else data.layers[0],
        )
        link.restore(self._asked, state, data)
        self._asked = {}
        self.map = MapView(state, data, self.tap, self.outline, lambda xs, ys: self.compute.boxed(xs, ys))
        self.export = ExportView(state, data, self.map.plot.figure)
        self.places = PlacesView(state, data, self.map.plot.drawing, [self.export.view])
        self.charts = SeriesView(state, data, [self.places.view])
        self.header.show(data)
        pages = {"series": ("Series", lambda: self.charts.view)}
        site = str(data.tower.attrs.get("site", "")) if data.fluxes() else ""
        pages["tower"] = (f"Tower {site}".strip(), self._tower_page)
        if self._scene.can_compute:
            self.compute = ComputeView(state, self._scene, self.map.plot, self.made, self.open_made)
            pages["compute"] = ("Compute", lambda: self.compute.view)
        self.pages = PagesView(state, pages)
        columns = pn.Column(
            self.map.view, self.pages.view, sizing_mode="stretch_width", margin=0, stylesheets=[_COLUMNS]
        )
        self._body[:] = [columns]
        self._write_link()

    def _tower_page(self) -> pn.viewable.Viewable:
        self.visitor_form = VisitorForm(
            self.state, self.data, self.stand, self.leave if self._visitor is not None else None
        )
        if not self.data.fluxes():
            return self.visitor_form.view
        return TowerView(self.state, self.data, self.map.plot.see, [self.visitor_form.view]).view

    def _visited(self, data: Data) -> Data:
        """The store's answers with the visitor's own tower, as long as it stands inside."""
        if self._visitor is None:
            return data
        try:
            visiting.check(data, self._visitor.tower)
        except InputError:
            self._visitor = None
            return data
        return data.standing(self._visitor.tower, self._visitor.wind)

    # --- what a visitor does ---

    def stand(self, visitor: Visitor) -> None:
        """Shows the same view with the visitor's tower in it, and its page."""
        self._replace(visitor, "tower")

    def leave(self) -> None:
        """Takes the visitor's tower away."""
        self._replace(None, "series")

    def _replace(self, visitor: Visitor | None, page: str) -> None:
        self.state.param.update(page=page, message="", sight="pixel")
        self._asked, self._visitor = link.read(link.query(self.state, self.data)), visitor
        self._asked.pop("given", None)
        self.show(self._scene)

    def tap(self, x: float, y: float, add: bool = False) -> None:
        """Chooses the pixel at a place in metres, beside the others with ``add``; outside there is a message."""
        with pn.io.unlocked():
            self._tap(x, y, add)

    def _tap(self, x: float, y: float, add: bool) -> None:
        try:
            pixel = self.data.locate(x, y)
            if self.map.labels.asked:
                self.map.labels.put(*pixel)
                return
            self.state.pin(*pixel, add=add or self.places.more.value)
            self.places.more.value = False
            if self.map.plot.on_tower(x, y) and self.data.fluxes():
                self.state.page = "tower"
            elif self.state.page == "tower" and self.data.fluxes():
                self.state.page = "series"
        except InputError:
            lon, lat = self.data.grid.lonlat(x, y)
            self.state.message = (
                f"Got a tap at {lat:.5f}, {lon:.5f}, which is outside the scene; tap inside the picture."
            )

    def outline(self, xs: list[float], ys: list[float]) -> None:
        """Chooses the area inside a line, metres."""
        self.places.draw.value = False
        outlined(self.state, self.data, xs, ys)

    def made(self, run: Run) -> str:
        """Takes a finished run into this session's catalog; its name."""
        name = run.path.name
        if self.cat is not None:
            _, ny, nx = run.box.shape
            self._enter(name, f"{nx} × {ny} px, {run.box.first} to {run.box.last}")
        self._results[name] = run.path
        return name

    def open_made(self, name: str) -> None:
        """Shows the result of a run."""
        self.state.page = "series"
        if self.cat is not None:
            self.state.entry = name
        else:
            store = type(self.data.store).open(self._results[name])
            data = Data(store, predictor(store))
            data.keep()
            self.show(data)

    def _enter(self, name: str, description: str) -> None:
        from embeddings import cache, catalog

        catalog.add_store(self.cat, name, cache.folder() / name, description)
        self.header.add(name, description)

    def _recall(self, name: str) -> None:
        """A link may name a result of an earlier session that the cache still holds."""
        from embeddings import cache

        if self.cat is not None and MADE.fullmatch(name) and (cache.folder() / name).is_dir():
            self._enter(name, f"{name}, computed earlier")

    def _write_link(self, *_) -> None:
        """The address of a served page tells what is on it; a notebook's stays its own."""
        if _served() and self.data is not None:
            self.browser.link = link.query(self.state, self.data)

    # --- what a notebook reads ---

    @property
    def selection(self) -> xr.Dataset:
        """The current pixel, all days: embedding (times ``scale``), sigma, days from observation, GPP."""
        data = self._ready()
        cube = data.store.series(*self.state.pixel)
        pixel = data.pixel(*self.state.pixel)
        found = [name for name in ("gpp", "gpp_lo", "gpp_hi") if name in pixel]
        return cube.assign({name: ("time", pixel[name].values, pixel[name].attrs) for name in found})

    @property
    def series(self) -> pd.DataFrame:
        """The current pixel as the tidy table an export writes: one row per day."""
        data = self._ready()
        lon, lat = data.grid.lonlat(*data.centre(*self.state.pixel))
        return export.tidy(data.store, points=[export.Point(float(lon), float(lat))])

    def _idle(self) -> bool:
        """Whether nothing was asked for yet, as in a notebook."""
        return self.cat is not None and self._opening is None and self.data is None and not self.state.message

    def _wait(self) -> None:
        """Opens the catalog's first entry where none was asked for, and waits until it is there."""
        if self._idle():
            self.start(self.state.entry)
        while self._opening is not None:
            time.sleep(POLL_MS / 1000)
            self._look()

    def _ready(self) -> Data:
        self._wait()
        if self.data is None:
            raise InputError(self.state.message or "Got no store, need one; choose an entry.")
        return self.data

    def panel(self) -> pn.Column:
        """The whole screen."""
        if not _served():
            setup()
        if self._idle():
            self._wait()  # changes sent before a notebook has drawn the screen would be lost
        body = pn.Column(
            messages.message(self.state),
            self._welcome,
            self._body,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=sheets(_BODY),
        )
        return pn.Column(
            self.header.view, body, self.browser, sizing_mode="stretch_width", margin=0, stylesheets=[_PAGE]
        )


def _served() -> bool:
    """Whether this is a page of a server, not an output of a notebook."""
    return pn.state.curdoc is not None and pn.state.curdoc.session_context is not None


def setup() -> None:
    """What Panel and HoloViews need once per session; nothing is fetched from other hosts."""
    pn.extension(raw_css=[page_css()], respect_explicit_sizing=True, inline=not _served())


def page(catalog_path: str | Path | None = None) -> pn.Column:
    """The screen of a new session; a catalog that cannot be read becomes a message on it."""
    from embeddings import catalog

    settings.perform_document_validation = False  # a fifth of the time of a page; a test does it
    setup()
    try:
        cat = catalog.open(catalog_path)
    except InputError as error:
        explorer = Explorer()
        explorer.fail(str(error))
        return explorer.panel()
    explorer = Explorer(cat)
    explorer.start(asked=pn.state.location.search if pn.state.location else "")
    return explorer.panel()


def serve(
    catalog_path: str | Path | None = None,
    port: int = 5006,
    show: bool = False,
    address: str = "localhost",
    origins: tuple[str, ...] = (),
    login: Path | None = None,
) -> None:
    """Serves the dashboard until stopped.

    ``origins`` are the HOST[:PORT] under which browsers may reach it besides localhost; ``login`` is a JSON file of
    names and passwords. A login ends with the server.
    """
    # one process serves all: looking for a cluster would import one
    dask.config.set(scheduler="threads")
    if (first := _open_first(catalog_path)) is not None:
        first.wait(READY_S)
    gc.freeze()  # a page makes so many objects that all others would be looked through each time
    guarded = {
        "basic_auth": str(login),
        "cookie_secret": secrets.token_hex(32),
        "login_template": str(Path(__file__).parent / "views" / "login.html"),
    }
    pn.serve(
        {"/": lambda: page(catalog_path)},
        port=port,
        show=show,
        title=TITLE,
        address=address,
        websocket_origin=[*origins, f"localhost:{port}"] if origins else None,
        **(guarded if login else {}),
    )


def _open_first(catalog_path: str | Path | None) -> Opening | None:
    """Begins with what the first visitor will see; what is wrong with it is told to them."""
    from embeddings import catalog

    with suppress(InputError):
        cat = catalog.open(catalog_path)
        if first := next((entry.name for entry in catalog.entries(cat) if entry.kind == "embeddings"), ""):
            return OPENINGS.get(str(getattr(cat, "path", "")), first, lambda: steps(cat, first))
    return None


if __name__.startswith("bokeh_app"):
    # `panel serve` runs this file anew for every session; the imported module is made once per process.
    from app.dashboard import page as shared_page

    shared_page().servable(title=TITLE)
