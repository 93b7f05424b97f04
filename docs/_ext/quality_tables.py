"""Tables and figures of *How good is it*, made at build time from the cards inside the shipped weights.

Directive ``quality`` takes the name of a table: ``towers`` (GPP at towers left out, NIRv x light beside it),
``climates`` (simulated climates left out) or ``weights`` (what taught each file). ``towers-figure`` draws the first as
bars.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from safetensors import safe_open
from sphinx.application import Sphinx

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"
SETS = {
    "daily": "daily series with MODIS, all days",
    "daily_observed": "daily series with MODIS, days with a spectrum",
    "table": "single spectra of HLS",
}
"""Measured sets of the GPP head's card, in words."""


def card(name: str) -> dict:
    """The card in the header of a weight file.

    Parameters
    ----------
    name
        Of the file, without suffix.
    """
    with safe_open(WEIGHTS / f"{name}.safetensors", "np") as file:
        return json.loads(file.metadata()["card"])


def towers() -> tuple[list[str], list[list[str]]]:
    """Head and rows: GPP of the head of maps at towers that did not teach it, and of NIRv x light on the same rows."""
    head = [
        "measured rows",
        "rows",
        "towers",
        "",
        "NSE",
        "RMSE (gC m-2 d-1)",
        "NSE, median tower",
        "in the 90 % band",
    ]
    rows = []
    for key, words in SETS.items():
        score = card("gpp")["left_out_towers"][key]
        ours = [f"{score[name]:.2f}" for name in ("nse", "rmse", "median_site_nse", "coverage")]
        theirs = [f"{score[f'nirv_sw_{name}']:.2f}" for name in ("nse", "rmse", "median_site_nse")]
        rows.append([words, f"{score['rows']:,}", str(score["sites"]), "fluxlens", *ours])
        rows.append(["", "", "", "NIRv x light", *theirs, "no band"])
    return head, rows


def climates() -> tuple[list[str], list[list[str]]]:
    """Head and rows: GPP of maps in simulated climates left out of training, by the shipped head and the one before."""
    head = [
        "simulated climate",
        "landscapes",
        "NSE",
        "RMSE (gC m-2 d-1)",
        "in the 90 % band",
        "NSE of gpp_v1",
    ]
    now, before = (card(name)["left_out_climates"] for name in ("gpp", "gpp_v1"))
    rows = [
        [name, str(one["landscapes"]), f"{one['nse']:.2f}", f"{one['rmse']:.2f}", f"{one['coverage']:.2f}",
         f"{before[name]['nse']:.2f}"]
        for name, one in now.items()
    ]  # fmt: skip
    return head, rows


def weights() -> tuple[list[str], list[list[str]]]:
    """Head and rows: what taught each shipped file."""
    rows = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        facts = card(path.stem)
        if "taught_by" in facts:
            taught = facts["taught_by"]
        else:
            measured = facts["measured_cubes"]
            taught = f"{facts['simulated_scenes']} simulated landscapes"
            taught += f", and measured: {', '.join(measured)}" if measured else "; nothing measured"
        rows.append([path.stem, f"{path.stat().st_size / 1e3:,.0f} kB", taught])
    return ["file", "size", "taught by"], rows


def towers_figure() -> str:
    """SVG bars of NSE at towers left out: the head beside NIRv x light."""
    scores = card("gpp")["left_out_towers"]
    width, bar, left = 640, 16, 300
    parts, y = [], 8
    for key, words in SETS.items():
        parts.append(f'<text x="0" y="{y + bar + 4}">{escape(words)}</text>')
        for name, colour, value in (
            ("fluxlens", "#0072b2", scores[key]["nse"]),
            ("NIRv x light", "#999999", scores[key]["nirv_sw_nse"]),
        ):
            length = max(value, 0) * (width - left - 110)
            parts.append(
                f'<rect x="{left}" y="{y}" width="{length:.0f}" height="{bar - 3}" fill="{colour}"/>'
            )
            parts.append(f'<text x="{left + length + 6:.0f}" y="{y + bar - 5}">{value:.2f} {name}</text>')
            y += bar
        y += 12
    label = "NSE of daily GPP at towers left out of training, beside NIRv times light"
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {y}" style="max-width:{width}px" '
        f'font-family="sans-serif" font-size="12" fill="currentColor">{"".join(parts)}</svg>'
    )


TABLES = {"towers": towers, "climates": climates, "weights": weights}


class Quality(Directive):
    """``{quality} NAME``: one of ``TABLES``, or ``towers-figure``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Nodes of the table or the figure."""
        name = self.arguments[0]
        if name == "towers-figure":
            return [nodes.raw("", towers_figure(), format="html")]
        head, rows = TABLES[name]()
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in (head, *rows):
            lines += [f"   {'* -' if i == 0 else '  -'} {cell or chr(160)}" for i, cell in enumerate(row)]
        # Parsed as reStructuredText whatever the page is written in: a nested parser of its own.
        return _parsed(lines, self)


def _parsed(lines: list[str], directive: Directive) -> list[nodes.Node]:
    """Nodes of lines of reStructuredText."""
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document

    document = new_document("quality", get_default_settings(Parser))
    Parser().parse("\n".join(StringList(lines)), document)
    return document.children


def setup(app: Sphinx) -> dict:
    """Register the directive.

    Parameters
    ----------
    app
        Of the build.
    """
    app.add_directive("quality", Quality)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
