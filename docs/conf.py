"""Sphinx configuration; ``make docs`` builds the pages into ``build/docs`` with warnings as errors, without network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from sphinx.ext.napoleon.docstring import GoogleDocstring  # noqa: E402

from fluxlens import __version__  # noqa: E402

# Napoleon takes what stands before a colon in the docstring of a constant for its type; here it is prose.
GoogleDocstring._parse_attribute_docstring = lambda self: list(self._lines)

project = "fluxlens"
author = "the fluxlens contributors"
copyright = "the fluxlens contributors, BSD-3-Clause"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "mathml",
    "quality_tables",
]
exclude_patterns = ["_build", "_ext", "_templates", "reference/generated/*.inc.md"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
# A link to a heading is checked like one to a page.
nitpicky = True
# Types in docstrings are written for people ("int or None", "(n, band)"), and other projects' names cannot be looked
# up without network: only references to our own documented objects are checked.
nitpick_ignore_regex = [(r"py:.*", r"(?!fluxlens\.(embeddings|models|app\.plots)\.).*|.*\.(T|Values)")]

# A type in a docstring, such as "Request", may be the name of several classes; the page links to the first.
suppress_warnings = ["ref.python"]

autosummary_generate = True
autosummary_ignore_module_all = True
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # A name that a package hands on is documented where it is defined, once.
    "ignore-module-all": True,
    "exclude-members": "__init__, __post_init__",
}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False

html_theme = "furo"
html_title = f"fluxlens {release}"
html_static_path: list[str] = []
