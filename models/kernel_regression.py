"""Kernel regression over time, by which the fusion averages acquisitions: learned kernels, locally linear.

The average of values with weights that fall with distance is due to Nadaraya (1964) and Watson (1964); its locally
linear form follows a trend without lag also where all acquisitions lie to one side (Fan 1993,
doi:10.1214/aos/1176349022).

Axes in the comments: area ``a``, acquisition ``t``, query day ``q``, pixel ``p``, head ``h``, value ``v``, and
``c = 1 + v`` (weight, then weighted values).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

MONTH = 30.0
"""Unit of time inside the networks, days."""
KERNEL_LR_SCALE = 10.0
"""Kernel parameters are stored divided by this: an effective learning rate ten times that of the other weights, since
they are few and start far from their optimum. Part of the shipped weights."""
TINY = 1e-14
"""Floor of a total weight: a value of less weight fades to zero, and its gradient stays finite."""
LEAST_CORE_DAYS = 1.5
"""Least kernel width: a day with an acquisition must be embedded like the days beside it."""
CYCLES_DAYS = (5, 10, 6, 12)
"""Repeat cycles of Sentinel-2 and Sentinel-1 with two satellites and with one, days: acquisitions these far apart have
the same viewing geometry."""
SEASON_CORE_DAYS = (60.0, 150.0)
"""Initial widths of season kernels: what a place is shows over months, not over days."""
WINDOW_DAYS = 200
"""Acquisitions farther from a query day than this have no weight."""


def _initial_kernels(heads: int, season_heads: int) -> tuple[Float[Tensor, "h"], Float[Tensor, "h"]]:
    """Initial widths (days beyond the least) and asymmetries; of four heads one looks back and one ahead."""
    # 0.5 to 20 days: from single acquisitions to a month.
    core = torch.logspace(-0.3, 1.3, heads)
    # With 3, acquisitions well after the query day weigh e^6 = 400 times those as long before it.
    side = torch.tensor([(0.0, 0.0, 3.0, -3.0)[i % 4] for i in range(heads)])
    season = torch.tensor([SEASON_CORE_DAYS[i % len(SEASON_CORE_DAYS)] for i in range(season_heads)])
    return torch.cat([core, season]), torch.cat([side, torch.zeros(season_heads)])


class Kernel(nn.Module):
    """Log weight of an acquisition by its distance in time: per head a power law with a smooth core.

    exp(log weight) is a rational quadratic kernel (Rasmussen and Williams 2006, equation 4.19) of width ``core`` and
    tail exponent ``power``, times a smooth step of strength ``side`` that prefers acquisitions after (positive) or
    before the query day, and with ``cycles`` times a periodic factor. A power law rather than a Gaussian, so that a
    long gap is still bridged by its nearest ends.

    ``log_core``, ``power``, ``side`` and ``cycle`` are keys of shipped weights.

    Parameters
    ----------
    heads
        Number of kernels of days.
    cycles
        Whether viewing geometry counts, by the repeat cycles of the orbits.
    season_heads
        Number of further kernels, of months. They fall to zero at the end of the window, where wide kernels would
        otherwise jump when an acquisition enters it.
    """

    def __init__(self, heads: int, cycles: bool = False, season_heads: int = 0) -> None:
        super().__init__()
        self.season_heads = season_heads
        core, side = _initial_kernels(heads, season_heads)
        heads = heads + season_heads
        self.log_core = nn.Parameter(core.log() / KERNEL_LR_SCALE)
        # Initially the weight falls with the fourth power of the distance.
        self.power = nn.Parameter(torch.full((heads,), 4.0 / KERNEL_LR_SCALE))
        self.side = nn.Parameter(side / KERNEL_LR_SCALE)
        self.cycle = nn.Parameter(torch.zeros(heads, len(CYCLES_DAYS))) if cycles else None

    def shape(self) -> tuple[Float[Tensor, "h 1 1"], Float[Tensor, "h 1 1"], Float[Tensor, "h 1 1"]]:
        """Physical parameters of the kernels.

        Returns
        -------
        core, power, side
            Width (days), tail exponent and asymmetry per head.
        """
        core, power, side = (
            KERNEL_LR_SCALE * p[:, None, None] for p in (self.log_core, self.power, self.side)
        )
        # ``softplus`` keeps the exponent positive: a negative one would weight far acquisitions most.
        return LEAST_CORE_DAYS + core.exp(), nn.functional.softplus(power), side

    def forward(self, dt: Float[Tensor, "a q t"]) -> Float[Tensor, "a h q t"]:
        """Log weights.

        Parameters
        ----------
        dt
            Day of the acquisition minus query day, days.

        Returns
        -------
        Tensor
            Natural logarithm of the weight, per head.
        """
        dt = dt[:, None]  # (a, 1, q, t)
        core, power, side = self.shape()
        distance = (dt / core).square()  # (a, h, q, t)
        # dt / sqrt(dt^2 + core^2 + 4) goes smoothly from -1 to 1 within about the core.
        step = side * dt * torch.rsqrt(dt.square() + core.square() + 4)
        log_weight = step - 0.5 * power * torch.log1p(distance)
        if self.cycle is not None:
            phases = torch.stack([torch.cos(2 * torch.pi * dt / days) for days in CYCLES_DAYS], -1)
            # phases: (a, 1, q, t, cycle)
            log_weight = log_weight + torch.einsum("aoqtc,hc->ahqt", phases, KERNEL_LR_SCALE * self.cycle)
        if self.season_heads:
            # The biweight (1 - u^2)^2; its floor keeps the logarithm finite outside the window, where nothing counts.
            taper = 2 * torch.log((1 - (dt / WINDOW_DAYS).square()).clamp_min(1e-9))  # (a, 1, q, t)
            days, season = log_weight.split([len(core) - self.season_heads, self.season_heads], 1)
            log_weight = torch.cat([days, season + taper], 1)
        return log_weight


class KernelRegression(nn.Module):
    """Locally linear kernel regression over the acquisitions of one sensor.

    Names of layers are keys of shipped weights: ``read`` is the first layer, ``trust`` gives the log weight of an
    acquisition, ``straight`` and ``bend`` the linear and the nonlinear branch of its values, ``log_ridge`` the ridge
    of the local slope.

    Parameters
    ----------
    width
        Length of an acquisition's input.
    heads
        Number of kernels of days.
    value
        Values per head.
    hidden
        Width of the first layer.
    cycles
        Whether viewing geometry counts, see ``Kernel``.
    season_heads
        Number of further kernels, of months.
    """

    def __init__(
        self, width: int, heads: int, value: int, hidden: int, cycles: bool = False, season_heads: int = 0
    ) -> None:
        super().__init__()
        self.kernel = Kernel(heads, cycles, season_heads)
        heads = heads + season_heads
        self.heads, self.value = heads, value
        self.read = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
        self.trust = nn.Linear(hidden, heads)
        self.bend = nn.Linear(hidden, heads * value)
        self.straight = nn.Linear(width, heads * value, bias=False)
        # e^-2 month2: acquisitions spread over less than 11 days give no slope at first.
        self.log_ridge = nn.Parameter(torch.full((heads,), -2.0 / KERNEL_LR_SCALE))
        # All acquisitions weigh alike at the start.
        nn.init.zeros_(self.trust.weight)
        nn.init.zeros_(self.trust.bias)

    @property
    def width(self) -> int:
        """Numbers per query day: the values, and per head the evidence for them and its centre in time."""
        return self.heads * (self.value + 2)

    def weighted_values(
        self, x: Float[Tensor, "a t p w"], valid: Bool[Tensor, "a t p"]
    ) -> Float[Tensor, "a h t p c"]:
        """Weight of each acquisition, and its values times that weight.

        Parameters
        ----------
        x
            Input of each acquisition.
        valid
            Whether the pixel was observed.

        Returns
        -------
        Tensor
            Per head the weight, then the weighted values; zeros where not valid.
        """
        hidden = self.read(x)
        # The bounds keep one acquisition from outweighing all others, and its gradient from vanishing.
        weight = torch.exp(self.trust(hidden).clamp(-8, 4)) * valid[..., None]  # (a, t, p, h)
        values = (self.bend(hidden) + self.straight(x)).unflatten(
            -1, (self.heads, self.value)
        )  # (a, t, p, h, v)
        # Contiguous in the order of the matrix product of ``query``.
        return (
            torch.cat([weight[..., None], weight[..., None] * values], -1).permute(0, 3, 1, 2, 4).contiguous()
        )

    def query(
        self, dt: Float[Tensor, "a q t"], used: Bool[Tensor, "a q t"], weighted: Float[Tensor, "a h t p c"]
    ) -> tuple[Float[Tensor, "a q p hv"], Float[Tensor, "a q p h2"]]:
        """Locally linear average at query days.

        With weights w, values v and distances t, the moments S_k = sum w t^k and R_k = sum w t^k v give the mean
        centre S_1 / S_0 and variance of the distances; the estimate at distance 0 is the weighted mean of v minus
        slope times centre, with a ridge on the slope (a weighted mean where all acquisitions lie on one day).

        Parameters
        ----------
        dt
            Day of the acquisition minus query day, days.
        used
            Which acquisitions count for which query day.
        weighted
            Of ``weighted_values``.

        Returns
        -------
        values
            Per head, flattened; zeros where nothing is used.
        evidence
            Per head the scaled log of the total weight and the bounded centre in time, flattened.
        """
        a, h, t, p, c = weighted.shape
        q = dt.shape[1]
        months = dt[:, None] / MONTH  # (a, 1, q, t)
        kernel = torch.exp(self.kernel(dt)) * used[:, None]  # (a, h, q, t)
        lagged = kernel * months
        # The moments of a straight line fitted by weighted least squares, each a sum over acquisitions.
        # One product for the moments of order 0 and 1: (a, h, 2q, t) x (a, h, t, pc).
        sums = torch.matmul(torch.cat([kernel, lagged], 2), weighted.reshape(a, h, t, p * c)).view(
            a, h, 2, q, p, c
        )
        zeroth, first = sums[:, :, 0], sums[:, :, 1]  # (a, h, q, p, c)
        second = torch.matmul(lagged * months, weighted[..., 0])  # (a, h, q, p)
        total = zeroth[..., 0]  # (a, h, q, p)
        one_over = 1 / (total + TINY)
        centre = first[..., 0] * one_over  # month
        variance = (second * one_over - centre.square()).clamp(min=0)  # month2; rounding may go below 0
        ridge = torch.exp(KERNEL_LR_SCALE * self.log_ridge)[:, None, None]  # month2
        # The line's value at the query day, its mean less slope times centre; the ridge takes away the slope of
        # acquisitions that lie close together in time.
        tilt = centre / (variance + ridge)
        level, slope = one_over * (1 + centre * tilt), -one_over * tilt
        values = level[..., None] * zeroth[..., 1:] + slope[..., None] * first[..., 1:]  # (a, h, q, p, v)
        # The log of the total weight spans about -32..5: divided by 8 it suits the next layer.
        evidence = torch.stack([torch.log(total + TINY) / 8, centre / (1 + centre.abs())], -1)
        return (
            values.permute(0, 2, 3, 1, 4).flatten(3),  # (a, q, p, h v)
            evidence.permute(0, 2, 3, 1, 4).flatten(3),  # (a, q, p, h 2)
        )

    def empty_output(
        self, like: Tensor, a: int, q: int, p: int
    ) -> tuple[Float[Tensor, "a q p hv"], Float[Tensor, "a q p h2"]]:
        """What ``query`` returns where no acquisition is used, without computing it.

        Parameters
        ----------
        like
            A tensor of the dtype and device wanted.
        a, q, p
            Areas, query days, pixels.

        Returns
        -------
        values, evidence
            As of ``query``.
        """
        # The logarithm that ``query`` takes of a total weight of 0, and a centre of 0: the next layers see one and the
        # same "nothing".
        evidence = like.new_tensor([TINY, 1.0]).log() * like.new_tensor([1 / 8, 0.0])
        return like.new_zeros(a, q, p, self.heads * self.value), evidence.repeat(self.heads).expand(
            a, q, p, -1
        )
