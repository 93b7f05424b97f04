"""Linear probes: how much of something known can be read off a representation by a weighted sum, at groups never seen.

The strength of the penalty is chosen inside the groups that teach, by leaving out each of them in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from embeddings import engine, gpp_table, metrics
from embeddings.gpp_evaluation import deal
from embeddings.gpp_features import BANDS
from embeddings.progress import Steps
from models.embedder import Embedder
from models.errors import InputError

PREFIXES = (8, 16)
STRENGTHS = 10.0 ** np.arange(-6, 2)
"""Penalties tried, per row and for inputs of unit variance."""
LOGISTIC_STRENGTHS = (1e-3, 1e-2, 1e-1)
HLS = ("B02", "B03", "B04", "B8A", "B11", "B12")
"""Sentinel-2 bands of the table's columns ``gpp_features.BANDS``."""


def prefixes(name: str, z: np.ndarray) -> dict[str, np.ndarray]:
    """A representation (row, feature) whole and by its first features alone."""
    return {name: z} | {f"{name}_{n}": z[:, :n] for n in sorted(PREFIXES, reverse=True) if n < z.shape[1]}


@dataclass(frozen=True)
class Moments:
    """All that least squares needs of the rows of a group; moments of two groups add up."""

    xx: np.ndarray
    """(input + 1, input + 1); the last input is constant one."""
    xy: np.ndarray
    yy: float

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        x = np.column_stack([x, np.ones(len(x))])
        return cls(x.T @ x, x.T @ y, float(y @ y))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.xx + other.xx, self.xy + other.xy, self.yy + other.yy)

    def fit(self, strength: float) -> np.ndarray:
        """Weights (input + 1) of ridge regression on inputs of unit variance, constant unpenalised."""
        rows, mean = self.xx[-1, -1], self.xx[-1, :-1] / self.xx[-1, -1]
        cov = self.xx[:-1, :-1] / rows - np.outer(mean, mean)
        with_y = self.xy[:-1] / rows - mean * self.xy[-1] / rows
        spread = np.sqrt(np.maximum(np.diag(cov), 1e-12))
        scaled = cov / np.outer(spread, spread) + strength * np.eye(len(mean))
        weights = np.linalg.solve(scaled, with_y / spread) / spread
        return np.append(weights, self.xy[-1] / rows - weights @ mean)

    def error(self, weights: np.ndarray) -> float:
        """Sum of squared errors of these rows."""
        return self.yy - 2 * weights @ self.xy + weights @ self.xx @ weights


def ridge(x: np.ndarray, y: np.ndarray, group: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """``y`` (row) told from ``x`` (row, input), each row by the groups outside its own fold (default: group)."""
    fold = group if fold is None else fold
    names = np.unique(group)
    if len(np.unique(fold)) < 3:
        raise InputError(f"Got {len(np.unique(fold))} groups, need three to leave one out; give more.")
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    x = x - x.mean(0)  # only for the sums to stay exact
    moments = {name: Moments.of(x[group == name], y[group == name]) for name in names}
    out = np.empty(len(y))
    for here in np.unique(fold):
        teach = [moments[name] for name in names if not (fold[group == name] == here).all()]
        weights = reduce(Moments.__add__, teach).fit(_strength(teach))
        out[fold == here] = np.column_stack([x, np.ones(len(x))])[fold == here] @ weights
    return out


def _strength(groups: list[Moments]) -> float:
    """The penalty that tells each group best from the others."""
    errors = np.zeros(len(STRENGTHS))
    for i, left in enumerate(groups):
        others = reduce(Moments.__add__, groups[:i] + groups[i + 1 :])
        errors += [left.error(others.fit(strength)) for strength in STRENGTHS]
    return STRENGTHS[errors.argmin()]


def logistic(x: np.ndarray, kind: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The kind (row) told by multinomial logistic regression, each group by all others.

    Groups are dealt into parts; the penalty for a part is chosen among the other parts.
    """
    x, out = np.asarray(x, "float64"), kind.copy()
    parts = [np.isin(group, names) for names in deal(pd.Series(group))]
    for part in parts:
        told = {strength: kind.copy() for strength in LOGISTIC_STRENGTHS}
        for other in (p for p in parts if p is not part):
            for strength, found in told.items():
                found[other] = _classify(x, kind, ~(part | other), other, strength)
        best = max(told, key=lambda strength: _balanced(kind[~part], told[strength][~part]))
        for name in np.unique(group[part]):
            out[group == name] = _classify(x, kind, group != name, group == name, best)
    return out


def _classify(
    x: np.ndarray, kind: np.ndarray, teach: np.ndarray, ask: np.ndarray, strength: float
) -> np.ndarray:
    """Kinds of the rows that are asked; every kind weighs the same, however many rows teach it."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax, softmax

    mean, spread = x[teach].mean(0), x[teach].std(0) + 1e-9
    x = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    names, y = np.unique(kind[teach], return_inverse=True)
    one = np.eye(len(names))[y]
    weight = (1 / one.sum(0) / len(names))[y][:, None]
    penalty = np.append(np.full(x.shape[1] - 1, strength), 0.0)[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(x.shape[1], len(names))
        score = x[teach] @ w
        value = -(weight * one * log_softmax(score, 1)).sum() + 0.5 * (penalty * w**2).sum()
        return value, (x[teach].T @ (weight * (softmax(score, 1) - one)) + penalty * w).ravel()

    best = minimize(
        loss, np.zeros(x.shape[1] * len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 100}
    ).x
    return names[(x[ask] @ best.reshape(x.shape[1], -1)).argmax(1)]


def _balanced(kind: np.ndarray, told: np.ndarray) -> float:
    """Mean share told right over the kinds there are."""
    return float(np.mean([(told[kind == name] == name).mean() for name in np.unique(kind)]))


def evaluate(path: str | Path, model: Embedder) -> Steps[tuple[dict[str, float], str]]:
    """Probes of GPP and of plant type on a table of single spectra, sites left out; the numbers and their table."""
    table = gpp_table.read(path, need_gpp=True)
    table = table[table[[*BANDS, "gpp"]].notna().all(axis=1)].reset_index(drop=True)
    bands, (site, kind) = table[list(BANDS)].values, table[["site", "type"]].values.T.astype(str)
    inputs = prefixes("embedding", engine.embed_spectra(model, bands, HLS)) | {"bands": bands}
    numbers: dict[str, float] = {"rows": len(table), "sites": len(np.unique(site))}
    for i, (name, x) in enumerate(inputs.items()):
        yield f"probing {name}", i / len(inputs)
        told, named = ridge(x, table["gpp"].values, site), logistic(x, kind, site)
        numbers[f"{name}_gpp_r2"] = metrics.nse(table["gpp"].values, told)
        numbers[f"{name}_gpp_rmse"] = metrics.rmse(table["gpp"].values, told)
        numbers[f"{name}_type_balanced_accuracy"] = _balanced(kind, named)
        numbers[f"{name}_type_accuracy"] = float((named == kind).mean())
    columns = {
        "gpp_r2": "R2",
        "gpp_rmse": "RMSE",
        "type_balanced_accuracy": "balanced",
        "type_accuracy": "accuracy",
    }
    rows = pd.DataFrame({n: {c: numbers[f"{n}_{key}"] for key, c in columns.items()} for n in inputs}).T
    return numbers, (
        f"Linear probes of single spectra, each site told by the others: {Path(path).name}, {len(table)} rows at"
        f" {numbers['sites']} sites\nGPP: R2 = 1 - SSE/SST, RMSE in gC m-2 d-1; plant type, {len(np.unique(kind))}"
        f" kinds: accuracy as the mean of the kinds, and of rows\n{rows.to_string(float_format='{:.3f}'.format)}"
    )
