"""What Panel needs once per session."""

import panel as pn
from fluxlens.app.views.page_template import set_page_template
from fluxlens.app.views.style import page_css

TITLE = "fluxlens"


def is_served() -> bool:
    """Whether this is a page of a server, not an output of a notebook."""
    return pn.state.curdoc is not None and pn.state.curdoc.session_context is not None


def setup() -> None:
    """Load Panel's extension with the page's CSS; nothing is fetched from other hosts."""
    # ``inline`` in notebooks: JupyterLab has no route to the server's static files.
    # ``respect_explicit_sizing``: else Panel widens columns to the widest of their children, hidden ones included.
    pn.extension(raw_css=[page_css()], respect_explicit_sizing=True, inline=not is_served())
    set_page_template()
