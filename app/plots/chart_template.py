"""Charts that HoloViews draws once for a version; each page gets copies of the Bokeh models that it made.

HoloViews takes 0.1 to 0.4 s for a chart and 2 s for a page, a copy of what it has drawn 5 to 10 ms a chart. A copy has
the models alone and nothing else of HoloViews, which is all that ``RenderedChart.update`` needs. The models are kept in
the cache folder as JSON, so that a server that starts neither draws nor imports HoloViews (3 s of processor time).
"""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bokeh.core.serialization import Deserializer, Serializer
from bokeh.models import (
    AdaptiveTicker,
    AllIndices,
    AllLabels,
    BasicTicker,
    BasicTickFormatter,
    ColumnDataSource,
    DatetimeTicker,
    DatetimeTickFormatter,
    LinearScale,
    NoOverlap,
    Selection,
    UnionRenderers,
)
from bokeh.util.serialization import make_id
from fluxlens.app import palette, plots, units
from fluxlens.app.plots.marks import Mark, RenderedChart
from fluxlens.embeddings.cache import fingerprint, folder
from fluxlens.embeddings.cache import key as cache_key
from fluxlens.models.atomic import atomic_path
from fluxlens.models.errors import InputError

STATELESS = (
    AllIndices,
    AllLabels,
    NoOverlap,
    UnionRenderers,
    LinearScale,
    BasicTicker,
    BasicTickFormatter,
    DatetimeTicker,
    DatetimeTickFormatter,
)
"""Models that only say how something is done: figures can share one of each setting."""


def share_parts(figures: list[Any]) -> None:
    """Let figures share models that have no state of their own; a third of a chart's models are such.

    Parameters
    ----------
    figures : list of bokeh.plotting.figure
        Of one page.
    """
    first: dict[Any, Any] = {}
    nobody = Selection()
    for figure in figures:
        for model in figure.references():
            if isinstance(model, ColumnDataSource):
                # Charts have no tool that selects: one empty selection serves all their sources. Read-only for users.
                model.set_from_json("selected", nobody)
            if isinstance(model, AdaptiveTicker) and type(model) is AdaptiveTicker:
                continue  # shared with the ticker that holds it
            for name, value in model.properties_with_values(include_defaults=True).items():
                if isinstance(value, STATELESS):
                    settings = {
                        key: setting if not isinstance(setting, list) else tuple(map(str, setting))
                        for key, setting in value.properties_with_values(include_defaults=False).items()
                        if key != "tickers"
                    }
                    # By settings and not by identity: HoloViews makes equal models anew for each figure.
                    key = type(value), repr(sorted(settings.items()))
                    setattr(model, name, first.setdefault(key, value))


class ChartTemplate:
    """The models of some charts of one page, to be copied.

    Parameters
    ----------
    charts : dict
        ``RenderedChart`` by name, with whatever is the same on all pages; they are used up.
    """

    def __init__(self, charts: dict[str, RenderedChart]):
        figures = [chart.figure for chart in charts.values()]
        share_parts(figures)
        # Without the axes, which are HoloViews' objects and of no use once the marks are drawn.
        self._marks = {
            name: [
                Mark(mark.label, mark.kind, mark.table, mark.columns, dict.fromkeys(mark.options), mark.place)
                for mark in chart.marks
            ]
            for name, chart in charts.items()
        }
        self._ids = {
            name: {
                label: {role: handles[role].id for role in ("source", "glyph_renderer", "glyph")}
                for label, handles in chart.handles.items()
            }
            for name, chart in charts.items()
        }
        # Together, so that what the figures share is shared by their copies.
        self._content = Serializer(deferred=False).encode(figures)

    def write(self, path: Path) -> None:
        """Write the template as JSON, complete or not at all."""
        marks = {
            name: [
                [mark.label, mark.kind, mark.table, mark.columns, list(mark.options), mark.place]
                for mark in chart
            ]
            for name, chart in self._marks.items()
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"marks": marks, "ids": self._ids, "figures": self._content}))

    @classmethod
    def from_file(cls, path: Path) -> "ChartTemplate":
        """A template that ``write`` wrote.

        Parameters
        ----------
        path : pathlib.Path
            Its JSON.

        Raises
        ------
        OSError, ValueError, KeyError, TypeError, AttributeError
            Where there is none, or another text.
        """
        content = json.loads(path.read_text())
        template = cls.__new__(cls)
        template._marks = {
            name: [
                Mark(label, kind, table, tuple(columns), dict.fromkeys(options), tuple(place))
                for label, kind, table, columns, options, place in marks
            ]
            for name, marks in content["marks"].items()
        }
        template._ids, template._content = content["ids"], content["figures"]
        return template

    def copy(self) -> dict[str, RenderedChart]:
        """The charts anew, with models of their own."""
        new_ids: dict[str, str] = {}

        def rename(element: Any) -> Any:
            """The same content with another id for each model: a model is in one document only."""
            if isinstance(element, dict):
                out = {key: rename(value) for key, value in element.items()}
                # An object, or a reference to one, which is ``{"id": ...}`` alone; other dicts with an id are data.
                if isinstance(element.get("id"), str) and (
                    element.get("type") == "object" or len(element) == 1
                ):
                    out["id"] = new_ids.setdefault(element["id"], make_id())
                return out
            return [rename(value) for value in element] if isinstance(element, list) else element

        figures = Deserializer().decode(rename(self._content))
        out = {}
        for (name, marks), figure in zip(self._marks.items(), figures, strict=True):
            models = {model.id: model for model in figure.references()}
            handles = {
                label: {role: models[new_ids[old]] for role, old in ids.items()}
                for label, ids in self._ids[name].items()
            }
            out[name] = RenderedChart.from_models(marks, figure, handles)
        return out


_TEMPLATES: dict[str, ChartTemplate] = {}
_DRAWING = threading.Lock()


@cache
def is_drawn_without_defaults() -> bool:
    """Whether nobody can have changed HoloViews' defaults, as in a notebook; asked before the first chart is drawn."""
    return "holoviews" not in sys.modules


@cache
def template_name(key: str) -> str:
    """File name of a template, another one for each version of the code that draws.

    Parameters
    ----------
    key : str
        As of ``copy_charts``.
    """
    versions = [version(name) for name in ("holoviews", "bokeh")]
    return cache_key(f"charts-{key}", fingerprint(plots, palette, units), *versions)


def template_path(key: str) -> Path:
    """Where the template ``key`` lies in the cache folder."""
    return folder() / template_name(key)


def copy_charts(key: str, draw: Callable[[], dict[str, RenderedChart]]) -> dict[str, RenderedChart]:
    """Charts of a page, drawn by HoloViews for the first page of a version and copied for all.

    Parameters
    ----------
    key : str
        Names what ``draw`` makes.
    draw : callable
        Makes the charts by name, without anything of a single page: data, ranges, callbacks.
    """
    # A thread draws them while the first store is opened (``first_page``); a page that is sooner waits for it.
    with _DRAWING:
        if key not in _TEMPLATES:
            _TEMPLATES[key] = _load_or_draw(key, draw)
    return _TEMPLATES[key].copy()


def _load_or_draw(key: str, draw: Callable[[], dict[str, RenderedChart]]) -> ChartTemplate:
    """The template in the cache folder, or one that is drawn and left there."""
    # Charts drawn with a user's own defaults are not for other processes.
    if not is_drawn_without_defaults():
        return ChartTemplate(draw())
    # A file that is damaged, or a folder that cannot be read: the charts are drawn as if there were none.
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        template = ChartTemplate.from_file(template_path(key))
        template.copy()
        return template
    template = ChartTemplate(draw())
    # The cache saves time and is no condition: its folder may be full or read-only.
    with suppress(OSError, InputError):
        template.write(template_path(key))
    return template
