"""What Panel needs once per session."""

import panel as pn
from fluxlens.app.views.inline_styles import inline_all_styles
from fluxlens.app.views.message_order import keep_message_order
from fluxlens.app.views.page_template import set_page_template
from fluxlens.app.views.shared_styles import share_all_styles
from fluxlens.app.views.socket_delay import send_frames_at_once
from fluxlens.app.views.style import page_css

TITLE = "fluxlens"


def is_served() -> bool:
    """Whether this is a page of a server, not an output of a notebook."""
    return pn.state.curdoc is not None and pn.state.curdoc.session_context is not None


def setup() -> None:
    """Load Panel's extension, and the page's CSS and head; nothing is fetched from other hosts."""
    # ``inline`` in notebooks: JupyterLab has no route to the server's static files.
    # ``respect_explicit_sizing``: else Panel widens columns to the widest of their children, hidden ones included.
    # The page's CSS is in the head of a served page: Panel puts ``raw_css`` into the sheet of every widget as well.
    raw_css = [] if is_served() else [page_css()]
    pn.extension(raw_css=raw_css, respect_explicit_sizing=True, inline=not is_served())
    if is_served():
        send_frames_at_once()
        keep_message_order()
        share_all_styles()
    else:
        import holoviews as hv  # late: a served page draws without it

        # For ``import hvplot`` after this: plots bring their scripts with them, as the explorer does.
        hv.extension.inline = True
        inline_all_styles()
    set_page_template()
