"""Linear models from few labelled pixels: logistic and ridge regression with their left-out scores."""

from collections.abc import Callable

import numpy as np
from fluxlens.embeddings.analysis.similarity import project

ABSENT_CLASS_INTERCEPT = -1e6
"""Intercept of a class without a sample: no other weights can lift it above a class that has some."""

RIDGE_PENALTIES = (0.1, 1, 10, 100, 1000)
"""Tried for inputs of unit variance."""


def logistic(values: np.ndarray, kinds: np.ndarray, count: int, penalty: float = 1.0) -> np.ndarray:
    """Multinomial logistic regression.

    Parameters
    ----------
    values
        (sample, feature) in comparable units.
    kinds
        (sample,) classes 0 ... count - 1; a class may be absent, as where its only samples are left out.
    count
        Number of classes.
    penalty
        Weight of the squared coefficients beside the summed log loss; intercepts are not penalised.

    Returns
    -------
    Weights (feature + 1, count), the intercepts last.
    """
    from sklearn.linear_model import LogisticRegression

    present = np.unique(kinds)
    out = np.zeros((values.shape[1] + 1, count))
    out[-1] = ABSENT_CLASS_INTERCEPT
    if len(present) == 1:
        out[-1, present] = 0
        return out
    # Of two classes scikit-learn fits one vector, the difference of the two; it is then penalised twice as much as the
    # two halves would be.
    is_binary = len(present) == 2
    fit = LogisticRegression(C=(2 if is_binary else 1) / penalty, tol=1e-6, max_iter=1000).fit(values, kinds)
    weights = np.vstack([fit.coef_.T, fit.intercept_])  # (feature + 1, 1 or class)
    out[:, present] = weights * [-0.5, 0.5] if is_binary else weights
    return out


def ridge(
    values: np.ndarray, target: np.ndarray, penalties: tuple[float, ...] = RIDGE_PENALTIES
) -> np.ndarray:
    """Ridge regression; the penalty is the one with the least error on samples left out one by one.

    Parameters
    ----------
    values
        (sample, feature) in comparable units.
    target
        (sample,) numbers.
    penalties
        Tried in turn.

    Returns
    -------
    Weights (feature + 1, 1), the intercept last.
    """
    from sklearn.linear_model import RidgeCV

    # float64: the closed form of leave-one-out inverts a Gram matrix.
    fit = RidgeCV(penalties).fit(values.astype("float64"), target)
    return np.append(fit.coef_, fit.intercept_)[:, None]


def apply_linear(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What a linear model says of every pixel.

    Parameters
    ----------
    values
        (pixel, feature) int8 or floats.
    weights
        (feature + 1, output), the intercepts last.

    Returns
    -------
    (pixel, output) float32.
    """
    # int8 goes into the kernel as it is, without a float copy of the map.
    values = values if values.dtype == np.int8 else values.astype("float32", copy=False)
    return project(values, weights[:-1], weights[-1])


def cross_predict(
    values: np.ndarray,
    target: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray],
    folds: int = 20,
) -> np.ndarray:
    """Prediction of each sample by a model that never saw it.

    Parameters
    ----------
    values
        (sample, feature).
    target
        (sample,) classes or numbers.
    fit
        Takes values and target, returns weights (feature + 1, output).
    folds
        Up to so many samples are left out one by one; of more, every ``folds``-th together.

    Returns
    -------
    (sample, output) float32.
    """
    from sklearn.model_selection import PredefinedSplit

    # Labels come class by class: contiguous folds, as of KFold, would leave out a whole class.
    split = PredefinedSplit(np.arange(len(values)) % folds)
    by_fold = {
        tuple(test): apply_linear(values[test], fit(values[train], target[train]))
        for train, test in split.split()
    }
    out = np.empty((len(values), next(iter(by_fold.values())).shape[1]), "float32")
    for test, predicted in by_fold.items():
        out[list(test)] = predicted
    return out
