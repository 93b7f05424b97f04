"""Labels that the user gives to pixels, for the layer that is fitted to them."""

from dataclasses import dataclass

import numpy as np
from fluxlens.app.palette import CLASS_COLOURS
from fluxlens.models.errors import InputError

MAX_LABELS = 120
"""Leave-one-out over that many labels takes a quarter of a second."""
MAX_NAME_LENGTH = 40


@dataclass(frozen=True)
class Label:
    """A pixel and what the user says is there."""

    row: int
    col: int
    name: str
    """A class, or a number."""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > MAX_NAME_LENGTH:
            raise InputError(
                f"Got a label of {len(self.name.strip())} letters, need 1 to {MAX_NAME_LENGTH}; "
                "type a class or a number."
            )


def toggle_label(labels: tuple[Label, ...], row: int, col: int, name: str) -> tuple[Label, ...]:
    """Labels after a tap on a pixel: one more, one renamed, or (same name again) one less.

    Parameters
    ----------
    labels : tuple of Label
        Labels before the tap.
    row, col : int
        The tapped pixel.
    name : str
        A class or a number; outer blanks are dropped.

    Raises
    ------
    InputError
        The name is empty or too long, or there would be too many labels or classes.
    """
    new = Label(row, col, name.strip())
    # A pixel has one label: the old one goes whatever the new one is.
    out = tuple(label for label in labels if (label.row, label.col) != (row, col))
    out = out if new in labels else (*out, new)
    if len(out) > MAX_LABELS:
        raise InputError(f"Got {len(out)} labels, need at most {MAX_LABELS}; take one away first.")
    # Numbers are drawn on a ramp; only classes need a colour each.
    if as_numbers(out) is None and len(class_names(out)) > len(CLASS_COLOURS):
        raise InputError(
            f"Got {len(class_names(out))} classes, need at most {len(CLASS_COLOURS)}; "
            "use the names that are there."
        )
    return out


def class_names(labels: tuple[Label, ...]) -> list[str]:
    """Distinct names of ``labels`` in the order they were first used."""
    return list(dict.fromkeys(label.name for label in labels))


def as_numbers(labels: tuple[Label, ...]) -> np.ndarray | None:
    """``labels`` as (label,) float64, or None where one of the names is not a finite number."""
    try:
        values = np.array([float(label.name) for label in labels])
    except ValueError:
        return None
    # float() takes "nan" and "inf" as well, which no ramp has a colour for.
    return values if np.isfinite(values).all() else None


def is_fittable(labels: tuple[Label, ...]) -> bool:
    """Whether ``labels`` have two distinct names or more, so that a model can be fitted."""
    return len(class_names(labels)) > 1
