"""The page of computing on demand: a box, its cost, the run, the queue, the way to the result."""

import datetime as dt
from html import escape

import numpy as np
import pandas as pd
import panel as pn

from app.data import Data
from app.pictures import Look
from app.plots import MapPlot
from app.runs import RUNS, Box, Run, models
from app.state import State
from app.views.style import sheets
from models.errors import InputError

POLL_MS = 200
DEFAULT_DAYS = 31
_TEXT = """
p { line-height: 1.55; margin: 4px 0 10px; color: var(--muted); max-width: 620px; } p b { color: var(--ink); }
.cost { font-variant-numeric: tabular-nums; line-height: 1.6; } .cost b { font-weight: 600; }
.track { height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; max-width: 620px; }
.bar { height: 100%; border-radius: 3px; background: var(--accent); transition: width .2s; }
.step { display: flex; justify-content: space-between; max-width: 620px; margin-top: 8px;
  font-variant-numeric: tabular-nums; }
.wrong { color: var(--warn); }
"""
HELP = (
    "<p><b>Compute a box of this scene now.</b> Press <i>Draw box</i> and drag on the map, choose days and model, "
    "and run. Blocks appear on the map as they are finished. The result is an entry of its own, in the list on top, "
    "and stays in the cache: whoever asks for the same pixels and days again waits for nothing.</p>"
)


def cost(data: Data, box: Box) -> str:
    """Pixels, seconds, bytes of a box; or why it cannot be."""
    told = RUNS.estimate(data, box)
    _, ny, nx = box.shape
    size = data.grid.size_m
    line = (
        f"<b>{nx} × {ny} px</b> ({nx * size:g} × {ny * size:g} m) × <b>{told.days} days</b> = "
        f"{told.pixels * told.days:,} embeddings · about <b>{_duration(told.seconds)}</b> · "
        f"at most <b>{told.nbytes / 1e6:,.1f} MB</b>"
    )
    try:
        told.check()
    except InputError as error:
        line += f'<br><span class="wrong">{escape(str(error))}</span>'
    return f'<div class="cost">{line}</div>'


def progress(run: Run) -> str:
    """Where a run is: its place in the queue, its blocks, its end."""
    ahead = RUNS.ahead(run)
    share = run.done / run.total if run.total else 0.0
    if run.state == "waiting":
        words = f"Waiting, {ahead} before you" if ahead else "Starting"
    elif run.state == "running":
        blocks = f", block {run.done} of {run.total}" if run.total else ""
        words = f"{run.step.capitalize()}{blocks}"
    else:
        told = {"done": f"Done in {_duration(run.seconds)}", "cancelled": "Cancelled; nothing is left of it"}
        words, share = told.get(run.state, run.error), float(run.state == "done")
    left = ""
    if run.state == "running" and 0 < share < 1:
        left = f"{_duration(run.computing_s / share * (1 - share))} left"
    wrong = ' class="wrong"' if run.state == "failed" else ""
    return (
        f'<div class="track" role="progressbar" aria-valuenow="{share:.0%}"><div class="bar" '
        f'style="width:{share:.0%}"></div></div><div class="step"><span{wrong}>{escape(words)}</span>'
        f"<span>{left}</span></div>"
    )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 10
        else f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
    )


class ComputeView:
    """A box of the scene on screen; ``on_done(run)`` takes the result into the session's catalog."""

    def __init__(self, state: State, data: Data, plot: MapPlot, on_done, on_open):
        self.state, self.data, self.plot = state, data, plot
        self.on_done, self.on_open = on_done, on_open
        self.run: Run | None = None
        self.entry = ""
        self._poll = None
        self._drawn: tuple = ()
        ny, nx = data.grid.shape
        row, col = data.start
        self.rows, self.cols = (slice(max(0, at - 16), min(n, at + 16)) for at, n in ((row, ny), (col, nx)))
        begin = min(
            max(state.day, data.first), max(data.first, data.last - dt.timedelta(days=DEFAULT_DAYS - 1))
        )
        end = min(begin + dt.timedelta(days=DEFAULT_DAYS - 1), data.last)
        self.draw = pn.widgets.Toggle(
            label="Draw box", margin=0, align="end", css_classes=["quiet"], stylesheets=sheets()
        )
        limits = {"start": data.first, "end": data.last, "width": 130, "margin": 0, "stylesheets": sheets()}
        self.first = pn.widgets.DatePicker(label="First day", value=begin, **limits)
        self.last = pn.widgets.DatePicker(label="Last day", value=end, **limits)
        self.model = pn.widgets.Select(
            label="Model",
            options={words: name for name, words in models(data).items()},
            width=200,
            margin=0,
            stylesheets=sheets(),
        )
        self.go = pn.widgets.Button(label="Run", margin=0, css_classes=["primary"], stylesheets=sheets())
        self.stop = pn.widgets.Button(label="Cancel", margin=0, visible=False, stylesheets=sheets())
        self.open = pn.widgets.Button(
            label="Open the result", margin=0, visible=False, css_classes=["primary"], stylesheets=sheets()
        )
        self.cost, self.told = (
            pn.pane.HTML("", sizing_mode="stretch_width", margin=(8, 0, 8, 0), stylesheets=sheets(_TEXT))
            for _ in range(2)
        )
        self.draw.param.watch(self._drawing, "value")
        for widget in (self.first, self.last, self.model):
            widget.param.watch(self._changed, "value")
        self.go.on_click(lambda _: self.begin())
        self.stop.on_click(lambda _: self.cancel())
        self.open.on_click(lambda _: self.on_open(self.entry))
        state.watch(self._page, "page")
        state.watch(lambda _: self._paint(), "day")
        self._changed()
        self._page()

    @property
    def box(self) -> Box:
        return Box(self.rows, self.cols, self.first.value, self.last.value, self.model.value)

    def boxed(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        """Takes the box drawn on the map, metres."""
        self.draw.value = False
        drawn = Box.around(self.data.grid, xs, ys, first=self.first.value, last=self.last.value)
        self.rows, self.cols = drawn.rows, drawn.cols
        self._changed()
        self._page()

    def _drawing(self, event) -> None:
        self.plot.boxing(event.new)
        self.draw.label = "Drag on the map" if event.new else "Draw box"

    def _changed(self, *_) -> None:
        if self.first.value is None or self.last.value is None or self.last.value < self.first.value:
            self.cost.object = '<div class="cost wrong">Choose a last day on or after the first day.</div>'
            self.go.disabled = True
            return
        self.go.disabled = False
        self.cost.object = cost(self.data, self.box)

    def _page(self, *_) -> None:
        """The box is outlined while this page is looked at, or its run goes on."""
        here = self.state.page == "compute"
        self.plot.frame(self.data.grid.window(self.rows, self.cols) if here else None)
        if not here:
            self.draw.value = False
            self.plot.fill(None)
        self._drawn = ()
        self._paint()

    # --- the run ---

    def begin(self) -> None:
        """Puts the box into the queue."""
        try:
            self.run = RUNS.add(self.data, self.box)
        except InputError as error:
            self.state.message = str(error)
            return
        self.state.message = ""
        if not self.run.box.first <= self.state.day <= self.run.box.last:
            self.state.day = self.run.box.first  # the day whose blocks are seen to come
        if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
            pn.state.on_session_destroyed(lambda _, run=self.run: RUNS.cancel(run) if run.active else None)
        self.go.visible = self.open.visible = False
        self.stop.visible = True
        self.look()
        if self._poll is None:
            self._poll = pn.state.add_periodic_callback(self.look, period=POLL_MS)

    def cancel(self) -> None:
        """Ends the run at once."""
        if self.run is not None and self.run.active:
            RUNS.cancel(self.run)
        self.look()

    def look(self) -> None:
        """How far the run is."""
        run = self.run
        if run is None:
            return
        ended = not run.active  # asked before it is told: the run may end meanwhile
        self.told.object = progress(run)
        self._paint()
        if not ended:
            return
        if self._poll is not None:
            self._poll.stop()
            self._poll = None
        self.stop.visible, self.go.visible = False, True
        self._changed()
        if run.state == "done":
            self.entry = self.on_done(run)
            self.open.visible = True
        else:
            run.parts.clear()
            self.plot.fill(None)

    def _paint(self) -> None:
        """The finished blocks on the day of the map, in the embedding layer's colours where the model is the same."""
        run = self.run
        if (
            run is None
            or not run.parts
            or self.state.page != "compute"
            or run.state in ("cancelled", "failed")
        ):
            return
        day = min(max(self.state.day, run.box.first), run.box.last)
        if self._drawn == (day, len(run.parts)):
            return
        self._drawn = day, len(run.parts)
        values = np.full((*run.box.shape[1:], 3), np.nan, "float32")
        own = run.model_digest == self.data.attrs.get("model_digest")
        for block in list(run.parts):
            held = block.cube.embedding.sel(time=pd.Timestamp(day)).values * block.cube.scale.values
            if own:
                weights, mean = self.data.components
                held = held @ weights - mean @ weights
            values[block.rows, block.cols] = held[..., :3]
        if own:
            look = self.data.look("pca")
        else:
            reach = tuple((64 * block.cube.scale.values[:3]).tolist())
            look = Look("", "", ("e00", "e01", "e02"), tuple(-end for end in reach), reach)
        self.plot.fill(self.data.grid.window(run.box.rows, run.box.cols), values, look)

    @property
    def view(self) -> pn.Column:
        def row(*parts):
            gap = ":host { flex-wrap: wrap; gap: 8px; align-items: flex-end; }"
            return pn.Row(*parts, sizing_mode="stretch_width", margin=(4, 0, 4, 0), stylesheets=[gap])

        return pn.Column(
            pn.pane.HTML(HELP, sizing_mode="stretch_width", margin=0, stylesheets=sheets(_TEXT)),
            row(self.draw, self.first, self.last, self.model),
            self.cost,
            row(self.go, self.stop, self.open),
            self.told,
            sizing_mode="stretch_width",
            margin=0,
        )
