"""Grass: grows logistically, is mown, grazed, or kept short in town, and gathers dead thatch."""

import numpy as np

from embeddings.simulate.farming import Farming, Luck, Today, in_window
from embeddings.simulate.landscape import GRASS, TOWN


class Meadows:
    """All units as if they were grass; only those that are get used."""

    def __init__(self, rng: np.random.Generator, cover: np.ndarray, luck: Luck, farming: Farming):
        units = len(cover)
        self.rng, self.are, town = rng, np.isin(cover, (GRASS, TOWN)), cover == TOWN
        cuts = rng.integers(farming.cuts[0], farming.cuts[1] + 1, units)
        grazed = (luck.uniform[8] < 0.25) | (cuts == 0)
        self.grazed, self.mown = grazed & ~town, self.are & ~grazed & ~town
        self.cut_gap = np.where(cuts > 0, 190 / np.maximum(cuts, 1), 999)
        self.cut_ready = 130 + luck.normal[7] * 10
        """First mowing, about the first week of May."""
        self.peak = farming.grass_lai * np.exp(0.12 * luck.normal[8]) * np.where(town, 0.55, 1)
        self.cab = 40 * np.exp(0.12 * luck.normal[9])
        self.stubble = 0.45 + 0.25 * luck.uniform[9]
        self.lai, self.last_cut = np.full(units, 1.2), np.full(units, 99.0)
        self.thatch = np.full(units, 0.15)
        """Dead share of the sward, 0-1."""

    def grow(self, today: Today, stress: np.ndarray) -> tuple[np.ndarray, ...]:
        """(lai, green share, chlorophyll) after the day's growth, grazing and mowing."""
        cold, dry = today.tair < 0, 1 - stress
        ease = np.clip((today.tair - 2) / 9, 0, 1) * np.clip(today.sun / 120, 0.1, 1) * stress
        lai = self.lai + 0.15 * ease * self.lai * (1 - self.lai / self.peak)
        lai = lai - lai * (0.004 + 0.012 * dry + 0.006 * cold)
        lai = np.where(self.grazed & (lai > 1.9), lai - 0.05 * (lai - 1.6), lai)
        mow = self.mown & (lai > 1.7) & (self.last_cut > self.cut_gap * 0.8) & today.dry
        mow &= in_window(today.phase, self.cut_ready, 175) & (self.rng.random(lai.size) < 0.14)
        self.lai = np.maximum(np.where(mow, self.stubble, lai), 0.2)
        self.last_cut = np.where(mow, 0, self.last_cut + 1)
        thatch = self.thatch + 0.010 * dry + 0.0015 * (today.tair < 2) - 0.05 * ease * self.thatch - 0.0008
        self.thatch = np.clip(np.where(mow, 0.5, thatch), 0.04, 0.65)
        dead = self.thatch * self.lai / (1 - self.thatch) * 0.8
        return self.lai + dead, self.lai / (self.lai + dead), self.cab * (0.7 + 0.3 * stress)
