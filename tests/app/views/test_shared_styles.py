"""Style sheets of a served page: one model for each text, however many widgets have it."""

import panel as pn
from bokeh.document import Document
from bokeh.models import InlineStyleSheet
from fluxlens.app.views.shared_styles import share_styles
from panel.viewable import Viewable

LONG = ":host { color: red; } " * 20


def test_widgets_share_a_long_sheet_and_keep_a_short_one(monkeypatch):
    monkeypatch.setattr(Viewable, "_preprocessing_hooks", [*Viewable._preprocessing_hooks, share_styles])
    short = ":host { top: 0; }"
    buttons = [pn.widgets.Button(stylesheets=[LONG, short]) for _ in range(3)]
    column = pn.Column(*buttons[:2])
    document = Document()
    column.server_doc(document)
    root = document.roots[0]
    # Of Panel's own sheets one is long enough, too.
    sheets = [
        [sheet for sheet in child.stylesheets if isinstance(sheet, InlineStyleSheet) and sheet.css == LONG]
        for child in root.children
    ]
    assert [len(own) for own in sheets] == [1, 1]
    assert sheets[0][0] is sheets[1][0]
    assert all(short in child.stylesheets for child in root.children)
    # A widget that comes later takes the sheet that is there.
    column.append(buttons[2])
    assert sheets[0][0] in root.children[2].stylesheets
    # Another page has one of its own.
    other = Document()
    pn.Column(pn.widgets.Button(stylesheets=[LONG])).server_doc(other)
    assert sheets[0][0] not in other.roots[0].children[0].stylesheets
