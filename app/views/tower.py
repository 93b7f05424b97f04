"""The tower's page: what it measured beside what is predicted there, and how well, at every time scale."""

from html import escape

import numpy as np
import panel as pn

from app.data import NEAR_TOWER_M, Data
from app.ground import RADII_M, SIGHTS
from app.state import State
from app.tower import FLUXES, LINES, SPLITS, Beside
from app.tower_charts import INKS, MEASURED, TowerCharts
from app.views.series import HEAD, key
from app.views.style import sheets
from embeddings.metrics import SCALES

SCORES = {
    "n": "n",
    "nse": "NSE",
    "r2": "r²",
    "rmse": "RMSE",
    "mae": "MAE",
    "bias": "bias",
    "kge": "KGE",
    "bias2": "bias²",
    "variance": "variance",
    "phase": "phase",
}
"""By the names of ``metrics.scores``; the last three sum to the mean squared error."""
_TABLE = """
table { border-collapse: collapse; width: 100%; font-size: 12px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 6px; text-align: right; white-space: nowrap; }
th { color: var(--muted); font-weight: 500; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, td.name { text-align: left; }
tr.first td { border-top: 1px solid var(--line); } td.scale { color: var(--muted); }
.key { white-space: nowrap; } .line { display: inline-block; width: 14px; height: 2px; margin-right: 5px;
  vertical-align: middle; }
p { color: var(--muted); font-size: 12px; line-height: 1.5; margin: 8px 0; }
.wide { overflow-x: auto; }
"""
_TITLES = {
    "series": "Daily GPP, gC m⁻² d⁻¹",
    "scatter": "Each day, with the 1:1 line",
    "cycle": "Usual year",
    "departure": "Anomalies: departure from the usual year",
}


_SLIDER = ".bk-input-group label, .bk-slider-title { font-size: 12px; color: var(--muted); }"
_STEER = ":host { gap: 8px; flex-wrap: wrap; align-items: center; }"
HEIGHTS = {"series": 170, "scatter": 230, "cycle": 230, "departure": 140}
NO_ANOMALY = "<span>none: they need the same days in two years on screen</span>"


def scores_table(told: Beside, shown: list[str]) -> str:
    """A row for each line at each time scale, and what each line had learnt from."""
    rows = []
    for scale in SCALES:
        names = [name for name in told.lines if name in shown and f"{name}.{scale}.n" in told.scores]
        for i, name in enumerate(names):
            cells = (_cell(key, told.scores[f"{name}.{scale}.{key}"]) for key in SCORES)
            what = f'<td class="scale">{scale if not i else ""}</td>'
            who = f'<td class="name">{key("line", INKS[name], LINES[name])}</td>'
            rows.append(f'<tr class="{"" if i else "first"}">{what}{who}{"".join(cells)}</tr>')
    heads = "".join(f"<th>{words}</th>" for words in ("scale", "", *SCORES.values()))
    learnt = SPLITS | {
        "model": SPLITS["model"] + (f" (taught by {told.taught_by})" if told.taught_by else "")
    }
    splits = ". ".join(
        f"<b>{LINES[name]}</b>: {escape(learnt[name])}" for name in told.lines if name in shown
    )
    why = "".join(f"<p>{escape(sentence)}</p>" for sentence in told.absent)
    table = f'<div class="wide"><table><tr>{heads}</tr>{"".join(rows)}</table></div>' if rows else ""
    notes = (
        "<p>NSE = 1 − SSE/SST, r² = squared correlation; RMSE, MAE, bias in gC m⁻² d⁻¹; mean squared error = "
        f"bias² + variance + phase. Split. {splits}.</p>"
        if rows
        else ""
    )
    return table + notes + why


def _cell(name: str, value: float) -> str:
    number = "–" if not np.isfinite(value) else f"{value:.0f}" if name == "n" else f"{value:.2f}"
    return f"<td>{number.replace('-', '−')}</td>"


class TowerView:
    """Switches above, charts, the table below; nothing is computed before the page is looked at."""

    def __init__(self, state: State, data: Data, see, below: list[pn.viewable.Viewable] = ()):
        """``see(lines)`` outlines on the map what the tower sees; ``below`` stands at the end of the page."""
        self.state, self.data, self.see, self.below = state, data, see, below
        self.charts = TowerCharts(data.days)
        self.head = _html(HEAD)
        self.flux = pn.widgets.RadioButtonGroup(
            options={FLUXES[name]: name for name in data.fluxes()},
            value=self._flux,
            margin=0,
            css_classes=["quiet"],
            stylesheets=sheets(),
        )
        self.quality = pn.widgets.FloatSlider(
            label="Quality at least",
            start=0,
            end=1,
            step=0.05,
            value=state.least_qc,
            width=170,
            margin=(0, 10, 0, 12),
            visible="qc" in data.tower,
            stylesheets=sheets(_SLIDER),
        )
        self.shown = pn.widgets.CheckButtonGroup(
            options={words: name for name, words in LINES.items()},
            value=list(LINES),
            margin=0,
            css_classes=["quiet"],
            stylesheets=sheets(_marked([INKS[name] for name in LINES])),
        )
        sights = [name for name in SIGHTS if name != "footprint" or data.wind is not None]
        self.sight = pn.widgets.RadioButtonGroup(
            options={SIGHTS[name]: name for name in sights},
            value=state.sight if state.sight in sights else "pixel",
            margin=0,
            css_classes=["quiet"],
            stylesheets=sheets(),
        )
        self.radius = pn.widgets.IntSlider(
            label="Radius, m",
            start=RADII_M[0],
            end=RADII_M[1],
            step=10,
            value=int(state.radius_m),
            width=170,
            margin=(0, 10, 0, 12),
            stylesheets=sheets(_SLIDER),
        )
        self.height = pn.widgets.FloatInput(
            value=state.height_m,
            start=0.1,
            end=200,
            label="Sensors above displacement height, m",
            width=220,
            margin=0,
            stylesheets=sheets(),
        )
        self.table = _html(_TABLE)
        self.titles = {
            name: _html(HEAD, f'<div class="head"><b>{words}</b></div>') for name, words in _TITLES.items()
        }
        self.panes = {
            name: pn.pane.Bokeh(fig, sizing_mode="stretch_width", height=HEIGHTS[name])
            for name, fig in self.charts.figures.items()
        }
        self.flux.param.watch(lambda event: setattr(state, "flux", event.new), "value")
        self.quality.param.watch(lambda event: setattr(state, "least_qc", event.new), "value_throttled")
        self.shown.param.watch(self._update, "value")
        self.sight.param.watch(lambda event: setattr(state, "sight", event.new), "value")
        self.radius.param.watch(lambda event: setattr(state, "radius_m", event.new), "value_throttled")
        self.height.param.watch(lambda event: setattr(state, "height_m", event.new), "value")
        state.watch(self._update, ["page", "flux", "least_qc", "sight", "radius_m", "height_m"])
        state.watch(lambda event: self.charts.ink("dark" if event.new else "light"), "dark")
        self.charts.ink("dark" if state.dark else "light")
        self._update()

    @property
    def _flux(self) -> str:
        """The partitioning asked for, or the one there is."""
        there = self.data.fluxes()
        return self.state.flux if self.state.flux in there else there[0]

    def _update(self, *_) -> None:
        state = self.state
        if state.page != "tower":
            self.see(())
            return
        flux = self._flux
        self.flux.value, self.quality.value = flux, state.least_qc
        self.radius.visible, self.height.visible = (state.sight == n for n in ("radius", "footprint"))
        told = self.data.beside(flux, state.least_qc, state.seen)
        self.see(told.seen.lines)
        self.charts.show(told, flux, self.shown.value)
        self.table.object = scores_table(told, self.shown.value)
        one_year = not np.isfinite(told.departure(told.measured)).any()
        self.titles[
            "departure"
        ].object = f'<div class="head"><b>{_TITLES["departure"]}</b>{NO_ANOMALY if one_year else ""}</div>'
        self.panes["departure"].visible = not one_year
        self.head.object = f'<div class="head">{"".join(self._heading(told))}</div>'

    def _heading(self, told: Beside):
        attrs = self.data.tower.attrs
        made = " beside a simulated scene" if self.data.simulated else ""
        made = " · simulated" if int(attrs.get("simulated", self.data.simulated)) else made
        yield f"<b>{escape(str(attrs.get('site', 'Tower')))}{made}</b>"
        if "igbp" in attrs:
            yield f"<span>{escape(str(attrs['igbp']))}</span>"
        if self.state.sight != "pixel":
            yield f"<span>{escape(told.seen.told)}</span>"
        away = self.data.tower_distance_m(*self.data.start)
        if away is not None and away > NEAR_TOWER_M:
            yield f"<span>{away / 1000:.1f} km from the nearest pixel</span>"
        count = int(np.isfinite(told.measured).sum())
        yield key("dot", MEASURED[self._flux], f"{FLUXES[self._flux]} GPP, {count} days")
        if "model.coverage" in told.scores:
            share = told.scores["model.coverage"]
            yield key("area", INKS["model"], f"90 % band, holds {share:.0%}")

    @property
    def view(self) -> pn.Column:
        steer = pn.Row(
            self.flux,
            self.quality,
            self.shown,
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[_STEER],
        )
        seen = pn.Row(
            self.sight,
            self.radius,
            self.height,
            sizing_mode="stretch_width",
            margin=(8, 0, 0, 0),
            stylesheets=[_STEER],
        )
        parts = {
            name: pn.Column(self.titles[name], pane, sizing_mode="stretch_width", margin=0)
            for name, pane in self.panes.items()
        }
        pair = pn.Row(
            parts["scatter"],
            parts["cycle"],
            sizing_mode="stretch_width",
            margin=0,
            stylesheets=[
                ":host { display: grid !important; grid-template-columns: 1fr 1fr; gap: 8px; }"
                "@media (max-width: 1100px) { :host { grid-template-columns: 1fr; } }"
            ],
        )
        return pn.Column(
            steer,
            seen,
            self.head,
            parts["series"],
            pair,
            parts["departure"],
            self.table,
            *self.below,
            sizing_mode="stretch_width",
            margin=0,
        )


def _marked(colours: list[str]) -> str:
    """A line in its colour on each button."""
    return "".join(
        f".bk-btn:nth-child({n})::before {{ content: ''; display: inline-block; width: 14px; height: 3px; "
        f"margin-right: 6px; vertical-align: middle; background: {colour}; }}"
        for n, colour in enumerate(colours, 1)
    )


def _html(css: str, text: str = "") -> pn.pane.HTML:
    return pn.pane.HTML(text, sizing_mode="stretch_width", margin=(6, 0, 0, 0), stylesheets=sheets(css))
