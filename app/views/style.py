"""Style sheets: colours as CSS variables of the page, one sheet for all widgets."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def page_css() -> str:
    """Colours, light and dark, on the page itself; everything below inherits them."""
    return (FOLDER / "page.css").read_text()


@cache
def parts_css() -> str:
    """One sheet for every widget and text."""
    return (FOLDER / "parts.css").read_text()


def sheets(*more: str) -> list[str]:
    """The common sheet and ``more`` rules for one widget."""
    return [parts_css(), *more]
