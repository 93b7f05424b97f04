"""A few labelled pixels, then a map: of classes by logistic regression, of numbers by ridge regression."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.pictures import CLASSES, Look, Picture, fmt
from embeddings import analysis
from models.errors import InputError

if TYPE_CHECKING:
    from app.alike import Alike

LABELS_AT_MOST = 120
"""Each is left out once to tell how well the others say it: a quarter of a second's work."""
NUMBERS_AT_LEAST = 5
"""With fewer numbers no score is told."""
NAME_AT_MOST = 40
LOOK = Look("Labels", "", ("number",), (0.0,), (1.0,), palette="CET_CBL2")


@dataclass(frozen=True)
class Label:
    """A pixel and what a visitor says of it."""

    row: int
    col: int
    name: str
    """A class, or a number."""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > NAME_AT_MOST:
            raise InputError(
                f"Got a label of {len(self.name.strip())} letters, need 1 to {NAME_AT_MOST}; type a class or a number."
            )


def with_one(labels: tuple[Label, ...], row: int, col: int, name: str) -> tuple[Label, ...]:
    """The labels with one more; a second tap with the same name takes it away, with another name changes it."""
    new = Label(row, col, name.strip())
    out = tuple(label for label in labels if (label.row, label.col) != (row, col))
    out = out if new in labels else (*out, new)
    if len(out) > LABELS_AT_MOST:
        raise InputError(f"Got {len(out)} labels, need at most {LABELS_AT_MOST}; take one away first.")
    if numbers(out) is None and len(names(out)) > len(CLASSES):
        raise InputError(
            f"Got {len(names(out))} classes, need at most {len(CLASSES)}; use the names that are there."
        )
    return out


def names(labels: tuple[Label, ...]) -> list[str]:
    """Classes, in the order they came."""
    return list(dict.fromkeys(label.name for label in labels))


def numbers(labels: tuple[Label, ...]) -> np.ndarray | None:
    """The labels as numbers, or None where one of them is a name."""
    try:
        found = np.array([float(label.name) for label in labels])
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def enough(labels: tuple[Label, ...]) -> bool:
    """Whether they tell two things apart."""
    return len(names(labels)) > 1


def colours(labels: tuple[Label, ...]) -> list[str]:
    """Of each label as on the map."""
    import colorcet

    values = numbers(labels)
    if values is None or not enough(labels):
        order = names(labels)
        return [CLASSES[order.index(label.name)] for label in labels]
    level = (values - values.min()) / np.ptp(values) * 255
    return [colorcet.palette[LOOK.palette][int(i)] for i in level]


def picture(alike: "Alike", day: dt.date | None, labels: tuple[Label, ...]) -> Picture:
    """The map of two labels or more on a day, or (day None) of the whole period, with how well it is known."""
    values, scale = alike.described(day)
    rows = np.array([label.row * alike.data.grid.nx + label.col for label in labels])
    told = values[rows] * scale
    when = f"on {fmt(day)}" if day else alike.period
    target = numbers(labels)
    return (_classes if target is None else _numbers)(alike, labels, target, values, scale, told, when)


def _classes(alike, labels, _, values, scale, told, when) -> Picture:
    order = names(labels)
    kinds = np.array([order.index(label.name) for label in labels])

    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return analysis.logistic(x, y, len(order))

    found = analysis.applied(values, _unscaled(fit(told, kinds), scale)).argmax(1)
    sizes = np.bincount(kinds)
    score = "too few labels to check: two of each class or more"
    if sizes.min() > 1:
        right = int((analysis.left_out(told, kinds, fit).argmax(1) == kinds).sum())
        score = f"each left out once, {right} of {len(labels)} told right ({sizes.max()} by always the same class)"
    look = Look(
        "Your classes", "", ("class",), (0.0,), (1.0,), classes=CLASSES[: len(order)], names=tuple(order)
    )
    shares = np.bincount(found, minlength=len(order)) / found.size
    note = f"{when}, from {len(labels)} labels by logistic regression"
    return Picture(
        found.reshape(*alike.data.grid.shape, 1).astype("float32"),
        look,
        note,
        None,
        tuple(shares.tolist()),
        score,
    )


def _numbers(alike, labels, target, values, scale, told, when) -> Picture:
    found = analysis.applied(values, _unscaled(analysis.ridge(told, target), scale))
    score = f"too few labels to check: {NUMBERS_AT_LEAST} or more"
    if len(labels) >= NUMBERS_AT_LEAST:
        error = _rmse(analysis.left_out(told, target, analysis.ridge)[:, 0] - target)
        others = (target.sum() - target) / (len(target) - 1)
        score = (
            f"each left out once, error (RMSE) {error:.3g} ({_rmse(others - target):.3g} by the others' mean)"
        )
    look = Look("Your numbers", "", ("number",), (target.min(),), (target.max(),), palette=LOOK.palette)
    note = f"{when}, from {len(labels)} labels by ridge regression"
    return Picture(found.reshape(*alike.data.grid.shape, 1), look, note, score=score)


def _unscaled(weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weights for values as they are stored."""
    return np.concatenate([weights[:-1] * scale[:, None], weights[-1:]])


def _rmse(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))
