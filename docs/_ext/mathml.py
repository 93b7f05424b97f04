"""Equations as MathML, which browsers draw themselves: no script from another host, no LaTeX on this one."""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging


def convert(node: nodes.math | nodes.math_block, as_block: bool) -> str:
    """MathML of an equation; an equation that cannot be converted is a warning, and so an error of ``make docs``.

    Parameters
    ----------
    node
        Its text is LaTeX.
    as_block
        Whether it stands on a line of its own.
    """
    try:
        return tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        logging.getLogger(__name__).warning("equation: %s", error, location=node)
        return node.astext()


def visit_math(self, node: nodes.math) -> None:
    """Write an equation inside a line.

    Parameters
    ----------
    node
        Of the equation.
    """
    self.body.append(convert(node, as_block=False))
    raise nodes.SkipNode


def visit_block(self, node: nodes.math_block) -> None:
    """Write an equation on a line of its own.

    Parameters
    ----------
    node
        Of the equation.
    """
    self.body.append(f'<div class="math">{convert(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    """Register the renderer as the one of HTML pages.

    Parameters
    ----------
    app
        Of the build.
    """
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
