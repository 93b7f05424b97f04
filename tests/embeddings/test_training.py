"""Learning in small: it learns, it hides, and stage two leaves the encoders alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from embeddings import cache, training
from embeddings.samples import Archive, Plan, batches, draw
from embeddings.simulate import random_scene
from models import checkpoints
from models.embedder import Embedder
from models.training import Recipe


@pytest.fixture(scope="module")
def archive() -> Archive:
    return Archive.of(random_scene(3, 16, start="2019-03-01", end="2019-10-31"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Both stages, a few steps each, on two tiny simulated landscapes."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXLENS_CACHE", str(folder))
        patch.setattr(training, "SIMULATED_SIZE_PX", 16)
        lesson = training.Lesson(simulated=2, recipe=Recipe(steps=6))
        for name in ("s2", "s1"):
            cache.finish(training.sensor(name, folder / f"{name}.safetensors", lesson))
        cache.finish(training.fusion(folder / "fusion.safetensors", lesson, encoders=folder))
        again = folder / "again"
        again.mkdir()
        cache.finish(training.sensor("s1", again / "s1.safetensors", lesson))
    return folder


def test_encoders_are_bit_identical_after_stage_two(weights):
    fused = checkpoints.load(weights / "fusion.safetensors", "cpu")
    for name in ("s2", "s1"):
        alone = checkpoints.load(weights / f"{name}.safetensors", "cpu")
        for key, value in alone.encoders[name].state_dict().items():
            assert torch.equal(value, fused.encoders[name].state_dict()[key]), f"{name} {key}"


def test_both_stages_learn(weights):
    for name in ("s2", "s1", "fusion"):
        taught = checkpoints.load(weights / f"{name}.safetensors", "cpu")
        torch.manual_seed(Recipe().seed)
        untaught = Embedder(taught.config).state_dict()
        for part in ("encoders", "fusion", "decoders"):
            learned = [
                not torch.equal(v, untaught[k]) for k, v in taught.state_dict().items() if k.startswith(part)
            ]
            assert any(learned), f"{name} {part}"


def test_the_shipped_encoders_are_those_of_stage_one():
    fused = checkpoints.load("default", "cpu")
    for name in fused.config.sensors:
        alone = checkpoints.load(name, "cpu")
        for key, value in alone.encoders[name].state_dict().items():
            assert torch.equal(value, fused.encoders[name].state_dict()[key]), f"{name} {key}"


def test_the_same_seed_gives_the_same_weights(weights):
    first, again = (checkpoints.load(f / "s1.safetensors", "cpu") for f in (weights, weights / "again"))
    assert first.digest == again.digest


def test_the_card_says_what_taught_it(weights):
    card = checkpoints.load(weights / "fusion.safetensors", "cpu").identity.card
    assert card["simulated_scenes"] == 2
    assert card["measured_cubes"] == []
    assert card["curve"][-1][0] == 6


def test_what_is_hidden_is_not_among_what_is_shown(archive):
    rng = np.random.default_rng(0)
    plan = replace(Plan(), jitter=0, few=0, without=0)
    hidden_asks = 0
    for sample in filter(None, (draw(archive, plan, rng) for _ in range(30))):
        shown = set(sample.day["s2"].tolist())
        for day, weight in zip(sample.ask.tolist(), sample.weight.tolist(), strict=True):
            seen_by = day in shown or day in set(sample.day["s1"].tolist())
            assert seen_by or weight == 1.0
            hidden_asks += day not in shown
    assert hidden_asks > 50


def test_targets_are_the_measured_values(archive):
    rng = np.random.default_rng(1)
    plan = replace(Plan(), jitter=0, gap=0)
    known = 0
    for sample in filter(None, (draw(archive, plan, rng) for _ in range(10))):
        target = sample.target["s2"].numpy()
        values = archive.values("s2", (...,))
        known += np.isfinite(target).sum()
        for q, day in enumerate(sample.ask.numpy()):
            told = target[q][np.isfinite(target[q])]
            at = np.flatnonzero(archive.day["s2"] == day)
            assert not told.size or np.isin(told, values[at]).all()
    assert known > 1000


def test_batches_of_one_seed_are_the_same(archive):
    one, two = (next(batches([archive], Plan(), seed=5, size=3)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.ask, b.ask)
        torch.testing.assert_close(a.images["s2"].values, b.images["s2"].values, equal_nan=True)
