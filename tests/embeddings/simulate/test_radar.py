"""Speckle and variation from pass to pass of simulated backscatter, beside what measured Sentinel-1 shows."""

import numpy as np
import pytest
from fluxlens.embeddings.simulate import radar, simulate


def test_speckle_has_mean_one_and_neighbours_share_what_resampling_shares():
    noise = radar.speckle(np.random.default_rng(0), (300, 300), radar.LOOKS["VV"])
    assert noise.mean() == pytest.approx(1, abs=0.01)
    correlation = [
        np.corrcoef(noise[:, : -lag or None].ravel(), noise[:, lag:].ravel())[0, 1] for lag in (1, 2)
    ]
    assert correlation[0] == pytest.approx(0.43, abs=0.03)
    assert correlation[1] == pytest.approx(0.05, abs=0.03)


def test_both_polarisations_share_the_variation_of_a_pass_but_not_the_speckle():
    scene = simulate("radar", seed=4, size_px=32, truth=False, start="2020-04-01", end="2020-09-30")
    echo = scene["s1/backscatter"].values
    bend = echo[1:-1] - (echo[:-2] + echo[2:]) / 2
    own = bend - np.median(bend, (2, 3), keepdims=True)
    together = np.corrcoef(own[:, 0].ravel(), own[:, 1].ravel())[0, 1]
    assert 0.1 < together < 0.4
