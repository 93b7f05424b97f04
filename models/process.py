"""A Gaussian process whose sites may each differ: what is common to all predicts places never seen.

The covariance of two rows is a common part (Rasmussen and Williams 2006, chapters 2 and 5) plus, for rows of one
site, a part of its own: a level, a slope and a smooth departure. A new site shares only the common part, so that a
site of a hundred rows teaches what it has in common with others and not itself, and the spread at a new site holds the
differences between sites. Features come in groups, each with one length scale. All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.errors import InputError

JITTER = 1e-6
STREW = 0.1
"""Standard deviation of pseudo-rows around rows, in standard deviations of a feature: near enough to tell what the
rows tell, far enough not to be them."""
DEPART_S = 0.7
"""Spread of the prior of log length scales and log slopes."""
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
"""Means of the normal priors (spread 1) of log standard deviations and of the log length scale within a site."""
LENGTH = math.log(1.5)
"""Prior mean of the log length scale of a group, in standard deviations of its features."""

Hyper = dict[str, Tensor]
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": lambda d2: torch.exp(-0.5 * d2),
    "cauchy": lambda d2: 1 / (1 + 0.5 * d2),
    "matern": lambda d2: (1 + (3 * d2 + 1e-9).sqrt()) * torch.exp(-(3 * d2 + 1e-9).sqrt()),
}


@dataclass
class SiteProcess:
    """A process over standardised features, made by ``fit``; a ``sketch`` of it is what is kept."""

    groups: Int[Tensor, "f"]
    """Group of each feature, 0 to the number of groups less one."""
    shape: str = "gaussian"
    x: Float[Tensor, "n f"] = field(default_factory=lambda: torch.zeros(0, 0))
    y: Float[Tensor, "n"] = field(default_factory=lambda: torch.zeros(0))
    site: Int[Tensor, "n"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    centre: Float[Tensor, "f"] = field(default_factory=lambda: torch.zeros(0))
    spread: Float[Tensor, "f"] = field(default_factory=lambda: torch.ones(0))
    middle: Float[Tensor, ""] = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    """Mean of what taught the hyperparameters."""
    hyper: Hyper = field(default_factory=dict)

    def fit(self, x: Tensor, y: Tensor, site: Tensor, steps: int = 25, rate: float = 0.12) -> SiteProcess:
        """Learns scaling and hyperparameters from these rows, then keeps the rows (``know``).

        Few steps on purpose: with thirty sites the most likely hyperparameters fit the sites at hand, and those
        nearer the priors predict new ones better.
        """
        self.centre, self.spread, self.middle = x.mean(0), x.std(0) + 1e-9, y.mean()
        hyper = self._start()
        for value in hyper.values():
            value.requires_grad_(True)
        optimiser = torch.optim.Adam(hyper.values(), lr=rate)
        rows = _Rows((x - self.centre) / self.spread, self.groups, site)
        target = y - self.middle
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = rate if step < 0.6 * steps else 0.4 * rate
            optimiser.zero_grad()
            (_surprise(self._covariance(hyper, rows), target) + _prior(hyper)).backward()
            optimiser.step()
        self.hyper = {name: value.detach() for name, value in hyper.items()}
        return self.know(x, y, site)

    def knowing(self, x: Tensor, y: Tensor, site: Tensor) -> SiteProcess:
        """Another process with the same hyperparameters that knows these rows."""
        return self._like().know(x, y, site)

    def know(self, x: Tensor, y: Tensor, site: Tensor) -> SiteProcess:
        """Conditions on these rows with hyperparameters, scaling and middle as they are."""
        self.x, self.y, self.site = (x - self.centre) / self.spread, y, site
        rows = _Rows(self.x, self.groups, site)
        self._cholesky = torch.linalg.cholesky(self._covariance(self.hyper, rows))
        self._weight = torch.cholesky_solve((y - self.middle)[:, None], self._cholesky)[:, 0]
        return self

    @torch.no_grad()
    def predict(self, x: Float[Tensor, "m f"]) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
        """Mean and variance of a new measurement at a new site."""
        z = (x - self.centre) / self.spread
        near = self._common(self.hyper, *_stacks(z, self.x, self.groups))
        known = torch.linalg.solve_triangular(self._cholesky, near.T, upper=False).square().sum(0)
        return near @ self._weight + self.middle, self._alone(z) - known

    @torch.no_grad()
    def left_out(
        self, group: Int[Tensor, "n"] | None = None
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
        """Mean and variance at each known row from all rows outside its group, hyperparameters as they are.

        ``group`` is the site unless given; with others a row learns from its own site too. In closed form, one
        inverse for all groups (Sundararajan and Keerthi 2001).
        """
        inverse = torch.cholesky_inverse(self._cholesky)
        mean, variance = torch.empty_like(self.y), torch.empty_like(self.y)
        for rows in _members(self.site if group is None else group):
            block = torch.linalg.inv(inverse[rows][:, rows])
            mean[rows] = self.y[rows] - block @ self._weight[rows]
            variance[rows] = block.diagonal()
        return mean, variance

    @torch.no_grad()
    def sketch(self, seed: int = 0) -> SiteProcess:
        """What this process predicts at new sites, told by as many pseudo-rows: it knows no row and no target.

        The pseudo-rows are strewn around the rows, and the rows' weights projected on them (Nystroem; Rasmussen and
        Williams 2006, chapter 8), so that a head can be shipped without the measurements that taught it.
        """
        draw = torch.Generator().manual_seed(seed)
        z = self.x + STREW * torch.randn(self.x.shape, generator=draw, dtype=self.x.dtype)
        own = self._common(self.hyper, *_stacks(z, z, self.groups))
        own = own + 1e-5 * own.diagonal().mean() * torch.eye(len(z), dtype=z.dtype)
        across = self._common(self.hyper, *_stacks(z, self.x, self.groups))
        return self._like()._given(z, self.site, torch.linalg.solve(own, across @ self._weight))

    def state(self) -> dict[str, Tensor]:
        """Of a sketch: everything ``of`` needs, as tensors."""
        kept = {name: getattr(self, name) for name in ("groups", "x", "site", "centre", "spread", "middle")}
        return (
            kept | {"weight": self._weight} | {f"hyper.{name}": value for name, value in self.hyper.items()}
        )

    @classmethod
    def of(cls, state: dict[str, Tensor], shape: str) -> SiteProcess:
        """The sketch of a ``state``."""
        if shape not in SHAPES:
            raise InputError(
                f"Got the kernel {shape!r}, need one of {', '.join(SHAPES)}; train the head again."
            )
        hyper = {name[6:]: value for name, value in state.items() if name.startswith("hyper.")}
        process = cls(state["groups"], shape, hyper=hyper)
        process.centre, process.spread, process.middle = state["centre"], state["spread"], state["middle"]
        return process._given(state["x"], state["site"], state["weight"])

    def _like(self) -> SiteProcess:
        other = SiteProcess(self.groups, self.shape, hyper=self.hyper)
        other.centre, other.spread, other.middle = self.centre, self.spread, self.middle
        return other

    def _given(self, z: Tensor, site: Tensor, weight: Tensor) -> SiteProcess:
        """Predicts from standardised rows whose weights are known."""
        self.x, self.site, self._weight = z, site, weight
        self._cholesky = torch.linalg.cholesky(self._covariance(self.hyper, _Rows(z, self.groups, site)))
        return self

    def _start(self) -> Hyper:
        count = int(self.groups.max()) + 1
        hyper = {name: torch.tensor(mean, dtype=torch.float64) for name, mean in PRIOR.items()}
        hyper["length"] = torch.full((count,), LENGTH, dtype=torch.float64)
        hyper["turn"] = torch.zeros(count, dtype=torch.float64)
        return hyper

    def _common(self, hyper: Hyper, distance: Tensor, product: Tensor) -> Tensor:
        """Smooth + linear + level; ``distance`` squared and ``product`` are (group, n, m)."""
        d2 = torch.tensordot(torch.exp(-2 * hyper["length"]), distance, 1)
        linear = torch.tensordot(torch.exp(-2 * hyper["turn"]), product, 1) / len(product)
        smooth = SHAPES[self.shape](d2)
        return _var(hyper, "smooth") * smooth + _var(hyper, "slope") * linear + _var(hyper, "level")

    def _own(self, hyper: Hyper, distance: Tensor, product: Tensor, groups: int) -> Tensor:
        """What rows of one site share beyond the common part; sums over groups, (n, m)."""
        smooth = torch.exp(-0.5 * distance * torch.exp(-2 * hyper["site_length"]))
        slope = _var(hyper, "site_slope") * product / groups
        return _var(hyper, "site_level") + _var(hyper, "site_smooth") * smooth + slope

    def _covariance(self, hyper: Hyper, rows: _Rows) -> Tensor:
        common = self._common(hyper, rows.distance, rows.product)
        own = rows.same * self._own(hyper, rows.own_distance, rows.own_product, len(rows.distance))
        return common + own + torch.diag((_var(hyper, "noise") + JITTER).expand(len(common)))

    def _alone(self, z: Tensor) -> Float[Tensor, "m"]:
        """Variance of a row nothing is known about: no distance to itself, its own square."""
        squares = torch.stack(
            [z[:, self.groups == i].square().mean(1) for i in range(int(self.groups.max()) + 1)]
        )
        none = torch.zeros_like(squares)
        common = self._common(self.hyper, none, squares)
        own = self._own(self.hyper, none[0], squares.sum(0), len(squares))
        return common + own + _var(self.hyper, "noise")


class _Rows:
    """What of the covariance does not depend on hyperparameters."""

    def __init__(self, z: Tensor, groups: Tensor, site: Tensor) -> None:
        self.distance, self.product = _stacks(z, z, groups)
        self.same = (site[:, None] == site[None]).to(z.dtype)
        self.own_distance, self.own_product = self.distance.sum(0), self.product.sum(0)


def _stacks(a: Tensor, b: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances and products of the rows of ``a`` and ``b``, mean over each group's features: (group, n, m)."""
    distance, product = [], []
    for i in range(int(groups.max()) + 1):
        p, q = (v[:, groups == i] / math.sqrt(int((groups == i).sum())) for v in (a, b))
        product.append(p @ q.T)
        distance.append((p.square().sum(1)[:, None] + q.square().sum(1) - 2 * product[-1]).clamp_min(0))
    return torch.stack(distance), torch.stack(product)


def _surprise(covariance: Tensor, target: Tensor) -> Tensor:
    """Minus the log likelihood of the target, less a constant."""
    cholesky = torch.linalg.cholesky(covariance)
    return (
        0.5 * target @ torch.cholesky_solve(target[:, None], cholesky)[:, 0] + cholesky.diagonal().log().sum()
    )


def _prior(hyper: Hyper) -> Tensor:
    total = sum((hyper[name] - mean).square() / 2 for name, mean in PRIOR.items())
    near = (hyper["length"] - LENGTH).square().sum() + hyper["turn"].square().sum()
    return total + near / (2 * DEPART_S**2)


def _var(hyper: Hyper, name: str) -> Tensor:
    return torch.exp(2 * hyper[name])


def _members(group: Tensor) -> list[Tensor]:
    return [(group == one).nonzero()[:, 0] for one in group.unique()]
