"""Classifier two-sample test: can a linear classifier tell simulated from measured scenes?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

PIXELS = 200
"""Per scene, for the classifier."""

RIDGE = 0.01
"""Penalty of the classifier, where the weights of all pixels sum to one."""

POSES = 20
"""Draws of the null distribution: as many simulated landscapes taken for measured ones."""


def two_sample_test(measured: list[pd.DataFrame], simulated: list[pd.DataFrame]) -> tuple[float, pd.Series]:
    """How well a classifier tells measured pixels from simulated ones on scenes it has not seen.

    A classifier two-sample test (Lopez-Paz & Oquab 2017): logistic regression on standardised statistics and their
    squares; each fold holds out one measured scene and its share of the landscapes.

    Parameters
    ----------
    measured, simulated
        One frame per scene, a row per pixel, all with the same statistics and without NaN.

    Returns
    -------
    Balanced accuracy (0.5 where nothing tells them apart), every scene of a kind weighing the same; and each
    statistic's AUC, mean over measured scenes: 0.5 says nothing, 1 all measured pixels above all simulated ones, 0
    below.
    """
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import LeaveOneGroupOut

    frames, folds = measured + simulated, len(measured)
    # Simulated landscapes are dealt to the folds in turn: each fold tests on both kinds.
    scene_fold = [*range(folds), *(k % folds for k in range(len(simulated)))]
    x = pd.concat(frames).to_numpy()
    scene = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])  # (pixel,)
    is_measured, fold = scene < folds, np.array(scene_fold)[scene]
    predicted = np.empty(len(x), bool)
    for train, test in LeaveOneGroupOut().split(x, is_measured, fold):
        weight = _scene_weights(scene[train], is_measured[train])
        classifier = _classifier().fit(x[train], is_measured[train], logisticregression__sample_weight=weight)
        predicted[test] = classifier.predict(x[test])
    per_scene = 1 / np.bincount(scene)[scene]
    accuracy = float(balanced_accuracy_score(is_measured, predicted, sample_weight=per_scene))
    pool = pd.concat(simulated)
    # One measured scene at a time against all simulated pixels: a large scene counts as much as a small one.
    auc = {
        name: np.mean(
            [
                roc_auc_score(np.arange(len(one) + len(pool)) < len(one), np.append(one[name], pool[name]))
                for one in measured
            ]
        )
        for name in measured[0].columns
    }
    return accuracy, pd.Series(auc)


def _scene_weights(scene: np.ndarray, is_measured: np.ndarray) -> np.ndarray:
    """(pixel,) weights that sum to one: each kind weighs a half, and so much the same each scene of a kind."""
    weight = np.empty(len(scene))
    for kind in (True, False):
        at = is_measured == kind
        weight[at] = 0.5 / len(np.unique(scene[at])) / np.bincount(scene[at])[scene[at]]
    return weight


def _classifier() -> Any:
    """Logistic regression on standardised statistics and their squares."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    # The intercept is one of the inputs, so that it is penalised with them: what differs between two samples of scenes
    # in every statistic at once then counts less, and the scores of earlier versions stay comparable.
    fit = LogisticRegression(C=1 / RIDGE, fit_intercept=False, tol=1e-6, max_iter=5000)
    return make_pipeline(StandardScaler(), FunctionTransformer(_with_squares), fit)


def _with_squares(z: np.ndarray) -> np.ndarray:
    """(pixel, 2 x statistic + 1): clipped at 4 standard deviations, so that no outlier decides; squares; one."""
    z = np.clip(z, -4, 4)
    return np.hstack([z, z**2 - 1, np.ones((len(z), 1))])


def classify(measured: list[pd.DataFrame], simulated: list[pd.DataFrame], seed: int = 0) -> dict:
    """The two-sample test, and its null distribution: as many simulated landscapes taken for measured ones.

    Parameters
    ----------
    measured, simulated
        Statistics of pixels, one frame per scene.
    seed
        Of the pixels drawn and of the null.

    Returns
    -------
    Accuracies and one AUC per statistic (keys ``..._posing`` are the null); empty with too few scenes.
    """
    # Statistics that every measured scene has: products lack bands, and a column of holes would leave no pixel.
    shared = [
        name for name in measured[0] if all(frame[name].notna().any() for frame in measured if name in frame)
    ]
    shared = [name for name in shared if all(name in frame for frame in measured)]
    rng = np.random.default_rng(seed)

    def subsample(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
        # As many pixels of every scene, or a large scene would decide.
        whole = [frame[shared].dropna() for frame in frames]
        return [f.iloc[rng.permutation(len(f))[:PIXELS]] for f in whole if len(f) >= PIXELS // 10]

    real, made = subsample(measured), subsample(simulated)
    # Below, the null distribution cannot be drawn: it takes as many landscapes out, and two must remain.
    if len(real) < 2 or len(made) < 2 * len(real) + 2:
        return {}
    accuracy, auc = two_sample_test(real, made)
    null = []
    for _ in range(POSES):
        # Under the null hypothesis measured and simulated are alike: any landscapes may take the measured ones'
        # place.
        order = rng.permutation(len(made))
        taken, rest = ([made[k] for k in indices] for indices in (order[: len(real)], order[len(real) :]))
        null.append(two_sample_test(taken, rest)[0])
    return {
        "balanced_accuracy": accuracy,
        "balanced_accuracy_posing": float(np.mean(null)),
        "balanced_accuracy_posing_q95": float(np.quantile(null, 0.95)),
        "classified_statistics": len(shared),
    } | {f"auc {name}": float(value) for name, value in auc.items()}
