"""A map from a few labelled pixels: classes by logistic regression, numbers by ridge regression."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport, format_date
from fluxlens.app.data.similarity import PixelSimilarity
from fluxlens.app.palette import CLASS_COLOURS
from fluxlens.app.state.labels import Label, as_numbers, class_names
from fluxlens.embeddings import analysis

MIN_SCORED_NUMBERS = 5
"""With fewer numbers the error of leaving each out says nothing, and none is shown."""
NUMBER_PALETTE = "CET_CBL2"


@dataclass(frozen=True)
class FittedLabels:
    """A linear model fitted to labels, and its cross-validated score."""

    weights: np.ndarray
    """(feature + 1, class), or (feature + 1, 1) for numbers; the last row is the intercept. For
    ``PixelSimilarity.feature_matrix``."""
    style: LayerStyle
    caption: str
    score: str
    """Leave-one-out score as a sentence."""


def fit_labels(similarity: PixelSimilarity, day: dt.date | None, labels: tuple[Label, ...]) -> FittedLabels:
    """Fit the labelled pixels, read at full resolution whatever the viewport.

    Parameters
    ----------
    similarity : PixelSimilarity
        Gives the features of the pixels.
    day : date or None
        None: the whole period.
    labels : tuple of Label
        Two distinct names or more.
    """
    # Features are scaled to unit standard deviation, so that the penalty of the regressions treats all alike.
    scale = similarity.inverse_std(day)
    features = similarity.features_at(day, tuple((label.row, label.col) for label in labels)) * scale
    when = f"on {format_date(day)}" if day else similarity.period_label
    target = as_numbers(labels)
    if target is None:
        weights, style, score = _fit_classes(labels, features)
    else:
        weights, style, score = _fit_numbers(features, target)
    method = "logistic" if target is None else "ridge"
    # The scale is folded into the weights: the map is made of features as they are stored.
    unscaled = np.concatenate([weights[:-1] * scale[:, None], weights[-1:]])
    return FittedLabels(unscaled, style, f"{when}, from {len(labels)} labels by {method} regression", score)


def predict_labels(
    fitted: FittedLabels, similarity: PixelSimilarity, day: dt.date | None, viewport: Viewport | None = None
) -> LayerImage:
    """The map of a fitted model: class numbers 0, 1, ... or values.

    Parameters
    ----------
    fitted : FittedLabels
        The model, fitted on the same day.
    similarity : PixelSimilarity
        Gives the features of the pixels.
    day : date or None
        None: the whole period.
    viewport : Viewport, optional
        None: the whole scene.
    """
    values = analysis.apply_linear(similarity.feature_matrix(day, viewport), fitted.weights)
    shares: tuple[float, ...] = ()
    if fitted.style.classes:
        # (pixel, class) scores: the largest is the most probable class, without a softmax.
        values = values.argmax(1)
        counts = np.bincount(values, minlength=len(fitted.style.classes))
        shares = tuple((counts / values.size).tolist())
    values = values.reshape(*similarity.scene.shape(viewport), 1).astype("float32")
    when = format_date(day) if day else similarity.period_label
    return LayerImage(values, fitted.style, fitted.caption, None, shares, fitted.score, when)


def _fit_classes(labels: tuple[Label, ...], features: np.ndarray) -> tuple[np.ndarray, LayerStyle, str]:
    """Weights, style and score of a logistic regression on (label, feature)."""
    order = class_names(labels)
    classes = np.array([order.index(label.name) for label in labels])

    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return analysis.logistic(x, y, len(order))

    sizes = np.bincount(classes)
    score = "too few labels to check: two of each class or more"
    # A class of one label would be missing from the very fit that leaves it out.
    if sizes.min() > 1:
        correct = int((analysis.cross_predict(features, classes, fit).argmax(1) == classes).sum())
        score = (
            f"each left out once, {correct} of {len(labels)} classified right "
            f"({sizes.max()} by always the same class)"
        )
    style = LayerStyle(
        "Your classes",
        "",
        ("class",),
        (0.0,),
        (1.0,),
        classes=CLASS_COLOURS[: len(order)],
        names=tuple(order),
    )
    return fit(features, classes), style, score


def _fit_numbers(features: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, LayerStyle, str]:
    """Weights, style and score of a ridge regression of (label,) on (label, feature)."""
    score = f"too few labels to check: {MIN_SCORED_NUMBERS} or more"
    if len(target) >= MIN_SCORED_NUMBERS:
        error = _rmse(analysis.cross_predict(features, target, analysis.ridge)[:, 0] - target)
        # The baseline: each number predicted by the mean of the others.
        leave_one_out_mean = (target.sum() - target) / (len(target) - 1)
        score = (
            f"each left out once, error (RMSE) {error:.3g} "
            f"({_rmse(leave_one_out_mean - target):.3g} by the others' mean)"
        )
    style = LayerStyle(
        "Your numbers", "", ("number",), (target.min(),), (target.max(),), palette=NUMBER_PALETTE
    )
    return analysis.ridge(features, target), style, score


def _rmse(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))
