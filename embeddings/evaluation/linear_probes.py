"""Linear probes: how much of a known quantity a weighted sum of features predicts, at groups the probe never saw.

Every row is predicted by rows of other groups (sites, landscapes). The strength of the penalty is chosen inside the
training groups, by leaving out each of them in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from fluxlens.embeddings import metrics
from fluxlens.embeddings.evaluation.gpp_held_out import site_folds
from fluxlens.embeddings.evaluation.protocol import Protocol, describe_weights
from fluxlens.embeddings.gpp import table_embeddings, table_features, tables
from fluxlens.embeddings.gpp.table_features import BANDS
from fluxlens.embeddings.progress import Steps
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import HLS_BANDS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

PREFIXES = (8, 16)

STRENGTHS = 10.0 ** np.arange(-6, 2)
"""Penalties tried, per row and for inputs of unit variance."""

LOGISTIC_STRENGTHS = (1e-3, 1e-2, 1e-1)

TREES = 100
"""Extremely randomised trees beside ridge regression (Geurts et al. 2006); the mean of the two is scored."""


def prefixes(name: str, z: np.ndarray) -> dict[str, np.ndarray]:
    """A representation whole and by its first features alone.

    Parameters
    ----------
    name
        Name of the whole; the parts are called ``NAME_16``, ``NAME_8``.
    z
        (row, feature).
    """
    return {name: z} | {f"{name}_{n}": z[:, :n] for n in sorted(PREFIXES, reverse=True) if n < z.shape[1]}


@dataclass(frozen=True)
class Moments:
    """All that least squares needs of the rows of a group; moments of two groups add up.

    Kept beside scikit-learn's ``Ridge`` for its speed: leaving out each of G groups, with S penalties tried inside,
    fits G (G - 1) S times, here on sums of moments instead of on rows. 14 groups of 20 000 rows and 32 inputs take
    0.7 s on one core; ``Ridge`` on rows, at 0.18 s a fit, 260 s. The tests compare the two.
    """

    xx: np.ndarray
    """(input + 1, input + 1) sums of products; the last input is constant one."""
    xy: np.ndarray
    """(input + 1,) sums of products with the target."""
    yy: float
    """Sum of squares of the target."""

    @classmethod
    def from_rows(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        """Moments of inputs ``x`` (row, input) and target ``y`` (row,), each in its own units."""
        x = np.column_stack([x, np.ones(len(x))])
        return cls(x.T @ x, x.T @ y, float(y @ y))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.xx + other.xx, self.xy + other.xy, self.yy + other.yy)

    def fit(self, strength: float) -> np.ndarray:
        """Weights (coefficient,) of ridge regression, target units per input unit; the last is the intercept.

        Parameters
        ----------
        strength
            Penalty per row on the coefficients of inputs scaled to unit variance.
        """
        rows, mean = self.xx[-1, -1], self.xx[-1, :-1] / self.xx[-1, -1]
        cov = self.xx[:-1, :-1] / rows - np.outer(mean, mean)  # (input, input)
        cov_y = self.xy[:-1] / rows - mean * self.xy[-1] / rows  # (input,)
        std = np.sqrt(np.maximum(np.diag(cov), 1e-12))
        # Solve for standardised inputs, then undo the scaling.
        correlation = cov / np.outer(std, std) + strength * np.eye(len(mean))
        weights = np.linalg.solve(correlation, cov_y / std) / std
        return np.append(weights, self.xy[-1] / rows - weights @ mean)

    def error(self, weights: np.ndarray) -> float:
        """Sum of squared errors, target units squared, that ``weights`` (coefficient,) make on these rows."""
        return self.yy - 2 * weights @ self.xy + weights @ self.xx @ weights


def ridge(x: np.ndarray, y: np.ndarray, group: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """Predict each row by ridge regression on the groups outside its own fold.

    Parameters
    ----------
    x
        (row, input).
    y
        (row,) target.
    group
        (row,) units that are left out to choose the penalty.
    fold
        (row,) what is left out to predict; by default the group itself. A fold may hold several groups.

    Returns
    -------
    (row,) float64 predictions.

    Raises
    ------
    InputError
        With one fold, or fewer than two groups outside one of them.
    """
    fold = group if fold is None else fold
    groups = np.unique(group)
    # Two outside: one to fit on, one to choose the penalty by.
    outside = [len(np.unique(group[fold != one])) for one in np.unique(fold)]
    if min(outside) < 2:
        raise InputError(f"Got {len(np.unique(fold))} groups, need three to leave one out; give more.")
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    x = x - x.mean(0)  # moments are differences of large sums: centred inputs keep their digits
    moments = {name: Moments.from_rows(x[group == name], y[group == name]) for name in groups}
    out = np.empty(len(y))
    for left_out in np.unique(fold):
        # Groups that lie wholly in the fold are left out; one that reaches beyond it is of other land too, and teaches.
        training = [moments[name] for name in groups if not (fold[group == name] == left_out).all()]
        weights = reduce(Moments.__add__, training).fit(_choose_strength(training))
        # The column of ones meets the intercept, the last of the weights.
        out[fold == left_out] = np.column_stack([x, np.ones(len(x))])[fold == left_out] @ weights
    return out


def _choose_strength(groups: list[Moments]) -> float:
    """The penalty with the least error when each group is predicted by the others."""
    errors = np.zeros(len(STRENGTHS))
    for i, left_out in enumerate(groups):
        other_groups = reduce(Moments.__add__, groups[:i] + groups[i + 1 :])
        errors += [left_out.error(other_groups.fit(strength)) for strength in STRENGTHS]
    return STRENGTHS[errors.argmin()]


def logistic(x: np.ndarray, kind: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Predict the class of each row by multinomial logistic regression on all other groups.

    Groups are dealt into parts; the penalty for a part is chosen among the other parts. Every class weighs the same,
    however many rows show it.

    Parameters
    ----------
    x
        (row, input).
    kind
        (row,) classes.
    group
        (row,) units that are left out.

    Returns
    -------
    (row,) predicted classes.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import LeaveOneGroupOut

    x, out = np.asarray(x, "float64"), kind.copy()
    # Folds of whole sites, for the choice of the penalty alone: per site it would take as many more fits.
    folds = [np.isin(group, names) for names in site_folds(pd.Series(group))]
    fold_of = np.select(folds, range(len(folds)))  # (row,)
    for fold in folds:
        xs, kinds = x[~fold], kind[~fold]
        inner = {strength: kinds.copy() for strength in LOGISTIC_STRENGTHS}
        # The penalty is chosen without the fold that is predicted with it.
        for train, test in LeaveOneGroupOut().split(xs, kinds, fold_of[~fold]):
            for strength, predicted in inner.items():
                predicted[test] = _fit_classifier(xs[train], kinds[train], strength).predict(xs[test])
        best = max(inner, key=lambda strength: balanced_accuracy_score(kinds, inner[strength]))
        # Prediction leaves out one site at a time, with the fold's penalty.
        for name in np.unique(group[fold]):
            out[group == name] = _fit_classifier(x[group != name], kind[group != name], best).predict(
                x[group == name]
            )
    return out


def _fit_classifier(x: np.ndarray, kind: np.ndarray, strength: float) -> Any:
    return classifier(len(x), strength).fit(x, kind)


def classifier(rows: int, strength: float) -> Pipeline:
    """Logistic regression on standardised inputs (row, input), every class of the same weight.

    Parameters
    ----------
    rows
        Number of rows it will be fitted on.
    strength
        Penalty per row, as ``STRENGTHS`` have it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # scikit-learn's C multiplies the loss summed over rows, so that a strength per row is 1 / (C rows).
    model = LogisticRegression(C=1 / (strength * rows), class_weight="balanced", tol=1e-6, max_iter=5000)
    return make_pipeline(StandardScaler(), model)


def evaluate(path: str | Path, model: Embedder) -> Steps[tuple[dict[str, float], str]]:
    """Probes of GPP and of plant type on a table of single spectra, sites left out.

    Parameters
    ----------
    path
        Table with the columns of ``gpp.tables.read``: site, date, type, bands and gpp (gC m-2 d-1).
    model
        Embeds each spectrum on its own.

    Returns
    -------
    Flat object of numbers, and their table as text; yields progress.
    """
    from sklearn.metrics import accuracy_score, balanced_accuracy_score

    table = tables.read(path, need_gpp=True)
    table = table[table[[*BANDS, "gpp"]].notna().all(axis=1)].reset_index(drop=True)
    # (row, band), and (row,) of site and plant type
    bands, (site, kind) = table[list(BANDS)].values, table[["site", "type"]].values.T.astype(str)
    # The embedding's first features too: how much of it is in how many numbers.
    inputs = prefixes("embedding", table_embeddings.embed_spectra(model, bands, HLS_BANDS)) | {"bands": bands}
    numbers: dict[str, float] = {"rows": len(table), "sites": len(np.unique(site))}
    for i, (name, x) in enumerate(inputs.items()):
        yield f"probing {name}", i / len(inputs)
        gpp, predicted_kind = ridge(x, table["gpp"].values, site), logistic(x, kind, site)
        numbers[f"{name}_gpp_r2"] = metrics.nse(table["gpp"].values, gpp)
        numbers[f"{name}_gpp_rmse"] = metrics.rmse(table["gpp"].values, gpp)
        numbers[f"{name}_type_balanced_accuracy"] = float(balanced_accuracy_score(kind, predicted_kind))
        numbers[f"{name}_type_accuracy"] = float(accuracy_score(kind, predicted_kind))
    # Of the site's whole series, as products embed it, not of each spectrum alone: what GPP with weather can use.
    weather = [name for name in table_features.MERRA2_COLUMNS if name in table]
    with_weather: dict[str, float] = {}
    if weather:
        with_weather = yield from _probe_with_weather(table, bands, weather, model)
        numbers |= {f"{name}_weather_gpp_r2": r2 for name, r2 in with_weather.items()}
    columns = {
        "gpp_r2": "R2",
        "gpp_rmse": "RMSE",
        "type_balanced_accuracy": "balanced",
        "type_accuracy": "accuracy",
    }
    rows = pd.DataFrame({n: {c: numbers[f"{n}_{key}"] for key, c in columns.items()} for n in inputs}).T
    protocol = Protocol(
        data=f"{Path(path).name}: {len(table)} single spectra at {numbers['sites']} sites",
        split="leave-site-out: each site predicted from the others",
        baselines="the same probes of raw bands"
        + (", and of raw bands beside the weather" if weather else ""),
        weights=describe_weights(model),
    )
    return protocol.attach(
        numbers,
        f"GPP: R2 = 1 - SSE/SST, RMSE in gC m-2 d-1; plant type, {len(np.unique(kind))}"
        f" kinds: accuracy as the mean of the kinds, and of rows\n{rows.to_string(float_format='{:.3f}'.format)}"
        + ("\nR2 of GPP, mean of ridge and trees: " if weather else "")
        + ", ".join(f"{name} and weather: {r2:.3f}" for name, r2 in with_weather.items()),
    )


def _probe_with_weather(
    table: pd.DataFrame, bands: np.ndarray, weather: list[str], model: Embedder
) -> Steps[dict[str, float]]:
    """R2 of GPP by input, ``bands`` (row, band), embedding and both, each beside these columns of weather."""
    embedded = table_embeddings.add_embeddings(table, model)
    z = embedded[[f"e{i:02d}" for i in range(model.features)]].to_numpy(float)  # (row, feature)
    # A model without missing values: the median adds no signal.
    air = table[weather].fillna(table[weather].median()).to_numpy(float)
    gpp, site = table["gpp"].to_numpy(), table["site"].to_numpy().astype(str)
    r2: dict[str, float] = {}
    for name, x in {"bands": bands, "embedding": z, "both": np.column_stack([z, bands])}.items():
        yield f"probing {name} and weather", 0.9
        r2[name] = metrics.nse(gpp, ridge_and_trees(np.column_stack([x, air]), gpp, site))
    return r2


def ridge_and_trees(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Predict each row by the mean of ridge regression and extremely randomised trees on other groups.

    Parameters
    ----------
    x
        (row, input) in any units, finite.
    y
        (row,) target.
    group
        (row,) units that are left out.

    Returns
    -------
    (row,) float64 predictions in the unit of ``y``.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    trees = np.empty(len(y))
    # A sixth of the groups at a time: a forest takes half a second, and thirty sites would take thirty.
    for names in site_folds(pd.Series(group)):
        out = np.isin(group, names)
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0)
        trees[out] = forest.fit(x[~out], y[~out]).predict(x[out])
    return (ridge(x, y, group) + trees) / 2
