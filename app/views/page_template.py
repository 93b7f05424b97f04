"""The HTML page around the dashboard: its head, and the theme with which it is first drawn."""

from pathlib import Path

import panel as pn
from fluxlens.app.views.style import page_css

THEME_COOKIE = "fluxlens-theme"
"""The theme of the page as it was last drawn, so that the next one is made in it; written by ``page.html``."""


def set_page_template() -> None:
    """Give the session's document the head of ``page.html``, with the colours; nothing where no page is served."""
    # A notebook has a head of its own.
    if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
        template = (Path(__file__).parent / "page.html").read_text()
        pn.state.curdoc.template = template.replace("PAGE_CSS", page_css())


def was_dark() -> bool:
    """Whether the browser drew the page before this one in the dark theme."""
    return pn.state.cookies.get(THEME_COOKIE) == "dark"
