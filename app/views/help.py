"""The help panel: how to begin, the layers, keys and gestures, and a glossary."""

from html import escape
from typing import ClassVar

import param
from fluxlens.app.state.layer_key import LAYERS
from fluxlens.app.views.layer_groups import EXPLANATIONS, GROUPS
from fluxlens.app.views.style import read_css, read_js
from panel.custom import JSComponent

GLOSSARY = {
    "GPP": "Gross primary production: carbon that plants take up by photosynthesis, in grams of carbon per square "
    "metre and day (gC m⁻² d⁻¹).",
    "NT": "Night-time partitioning (Reichstein et al. 2005): GPP of a flux tower, with respiration fitted to the "
    "fluxes of the nights.",
    "DT": "Day-time partitioning (Lasslop et al. 2010): GPP of a flux tower, with a light-response curve fitted to "
    "the fluxes of the days.",
    "Embedding": "The numbers (e00, e01, ...) that the model makes of all satellite images of a pixel, for each day.",
    "PC": "Principal component: PC1, PC2 and PC3 are the three directions in which the embeddings of this scene "
    "differ most; on the map they are red, green and blue.",
    "Sigma": "How far the reflectance decoded from an embedding may be from the measured one (one "
    "standard deviation): small near clear images, larger in gaps.",
    "Band": "The 90 % band: nine of ten measured values are expected inside it.",
    "Days from S2": "Days to the nearest clear Sentinel-2 view of a pixel; what lies far from one was bridged by the "
    "model.",
    "NDVI": "Normalised difference vegetation index, (NIR − red) / (NIR + red): about 0 over bare soil, above 0.8 over "
    "dense green vegetation.",
    "NIRv × light": "Near-infrared reflectance of vegetation (NDVI × NIR) times shortwave radiation times one fitted "
    "factor (Badgley et al. 2017): the simplest estimate of GPP that a prediction must beat.",
    "P-model": "Light absorbed according to NDVI times the efficiency that follows from temperature and dryness "
    "(Stocker et al. 2020); nothing is fitted.",
    "Day of year": "Mean of the same day in the tower's other years.",
    "Footprint": "The land around a tower from which the air that it measured came, by wind and turbulence.",
    "NSE, KGE": "Scores of a prediction, at best 1: Nash-Sutcliffe and Kling-Gupta efficiency. NSE of 0 is as good "
    "as the mean of the measurements.",
}
KEYS = {
    "← →": "one day back or on; with Shift a week",
    "N, P": "next and previous day with a clear Sentinel-2 view",
    "↑ ↓": "next feature, on the layer Feature",
    "Tab to the map, then arrows": "move the chosen pixel; with Shift by ten",
    "+ − 0": "zoom in, zoom out, whole scene, on the map",
    "Esc": "close what is open",
}
GESTURES = {
    "Tap, click": "choose a pixel on the map, a day in a chart",
    "Drag, wheel, two fingers": "move and zoom the map",
    "Drag, Ctrl and wheel": "move and zoom a chart in time",
    "Double click": "back to the whole map or chart",
    "Shift and click": "add a second place",
    "Click on the colour bar": "choose range and palette",
}


def _definitions(terms: dict[str, str]) -> str:
    # Escaped although the texts are ours: "&" and "<" occur in them.
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in terms.items())
    return f"<dl>{rows}</dl>"


def help_text() -> str:
    """HTML of the help panel."""
    # By groups as on the buttons, so that one finds here what one saw there.
    layers = "".join(
        f"<h4>{group}</h4>{_definitions({LAYERS[key]: EXPLANATIONS[key] for key in keys})}"
        for group, keys in GROUPS.items()
    )
    return (
        '<h2 id="help-title">How to read this page</h2>'
        "<p>Every day and every 10 m pixel has an embedding: what the model makes of all Sentinel-1 and Sentinel-2 "
        "images, also on days when clouds hid the ground. The map shows one day, the charts the year of the chosen "
        "pixel. Filled dots are clear satellite views; shaded stretches had none.</p>"
        f"<h3>Glossary</h3>{_definitions(GLOSSARY)}"
        f"<h3>Layers of the map</h3>{layers}"
        f"<h3>Keys</h3>{_definitions(KEYS)}"
        f"<h3>Mouse and fingers</h3>{_definitions(GESTURES)}"
    )


class HelpPanel(JSComponent):
    """A button that opens the help."""

    text = param.String(default="", constant=True, doc="HTML of the panel.")

    _esm: ClassVar[str] = read_js("popover.js", "help.js")

    def __init__(self, **params):
        super().__init__(
            text=help_text(), stylesheets=[read_css("popover.css"), read_css("help.css")], **params
        )
