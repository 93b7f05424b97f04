"""A few labelled pixels, then a map: of classes by logistic regression, of numbers by ridge regression."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.pictures import CLASSES, Look, Picture, Sight, fmt
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


@dataclass(frozen=True)
class Learnt:
    """What labels say of every pixel, and how well it is known."""

    weights: np.ndarray
    """(feature + 1, class or 1), for values as ``Alike.described`` gives them."""
    look: Look
    note: str
    score: str


def picture(
    alike: "Alike", day: dt.date | None, labels: tuple[Label, ...], sight: Sight | None = None
) -> Picture:
    """The map of two labels or more on a day, or (day None) of the whole period, with how well it is known."""
    learnt = alike.learnt(day, labels)
    found = analysis.applied(alike.described(day, sight), learnt.weights)
    shares: tuple[float, ...] = ()
    if learnt.look.classes:
        found = found.argmax(1)
        shares = tuple((np.bincount(found, minlength=len(learnt.look.classes)) / found.size).tolist())
    values = found.reshape(*alike.shape(sight), 1).astype("float32")
    return Picture(values, learnt.look, learnt.note, None, shares, learnt.score)


def learn(alike: "Alike", day: dt.date | None, labels: tuple[Label, ...]) -> Learnt:
    """Fits the labelled pixels, as they are at full resolution whatever is in sight."""
    scale = alike.evening(day)
    told = alike.at(day, tuple((label.row, label.col) for label in labels)) * scale
    when = f"on {fmt(day)}" if day else alike.period
    target = numbers(labels)
    weights, look, how, score = _classes(labels, told) if target is None else _numbers(labels, told, target)
    unscaled = np.concatenate([weights[:-1] * scale[:, None], weights[-1:]])
    return Learnt(unscaled, look, f"{when}, from {len(labels)} labels by {how} regression", score)


def _classes(labels: tuple[Label, ...], told: np.ndarray) -> tuple[np.ndarray, Look, str, str]:
    order = names(labels)
    kinds = np.array([order.index(label.name) for label in labels])

    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return analysis.logistic(x, y, len(order))

    sizes = np.bincount(kinds)
    score = "too few labels to check: two of each class or more"
    if sizes.min() > 1:
        right = int((analysis.left_out(told, kinds, fit).argmax(1) == kinds).sum())
        score = f"each left out once, {right} of {len(labels)} told right ({sizes.max()} by always the same class)"
    look = Look(
        "Your classes", "", ("class",), (0.0,), (1.0,), classes=CLASSES[: len(order)], names=tuple(order)
    )
    return fit(told, kinds), look, "logistic", score


def _numbers(
    labels: tuple[Label, ...], told: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, Look, str, str]:
    score = f"too few labels to check: {NUMBERS_AT_LEAST} or more"
    if len(labels) >= NUMBERS_AT_LEAST:
        error = _rmse(analysis.left_out(told, target, analysis.ridge)[:, 0] - target)
        others = (target.sum() - target) / (len(target) - 1)
        score = (
            f"each left out once, error (RMSE) {error:.3g} ({_rmse(others - target):.3g} by the others' mean)"
        )
    look = Look("Your numbers", "", ("number",), (target.min(),), (target.max(),), palette=LOOK.palette)
    return analysis.ridge(told, target), look, "ridge", score


def _rmse(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))
