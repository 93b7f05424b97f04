"""A Gaussian process with shared and site-specific covariance, which predicts sites it has no rows of.

The covariance of two rows is a shared part (Rasmussen and Williams 2006, chapters 2 and 5) plus, for rows of one site,
a part of the site: level, slope and smooth departure. A new site shares only the shared part, so that a site of a
hundred rows contributes what it has in common with others, and the variance at a new site holds the differences between
sites. Features come in groups, each with one length scale. Everything is float64.

Written by hand since leave-group-out predictions in closed form are what calibrates the band, and neither scikit-learn
nor GPyTorch has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

JITTER = 1e-6
"""Added to the noise variance, so that the Cholesky decomposition of nearly equal rows exists."""
SCALE_PRIOR_STD = 0.7
"""Standard deviation of the normal priors of log length scales and log slope scales."""
PRIOR = {
    "smooth": 0.0,
    "slope": -0.7,
    "level": -1.0,
    "site_level": -1.3,
    "site_smooth": -1.5,
    "site_length": 0.0,
    "site_slope": -2.0,
    "noise": -1.5,
}
"""Means of the normal priors (standard deviation 1) of the log standard deviations, and of the log length scale within
a site."""
LENGTH = math.log(1.5)
"""Prior mean of the log length scale of a group, in standard deviations of its features."""

Hyper = dict[str, Tensor]
"""Hyperparameters: the names of ``PRIOR``, ``length`` (log length scale per group) and ``turn`` (log slope scale per
group: the input distance over which the linear part changes by one standard deviation)."""
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": lambda d2: torch.exp(-0.5 * d2),
    "cauchy": lambda d2: 1 / (1 + 0.5 * d2),
    # The derivative of a root at 0 is infinite: 1e-9 keeps the gradient of equal rows finite.
    "matern": lambda d2: (1 + (3 * d2 + 1e-9).sqrt()) * torch.exp(-(3 * d2 + 1e-9).sqrt()),
}
"""Kernels of squared scaled distance (Rasmussen and Williams 2006, equations 4.9, 4.19 with alpha = 1, and 4.17)."""


@dataclass
class SiteGaussianProcess:
    """A Gaussian process over standardised features, made by ``fit``.

    It teaches the correction of the daily head, which keeps no row of it, and is the reference for tables.

    Parameters
    ----------
    groups
        Group of each feature, 0 to the number of groups less one.
    shape
        Kernel of the shared smooth part, a key of ``SHAPES``.
    x
        Features of the rows conditioned on, standardised.
    y
        Targets of these rows, as given.
    site
        Site number of each row.
    centre, spread
        Mean and standard deviation of each feature in the rows of the fit.
    middle
        Mean target in the rows of the fit, the prior mean everywhere.
    hyper
        Hyperparameters, see ``Hyper``.
    """

    groups: Int[Tensor, "f"]
    shape: str = "gaussian"
    x: Float[Tensor, "rows _"] = field(default_factory=lambda: torch.zeros(0, 0))
    y: Float[Tensor, "_"] = field(default_factory=lambda: torch.zeros(0))
    site: Int[Tensor, "rows"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    centre: Float[Tensor, "_"] = field(default_factory=lambda: torch.zeros(0))
    spread: Float[Tensor, "_"] = field(default_factory=lambda: torch.ones(0))
    middle: Float[Tensor, ""] = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    hyper: Hyper = field(default_factory=dict)

    def fit(
        self,
        x: Float[Tensor, "n f"],
        y: Float[Tensor, "n"],
        site: Int[Tensor, "n"],
        steps: int = 25,
        rate: float = 0.12,
    ) -> SiteGaussianProcess:
        """Fit scaling and hyperparameters to rows (maximum a posteriori), then condition on the rows.

        Few steps on purpose: with thirty sites the most likely hyperparameters overfit the sites at hand, and those
        nearer the priors predict new ones better.

        Parameters
        ----------
        x, y, site
            Features, targets and site numbers, float64 and integer.
        steps, rate
            Adam steps, and their rate in the first 60 % (then 0.4 of it).

        Returns
        -------
        SiteGaussianProcess
            This one.
        """
        # 1e-9: a feature that is the same in all rows has no spread to divide by.
        self.centre, self.spread, self.middle = x.mean(0), x.std(0) + 1e-9, y.mean()
        # All rows in one matrix: some hundreds, so that a step takes milliseconds.
        hyper = self._initial_hyper()
        for value in hyper.values():
            value.requires_grad_(True)
        # Adam and not L-BFGS: few steps on purpose, see above.
        optimiser = torch.optim.Adam(hyper.values(), lr=rate)
        rows = _Pairwise((x - self.centre) / self.spread, self.groups, site)
        target = y - self.middle
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = rate if step < 0.6 * steps else 0.4 * rate
            optimiser.zero_grad()
            loss = negative_log_likelihood(self._covariance(hyper, rows), target) + _negative_log_prior(hyper)
            loss.backward()
            optimiser.step()
        self.hyper = {name: value.detach() for name, value in hyper.items()}
        return self.condition(x, y, site)

    def conditioned_on(
        self, x: Float[Tensor, "n f"], y: Float[Tensor, "n"], site: Int[Tensor, "n"]
    ) -> SiteGaussianProcess:
        """Copy with the same hyperparameters, conditioned on other rows.

        Parameters
        ----------
        x, y, site
            Features (n, f) normalised, targets (n,) in gC m-2 d-1 or transformed, and site indices (n,).

        Returns
        -------
        SiteGaussianProcess
            A new one; this one keeps its rows.
        """
        # Hyperparameters are shared: nothing changes them after ``fit``.
        other = SiteGaussianProcess(self.groups, self.shape, hyper=self.hyper)
        other.centre, other.spread, other.middle = self.centre, self.spread, self.middle
        return other.condition(x, y, site)

    def condition(
        self, x: Float[Tensor, "n f"], y: Float[Tensor, "n"], site: Int[Tensor, "n"]
    ) -> SiteGaussianProcess:
        """Condition on rows, with hyperparameters, scaling and prior mean as they are.

        Parameters
        ----------
        x, y, site
            Features (n, f) normalised, targets (n,) in gC m-2 d-1 or transformed, and site indices (n,).

        Returns
        -------
        SiteGaussianProcess
            This one.
        """
        self.x, self.y, self.site = (x - self.centre) / self.spread, y, site
        # Cubic in the rows, once: predictions and every leave-out reuse the factor.
        rows = _Pairwise(self.x, self.groups, site)
        self._cholesky = torch.linalg.cholesky(self._covariance(self.hyper, rows))
        self._weight = torch.cholesky_solve((y - self.middle)[:, None], self._cholesky)[:, 0]
        return self

    @torch.no_grad()
    def predict(self, x: Float[Tensor, "m f"]) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
        """Mean and variance of a new measurement at a new site.

        Parameters
        ----------
        x
            Features, float64, not standardised.

        Returns
        -------
        mean, variance
            In the unit of the target, and its square; noise included.
        """
        z = (x - self.centre) / self.spread
        near = self._shared_cov(self.hyper, *_distances_and_products(z, self.x, self.groups))  # (m, n)
        # k' K^-1 k by the Cholesky factor: |L^-1 k|^2 (Rasmussen and Williams 2006, algorithm 2.1).
        explained = torch.linalg.solve_triangular(self._cholesky, near.T, upper=False).square().sum(0)
        return near @ self._weight + self.middle, self._prior_var(z) - explained

    @torch.no_grad()
    def leave_group_out(
        self, group: Int[Tensor, "n"] | None = None
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
        """Mean and variance at each row from all rows outside its group, hyperparameters as they are.

        In closed form, one inverse for all groups (Sundararajan and Keerthi 2001).

        Parameters
        ----------
        group
            Group number of each row; the site unless given. With other groups a row learns from its own site too.

        Returns
        -------
        mean, variance
            In the unit of the target, and its square; noise included.
        """
        inverse = torch.cholesky_inverse(self._cholesky)  # (n, n), of the covariance with noise
        mean, variance = torch.empty_like(self.y), torch.empty_like(self.y)
        labels = self.site if group is None else group
        for label in labels.unique():
            rows = (labels == label).nonzero()[:, 0]
            # y - [K^-1]_GG^-1 [K^-1 y]_G is what the other rows predict for the group G.
            block = torch.linalg.inv(inverse[rows][:, rows])
            mean[rows] = self.y[rows] - block @ self._weight[rows]
            variance[rows] = block.diagonal()
        return mean, variance

    def _initial_hyper(self) -> Hyper:
        count = int(self.groups.max()) + 1
        hyper = {name: torch.tensor(mean, dtype=torch.float64) for name, mean in PRIOR.items()}
        hyper["length"] = torch.full((count,), LENGTH, dtype=torch.float64)
        hyper["turn"] = torch.zeros(count, dtype=torch.float64)
        return hyper

    def _shared_cov(
        self, hyper: Hyper, distance: Float[Tensor, "group *nm"], product: Float[Tensor, "group *nm"]
    ) -> Float[Tensor, "*nm"]:
        """Smooth + linear + level covariance of rows of any sites."""
        # Each group's squared distance in units of its own length scale, summed.
        d2 = torch.tensordot(torch.exp(-2 * hyper["length"]), distance, 1)  # (n, m)
        # The linear kernel is not stationary: it lets a trend go on beyond the rows.
        # Divided by the number of groups, like the site's slope: its size is then comparable whatever the grouping.
        linear = torch.tensordot(torch.exp(-2 * hyper["turn"]), product, 1) / len(product)
        smooth = SHAPES[self.shape](d2)
        return _var(hyper, "smooth") * smooth + _var(hyper, "slope") * linear + _var(hyper, "level")

    def _site_cov(
        self, hyper: Hyper, distance: Float[Tensor, "*nm"], product: Float[Tensor, "*nm"], groups: int
    ) -> Float[Tensor, "*nm"]:
        """What rows of one site share beyond the shared part; arguments are sums over groups."""
        smooth = torch.exp(-0.5 * distance * torch.exp(-2 * hyper["site_length"]))
        slope = _var(hyper, "site_slope") * product / groups
        return _var(hyper, "site_level") + _var(hyper, "site_smooth") * smooth + slope

    def _covariance(self, hyper: Hyper, rows: _Pairwise) -> Float[Tensor, "n n"]:
        """Covariance of the measurements of rows, noise included."""
        shared = self._shared_cov(hyper, rows.distance, rows.product)
        # Zero between sites: (n, n), in blocks of a site.
        # Noise on the diagonal alone: two measurements of one day and site err independently.
        own = rows.same_site * self._site_cov(hyper, rows.distance_sum, rows.product_sum, len(rows.distance))
        return shared + own + torch.diag((_var(hyper, "noise") + JITTER).expand(len(shared)))

    def _prior_var(self, z: Float[Tensor, "m f"]) -> Float[Tensor, "m"]:
        """Variance of a measurement before any row is known: no distance to itself, its own square."""
        squares = torch.stack(
            [z[:, self.groups == i].square().mean(1) for i in range(int(self.groups.max()) + 1)]
        )  # (group, m)
        none = torch.zeros_like(squares)
        shared = self._shared_cov(self.hyper, none, squares)
        own = self._site_cov(self.hyper, none[0], squares.sum(0), len(squares))
        return shared + own + _var(self.hyper, "noise")


class _Pairwise:
    """What of the covariance does not depend on hyperparameters, computed once for all steps of a fit."""

    def __init__(self, z: Float[Tensor, "n f"], groups: Int[Tensor, "f"], site: Int[Tensor, "n"]) -> None:
        self.distance, self.product = _distances_and_products(z, z, groups)  # (group, n, n)
        self.same_site = (site[:, None] == site[None]).to(z.dtype)  # (n, n)
        self.distance_sum, self.product_sum = self.distance.sum(0), self.product.sum(0)


def _distances_and_products(
    a: Float[Tensor, "n f"], b: Float[Tensor, "m f"], groups: Int[Tensor, "f"]
) -> tuple[Float[Tensor, "group n m"], Float[Tensor, "group n m"]]:
    """Squared distances and dot products of the rows of ``a`` and ``b``, mean over each group's features."""
    distance, product = [], []
    for i in range(int(groups.max()) + 1):
        # Divided by the root of the number of features: sums become means, so that large groups do not rule.
        p, q = (v[:, groups == i] / math.sqrt(int((groups == i).sum())) for v in (a, b))
        product.append(p @ q.T)
        # |p - q|^2 = |p|^2 + |q|^2 - 2 pq, which rounding may take below 0.
        distance.append((p.square().sum(1)[:, None] + q.square().sum(1) - 2 * product[-1]).clamp_min(0))
    return torch.stack(distance), torch.stack(product)


def negative_log_likelihood(
    covariance: Float[Tensor, "n n"], target: Float[Tensor, "n"]
) -> Float[Tensor, ""]:
    """Minus the log marginal likelihood (Rasmussen and Williams 2006, equation 2.30), less its constant.

    Parameters
    ----------
    covariance
        Of the measurements, positive definite.
    target
        Measurements less their prior mean.

    Returns
    -------
    Tensor
        A scalar, differentiable.
    """
    # 0.5 y' K^-1 y + 0.5 log |K|; half the log determinant is the sum of the logs of the diagonal.
    cholesky = torch.linalg.cholesky(covariance)
    return (
        0.5 * target @ torch.cholesky_solve(target[:, None], cholesky)[:, 0] + cholesky.diagonal().log().sum()
    )


def _negative_log_prior(hyper: Hyper) -> Float[Tensor, ""]:
    total = sum((hyper[name] - mean).square() / 2 for name, mean in PRIOR.items())
    # Log length scales have a prior of their own width, all others one of 1.
    near = (hyper["length"] - LENGTH).square().sum() + hyper["turn"].square().sum()
    return total + near / (2 * SCALE_PRIOR_STD**2)


def _var(hyper: Hyper, name: str) -> Float[Tensor, ""]:
    return torch.exp(2 * hyper[name])
