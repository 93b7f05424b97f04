"""How the screen looks: colours as CSS variables of the page, and one Panel design for all widgets."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

import panel as pn
from panel.custom import JSComponent
from panel.layout.base import Panel
from panel.theme import Inherit
from panel.theme.native import Native
from panel.viewable import Viewable
from panel.widgets.base import Widget

FOLDER = Path(__file__).parent


def _compact(css: str) -> str:
    """A style sheet without comments and blanks at line ends: it is sent with every widget."""
    return " ".join(re.sub(r"/\*.*?\*/", " ", css, flags=re.DOTALL).split())


TEXT_CSS = ":host { font-family: var(--font); color: var(--ink); font-size: 13px; }"
LAYOUT_CSS = _compact("""
/* Panel adds up the least widths of what is inside, also of rows that wrap; a phone is narrower than that. */
:host { font-family: var(--font); color: var(--ink); font-size: 13px; min-width: 0 !important; max-width: 100%; }
:host(.card) { align-self: stretch !important; height: auto !important; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; box-sizing: border-box; }
/* rows of controls, and columns that take what is left */
:host(.wrap) { flex-wrap: wrap; }
:host(.gap-4) { gap: 4px; } :host(.gap-6) { gap: 6px; } :host(.gap-8) { gap: 8px; }
:host(.middle) { align-items: center; } :host(.bottom) { align-items: flex-end; }
:host(.fill) { flex: 1 1 auto !important; } :host(.grow) { flex: 1 0 auto !important; }
/* beside a longer column it stays in view */
@media (min-width: 781px) and (min-height: 620px) {
  :host(.follows) { align-self: start !important; position: sticky; top: 10px; } }
""")
"""For rows and columns, which have none of the parts that ``parts.css`` is about: a page has some forty of them, and
Bokeh sends the text of an inline sheet anew with every model."""


@cache
def page_css() -> str:
    """Colours, light and dark, on the page itself; everything below inherits them."""
    return (FOLDER / "page.css").read_text()


@cache
def parts_css() -> str:
    """The sheet of every widget and text."""
    return _compact((FOLDER / "parts.css").read_text())


@cache
def read_css(name: str) -> str:
    """A style sheet of the folder ``web``."""
    return _compact((FOLDER / "web" / name).read_text())


def read_js(*names: str) -> str:
    """Scripts of the folder ``web`` as one module: the module of a component cannot import its neighbours."""
    lines = [line.strip() for name in names for line in (FOLDER / "web" / name).read_text().splitlines()]
    # Without lines of comment and indentation: the text is sent with every component.
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


class FluxlensDesign(Native):
    """Margins and style sheets of everything on the page; a widget names only what is its own.

    Dark mode is not a ``panel.theme.Theme``: Panel chooses a theme once, when a document is made (``config.theme``),
    and to change it the page must be loaded again. Here the button must act at once and keep the choices, so that the
    colours are CSS variables (``page.css``) that change with an attribute of the page.
    """

    modifiers: ClassVar = {
        # Distances are the business of the containers (gap, padding): a widget's own margin of 5, 10 adds to them.
        Viewable: {"margin": 0},
        Panel: {"stylesheets": [Inherit, LAYOUT_CSS]},
        # Inline and not by its URL: a sheet that comes later than the widgets makes the page jump.
        Widget: {"stylesheets": [Inherit, parts_css()]},
        # Text and our own components have none of the parts of widgets either.
        pn.pane.HTML: {"stylesheets": [Inherit, TEXT_CSS]},
        JSComponent: {"stylesheets": [Inherit, TEXT_CSS]},
    }


@contextmanager
def fluxlens_design() -> Iterator[None]:
    """While it lasts, whatever is made has the design; usable as a decorator of functions that make views.

    Not ``pn.extension(design=...)``: in a notebook that would change the widgets of its user as well.
    """
    before = pn.config.design
    pn.config.design = FluxlensDesign
    try:
        yield
    finally:
        pn.config.design = before
