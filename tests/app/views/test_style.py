"""Colours can be read: WCAG 2.2 AA, 4.5 for text (1.4.3) and 3 for what is not text (1.4.11)."""

import re

import numpy as np
import pytest
from fluxlens.app.palette import (
    COMPONENT_COLOURS,
    GPP_DT_COLOUR,
    GPP_NT_COLOUR,
    PLACE_COLOURS,
    RADAR_COLOURS,
)
from fluxlens.app.views.style import FOLDER, page_css


def themes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root[^{]*\{([^}]*)\}", page_css())[:2]
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    """Relative, of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_ratio_is_that_of_the_recommendation():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme):
    colour = themes()[theme]
    pairs = [(ink, ground) for ink in ("ink", "muted") for ground in ("bg", "card", "hover")]
    pairs += [("accent-ink", "accent"), ("ink", "accent-weak"), ("warn", "warn-bg"), ("accent", "card")]
    ratios = {pair: contrast(colour[pair[0]], colour[pair[1]]) for pair in pairs}
    assert min(ratios.values()) >= 4.5, ratios


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_controls_and_places_stand_out(theme):
    colour = themes()[theme]
    for ground in ("bg", "card"):
        assert contrast(colour["accent"], colour[ground]) >= 3
        for place in PLACE_COLOURS:
            assert contrast(place, colour[ground]) >= 3, (place, ground)


def test_the_login_page_can_be_read():
    text = (FOLDER / "login.html").read_text()
    grounds = set(re.findall(r"background: (#[0-9a-f]{6}); color: (#[0-9a-f]{6})", text))
    assert len(grounds) == 5  # page, field and button, light and dark
    assert all(contrast(*pair) >= 4.5 for pair in grounds)
    for ground, message, wordmark in (("#ffffff", "#8a4b00", "#0b7a75"), ("#19202a", "#f5c987", "#3fbab1")):
        assert f"p {{ color: {message}" in text or f"color: {message}; }}" in text
        assert contrast(message, ground) >= 4.5
        assert contrast(wordmark, ground) >= 3


def lab(colour: str) -> np.ndarray:
    """CIE 1976 L*a*b* of #rrggbb, D65."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_places_are_apart_from_components_bands_and_tower():
    others = [*COMPONENT_COLOURS.values(), *RADAR_COLOURS.values(), GPP_NT_COLOUR, GPP_DT_COLOUR]
    for place in PLACE_COLOURS:
        for other in [*others, *(colour for colour in PLACE_COLOURS if colour != place)]:
            assert np.linalg.norm(lab(place) - lab(other)) >= 25, (place, other)
