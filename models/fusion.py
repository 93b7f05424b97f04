"""The fusion: asked for a day, it attends over the tokens of all sensors around that day and answers with the
embedding of that day.

Attention in two looks. The first weighs a token by its distance in time and by what its own content says of its
quality (haze, snow, cloud edge). The second asks again, knowing the first answer, so that tokens that disagree with the
others can be told apart: the learned counterpart of an iteratively reweighted local regression (Cleveland 1979). With a
time bias of -log|dt| the first look is linear interpolation; training starts near there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.batch import Answer, Tokens
from models.sensors import SensorSpec

MAX_DAYS = 400
"""Distances in time beyond this are treated as this, days."""
HEADS = 4


@dataclass(frozen=True)
class Around:
    """For m = pixels * groups of days: which tokens they may look at."""

    index: Int[Tensor, "m u"]
    """Positions along t, u = 2 * reach + days in the group - 1."""
    dt: Int[Tensor, "m g u"]
    """Token's day minus asked day, days."""
    seen: Bool[Tensor, "m g u"]


@dataclass(frozen=True)
class Timeline:
    """Usable acquisitions of each pixel packed to the front, so that neighbours in time are neighbours in memory."""

    order: Int[Tensor, "p t"]
    day: Int[Tensor, "p t"]
    count: Int[Tensor, "p 1"]

    @classmethod
    def of(cls, tokens: Tokens) -> Timeline:
        late = torch.iinfo(torch.int64).max // 2
        order = torch.argsort(torch.where(tokens.usable, tokens.day, late), dim=1, stable=True)
        count = tokens.usable.sum(1, keepdim=True)
        position = torch.arange(order.shape[1], device=order.device)
        day = torch.where(position < count, tokens.day.gather(1, order), late)
        return cls(order, day.contiguous(), count)

    def around(self, days: Int[Tensor, "p n g"], reach: int, causal: bool) -> Around:
        """The ``reach`` nearest usable acquisitions up to each day and the ``reach`` nearest after it.

        A group is g consecutive days (or one): an acquisition a day at most, so u positions hold all of them.
        """
        p, n, g = days.shape
        before = torch.searchsorted(self.day, days.flatten(1).contiguous(), right=True).view(p, n, g)
        u = torch.arange(2 * reach + g - 1, device=days.device)
        position = before[:, :, :1] - reach + u  # p n u
        inside = (position >= 0) & (position < self.count[:, None])
        slot = position.clamp(0, self.order.shape[1] - 1).flatten(1)
        day = self.day.gather(1, slot).view(p, n, 1, -1)
        dt = day - days[..., None]  # p n g u
        rank = position[:, :, None] - before[..., None]
        seen = inside[:, :, None] & (rank >= -reach) & (rank < (0 if causal else reach))
        index = self.order.gather(1, slot).view(p, n, -1)
        return Around(index.flatten(0, 1), dt.clamp(-MAX_DAYS, MAX_DAYS).flatten(0, 1), seen.flatten(0, 1))


def _time_features() -> Float[Tensor, "dt k"]:
    """What a distance in time says: near or far, past or future, and whether the same orbit passes (5, 10 days)."""
    dt = torch.arange(-MAX_DAYS, MAX_DAYS + 1, dtype=torch.float32)
    turn = 2 * torch.pi * dt
    return torch.stack(
        [
            torch.log1p(dt.abs()) / 3,
            dt.abs() / 30,
            dt.abs() / 200,
            dt.sign(),
            (dt == 0).float(),
            torch.cos(turn / 5),
            torch.cos(turn / 10),
            torch.cos(turn / 12),
            torch.cos(turn / 365.25),
        ],
        dim=1,
    )


def _rows(table: Float[Tensor, "n c"], index: Int[Tensor, "*i"]) -> Float[Tensor, "*i c"]:
    """Rows by number; an embedding look-up, because its backward pass is many times faster than indexing's."""
    return nn.functional.embedding(index, table)


class TimeAttention(nn.Module):
    """Two looks at the tokens of one sensor around a day."""

    def __init__(self, spec: SensorSpec, question: int) -> None:
        super().__init__()
        d = spec.token
        self.reach = spec.reach
        self.value = d * 2 // 3 if d > 8 else d
        self.key = 8
        self.register_buffer("time_features", _time_features(), persistent=False)
        k = self.time_features.shape[1]
        self.time = nn.Sequential(nn.Linear(k, 16), nn.GELU(), nn.Linear(16, 2 * HEADS))
        self.time_line = nn.Linear(k, 2 * HEADS, bias=False)
        self.trust = nn.Sequential(nn.Linear(d, 16), nn.GELU(), nn.Linear(16, 2 * HEADS))
        self.values = nn.Linear(d, 2 * HEADS * self.value)
        self.keys = nn.Linear(d, HEADS * self.key)
        self.ask = nn.Linear(question, HEADS * self.key)
        with torch.no_grad():  # start as inverse-distance weights, sharper in some heads than in others
            self.time_line.weight.zero_()
            self.time_line.weight[:, 0] = -3 * torch.tensor([1.0, 1.5, 2.0, 0.5] * 2)

    @property
    def width(self) -> int:
        """Numbers one look answers with: the values and the mean distance in time, per head."""
        return HEADS * (self.value + 1)

    def table(self) -> Float[Tensor, "dt h2"]:
        """Bias of every distance in time for both looks; small, made once per call."""
        return self.time(self.time_features) + self.time_line(self.time_features)

    def project(self, token: Float[Tensor, "*n d"]) -> Float[Tensor, "*n c"]:
        """All that attention needs of a token, computed once per acquisition and pixel."""
        return torch.cat([self.trust(token), self.values(token), self.keys(token)], -1)

    def look(
        self,
        score: Float[Tensor, "p h g u"],
        value: Float[Tensor, "p h u v"],
        when: Float[Tensor, "p 1 g u"],
        seen: Bool[Tensor, "p 1 g u"],
    ) -> Float[Tensor, "p g w"]:
        """Weighted values; zeros where nothing is seen."""
        score = score.masked_fill(~seen, -1e4)
        weight = torch.softmax(score, -1) * seen
        mean = torch.matmul(weight, value)  # p h g v
        mean_when = (weight * when).sum(-1, keepdim=True)
        return torch.cat([mean, mean_when], -1).permute(0, 2, 1, 3).flatten(2)

    def split(
        self, projected: Float[Tensor, "p u c"]
    ) -> tuple[list[Tensor], list[Tensor], Float[Tensor, "p h u k"]]:
        trust, values, keys = projected.split([2 * HEADS, 2 * HEADS * self.value, HEADS * self.key], -1)
        p, u = trust.shape[:2]
        trusts = [part.transpose(1, 2)[:, :, None] for part in trust.chunk(2, -1)]  # p h 1 u
        valued = [part.reshape(p, u, HEADS, self.value).transpose(1, 2) for part in values.chunk(2, -1)]
        return trusts, valued, keys.reshape(p, u, HEADS, self.key).transpose(1, 2)


class Fusion(nn.Module):
    """Tokens of all sensors to the embedding of any day."""

    FLAGS = 4

    def __init__(self, specs: dict[str, SensorSpec], features: int, hidden: int) -> None:
        super().__init__()
        self.features = features
        self.sensors = tuple(specs)
        question = 32
        self.looks = nn.ModuleDict({name: TimeAttention(spec, question) for name, spec in specs.items()})
        first = sum(look.width + self.FLAGS for look in self.looks.values())
        second = sum(look.width for look in self.looks.values())
        self.question = nn.Sequential(nn.Linear(first, question), nn.GELU())
        self.straight = nn.Linear(first + second, features)
        self.bend = nn.Sequential(
            nn.Linear(first + second, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, features),
        )  # fmt: skip

    def forward(
        self, tokens: dict[str, Tokens], days: Int[Tensor, "p q"], causal: bool = False, group: int = 1
    ) -> Answer:
        """Embeddings of ``days``. With ``group`` > 1 each run of ``group`` days must be consecutive (faster)."""
        plan = {
            name: self._prepare(name, t)
            for name, t in tokens.items()
            if name in self.looks and t.token.shape[1]
        }
        groups = days.unflatten(1, (-1, group))
        # Single days are asked all at once (training); groups one by one, so that memory does not grow with the year.
        answers = [
            self._groups(plan, part, causal) for part in groups.split(groups.shape[1] if group == 1 else 1, 1)
        ]
        nearest = {name: torch.cat([near[name] for _, near in answers], 1) for name in self.sensors}
        return Answer(torch.cat([z for z, _ in answers], 1), nearest)

    def _prepare(self, name: str, tokens: Tokens) -> tuple[Timeline, Tensor, Tensor]:
        look = self.looks[name]
        return Timeline.of(tokens), look.project(tokens.token), look.table()

    def _groups(
        self, plan: dict, days: Int[Tensor, "p n g"], causal: bool
    ) -> tuple[Float[Tensor, "p ng f"], dict[str, Int[Tensor, "p ng"]]]:
        p, n, g = days.shape
        m = p * n
        pixel = torch.arange(p, device=days.device).repeat_interleave(n)[:, None]
        first, again, nearest = [], {}, {}
        for name, look in self.looks.items():
            if name not in plan:
                unseen = look.time_features.new_tensor([1.0, 1.0, 0.0, 1.0]).expand(m, g, -1)
                first += [self._nothing(look, m, g), unseen]
                nearest[name] = days.new_full((p, n * g), -1)
                continue
            timeline, projected, table = plan[name]
            around = timeline.around(days, look.reach, causal)
            bias = _rows(table, around.dt + MAX_DAYS).permute(0, 3, 1, 2)  # m 2h g u
            near = _rows(projected.flatten(0, 1), around.index + pixel * projected.shape[1])  # m u c
            trusts, values, keys = look.split(near)
            seen = around.seen[:, None]
            when = (around.dt.to(near.dtype) / 30)[:, None]
            flags, days_away = self._flags(around, near.dtype)
            nearest[name] = days_away.view(p, n * g)
            first += [look.look(bias[:, :HEADS] + trusts[0], values[0], when, seen), flags]
            again[name] = (bias[:, HEADS:] + trusts[1], values[1], keys, when, seen)
        known = torch.cat(first, -1)  # m g first
        question = self.question(known)
        second = []
        for name, look in self.looks.items():
            if name not in again:
                second.append(self._nothing(look, m, g))
                continue
            bias, values, keys, when, seen = again[name]
            asked = look.ask(question).unflatten(-1, (HEADS, look.key)).transpose(1, 2)  # m h g k
            score = torch.matmul(asked, keys.transpose(-1, -2)) / look.key**0.5 + bias
            second.append(look.look(score, values, when, seen))
        x = torch.cat([known, *second], -1)
        return (self.straight(x) + self.bend(x)).view(p, n * g, -1), nearest

    @staticmethod
    def _nothing(look: TimeAttention, m: int, g: int) -> Float[Tensor, "m g w"]:
        return look.time_features.new_zeros(m, g, look.width)

    @staticmethod
    def _flags(around: Around, dtype: torch.dtype) -> tuple[Float[Tensor, "m g 4"], Int[Tensor, "m g"]]:
        """How far the nearest acquisitions are on either side (0 on the day, 1 far or none), and whether any is."""
        far = MAX_DAYS + 1
        past = torch.where(around.seen & (around.dt <= 0), -around.dt, far).amin(-1)
        future = torch.where(around.seen & (around.dt > 0), around.dt, far).amin(-1)
        nearest = torch.minimum(past, future)
        scale = torch.log(torch.tensor(1.0 + far))
        past_f, future_f = (torch.log1p(d.to(dtype)) / scale for d in (past, future))
        any_seen = (nearest < far).to(dtype)
        flags = torch.stack([past_f, future_f, any_seen, torch.minimum(past_f, future_f)], -1)
        return flags, torch.where(nearest < far, nearest, -1)
