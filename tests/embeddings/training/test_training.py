"""Training in small: it learns, it hides, and stage two leaves the encoders alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fluxlens.embeddings import progress
from fluxlens.embeddings.evaluation import reconstruction
from fluxlens.embeddings.inference import engine, reconstruct
from fluxlens.embeddings.readers import open_scene
from fluxlens.embeddings.simulate import random_scene, simulate
from fluxlens.embeddings.training import embedder, simulated
from fluxlens.embeddings.training.archive import PackedScene, pack_land_state
from fluxlens.embeddings.training.samples import MaskingConfig, batches, draw_sample
from fluxlens.models import checkpoints
from fluxlens.models.decoder import LAND
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import HLS_BANDS, S2
from fluxlens.models.training import Recipe

ALL = ("s2", "s1", "landsat8")


@pytest.fixture(scope="module")
def archive() -> PackedScene:
    return PackedScene.from_scene(random_scene(3, 16, start="2019-03-01", end="2019-10-31"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Both stages, a few steps each, on two tiny simulated landscapes."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXLENS_CACHE", str(folder))
        patch.setattr(simulated, "SIMULATED_SIZE_PX", 16)
        config = embedder.TrainingConfig(simulated=2, recipe=Recipe(steps=6))
        for name in ("s2", "s1"):
            progress.run(embedder.train_sensor(name, folder / f"{name}.safetensors", config))
        progress.run(embedder.train_fusion(folder / "fusion.safetensors", config, encoders=folder))
        again = folder / "again"
        again.mkdir()
        progress.run(embedder.train_sensor("s1", again / "s1.safetensors", config))
    return folder


def test_encoders_are_bit_identical_after_stage_two(weights):
    fused = checkpoints.load(weights / "fusion.safetensors", "cpu")
    for name in ("s2", "s1"):
        alone = checkpoints.load(weights / f"{name}.safetensors", "cpu")
        for key, value in alone.encoders[name].state_dict().items():
            assert torch.equal(value, fused.encoders[name].state_dict()[key]), f"{name} {key}"


def test_both_stages_learn(weights):
    for name in ("s2", "s1", "fusion"):
        trained = checkpoints.load(weights / f"{name}.safetensors", "cpu")
        torch.manual_seed(Recipe().seed)
        untrained = Embedder(trained.config).state_dict()
        for part in ("encoders", "fusion", "decoders"):
            learned = [
                not torch.equal(v, untrained[k])
                for k, v in trained.state_dict().items()
                if k.startswith(part)
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


def test_the_card_says_what_the_model_learned_from(weights):
    card = checkpoints.load(weights / "fusion.safetensors", "cpu").identity.card
    assert card["simulated_scenes"] == 2
    assert card["measured_cubes"] == []
    assert card["curve"][-1][0] == 6


def test_what_is_hidden_is_not_among_what_is_shown(archive):
    rng = np.random.default_rng(0)
    masking = MaskingConfig(radiometric_jitter=0, few_share=0, sensor_absent_share=0)
    hidden_asks = 0
    for sample in filter(None, (draw_sample(archive, masking, rng) for _ in range(30))):
        shown = set(sample.day["s2"].tolist())
        for day, weight in zip(sample.query_days.tolist(), sample.weight.tolist(), strict=True):
            seen_by = day in shown or day in set(sample.day["s1"].tolist())
            assert seen_by or weight == 1.0
            hidden_asks += day not in shown
    assert hidden_asks > 50


def test_targets_are_the_measured_values(archive):
    rng = np.random.default_rng(1)
    masking = MaskingConfig(radiometric_jitter=0, gap_share=0)
    known = 0
    for sample in filter(None, (draw_sample(archive, masking, rng) for _ in range(10))):
        target = sample.target["s2"].numpy()
        values = archive.values("s2", (...,))
        known += np.isfinite(target).sum()
        for q, day in enumerate(sample.query_days.numpy()):
            known_values = target[q][np.isfinite(target[q])]
            at = np.flatnonzero(archive.day["s2"] == day)
            assert not known_values.size or np.isin(known_values, values[at]).all()
    assert known > 1000


def test_the_state_of_the_land_is_the_truth_of_the_asked_days():
    scene = random_scene(3, 16, start="2019-03-01", end="2019-10-31", truth=True)
    packed = replace(PackedScene.from_scene(scene), land=pack_land_state(scene))
    rng = np.random.default_rng(2)
    known = 0
    plain = MaskingConfig(radiometric_jitter=0)
    for sample in filter(None, (draw_sample(packed, plain, rng) for _ in range(6))):
        for day, state in zip(sample.query_days.numpy(), sample.land.numpy(), strict=True):
            truth = scene["truth"]["lai"].values[packed.land["day"] == day]
            lai = state[:, LAND.index("lai")]
            known += np.isfinite(lai).sum()
            assert all(np.abs(truth - value).min() < 2e-3 for value in lai[np.isfinite(lai)])
    assert known > 500
    jittered = draw_sample(packed, MaskingConfig(radiometric_jitter=1), rng)
    assert torch.isnan(jittered.land).all()


def test_batches_of_one_seed_are_the_same(archive):
    one, two = (next(batches([archive], MaskingConfig(), seed=5, size=3)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a.query_days, b.query_days)
        torch.testing.assert_close(a.images["s2"].values, b.images["s2"].values, equal_nan=True)


@pytest.fixture(scope="module")
def with_landsat() -> PackedScene:
    return PackedScene.from_scene(
        random_scene(3, 16, start="2019-03-01", end="2019-10-31", landsat=True), ALL
    )


@pytest.fixture(scope="module")
def three(weights):
    """Landsat learns alone, then joins: encoders of the Sentinels from where the shipped ones are, its own from the
    folder."""
    folder = weights / "landsat"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXLENS_CACHE", str(weights))
        patch.setattr(simulated, "SIMULATED_SIZE_PX", 16)
        patch.setattr(checkpoints, "WEIGHTS", weights)
        kept = {path.name: path.stat().st_mtime_ns for path in weights.glob("training-*.npz")}
        config = embedder.TrainingConfig(simulated=2, recipe=Recipe(steps=6))
        progress.run(embedder.train_sensor("landsat8", folder / "landsat8.safetensors", config))
        progress.run(embedder.train_fusion(folder / "fusion.safetensors", config, ALL, folder))
    assert kept == {name: (weights / name).stat().st_mtime_ns for name in kept}, "the Sentinels' files stay"
    assert len(list(weights.glob("training-*-landsat8.npz"))) == 2
    return checkpoints.load(folder / "fusion.safetensors", "cpu")


def test_a_new_sensor_leaves_the_other_encoders_alone(three, weights):
    assert three.config.sensors == ALL
    for name, folder in (("s2", weights), ("s1", weights), ("landsat8", weights / "landsat")):
        alone = checkpoints.load(folder / f"{name}.safetensors", "cpu").encoders[name].state_dict()
        for key, value in three.encoders[name].state_dict().items():
            assert torch.equal(value, alone[key]), f"{name} {key}"


def test_landsat_changes_the_embedding_and_may_be_missing(three, weights):
    scene = simulate("three", seed=6, size_px=16, start="2020-03-01", end="2020-10-31", landsat=True)
    bare = scene.copy()
    del bare["landsat8"]
    window = {"start": "2020-06-01", "end": "2020-06-30"}
    with_landsat, without_landsat = (
        engine.compute(s, three, **window)["embedding"].values for s in (scene, bare)
    )
    assert with_landsat.shape == without_landsat.shape
    assert (with_landsat != without_landsat).any()
    two = checkpoints.load(weights / "fusion.safetensors", "cpu")
    of_two = [engine.compute(s, two, **window)["embedding"].values for s in (scene, bare)]
    np.testing.assert_array_equal(*of_two)
    scores = [reconstruction.rmse(reconstruction.score(s, three, 0, ("landsat8",)))[0] for s in (scene, bare)]
    assert np.isfinite(scores).all()
    assert scores[0] == scores[1]
    day = reconstruct.parse_days(scene, [str(scene["landsat8/time"].values[3])[:10]], "landsat8")
    hidden = reconstruct.Hidden("landsat8", day)
    found = reconstruct.reconstruct_hidden(scene, three, hidden)["reflectance"]
    assert found.shape == (1, 6, 16, 16)
    assert np.isfinite(found.values).all()
    with pytest.raises(InputError, match="landsat8 to hide"):
        reconstruct.reconstruct_hidden(scene, two, hidden)


@pytest.mark.real
@pytest.mark.parametrize("cube", ["0000280849BAC91C", "000028085BF08E7E"])
def test_measured_cubes_with_and_without_landsat_are_scored(real_data, three, cube):
    scene = open_scene(real_data / "s1s2_daily_cubes" / cube)
    cases = [reconstruction.rmse(reconstruction.score(scene, three, 20, w))[0] for w in ((), ("landsat8",))]
    assert np.isfinite(cases).all()
    assert (cases[0] != cases[1]) == ("landsat8" in scene.children)


@pytest.mark.real
def test_landsat_tells_hidden_dates_of_a_measured_cube(real_data):
    scene = open_scene(real_data / "s1s2_daily_cubes" / "000028085BF08E7E")
    model = checkpoints.load("landsat", "cpu")
    for gap in (0, 20):
        with_it, bare = (
            reconstruction.rmse(reconstruction.score(scene, model, gap, w))[0] for w in ((), ("landsat8",))
        )
        assert with_it < bare


def test_targets_of_landsat_are_truly_free_of_cloud(with_landsat):
    scene = random_scene(3, 16, start="2019-03-01", end="2019-10-31", landsat=True)
    cloud = scene["landsat8/cloud_truth"].values
    assert not (with_landsat.target_valid["landsat8"] & cloud).any()
    assert (with_landsat.valid["landsat8"] & cloud).any()


def test_landsat_is_sometimes_absent_and_mostly_seen_in_a_gap_of_sentinel_2(with_landsat):
    rng = np.random.default_rng(2)
    masking = MaskingConfig(sensors=ALL, gap_share=1, gap_days=(30, 40), few_share=0, sensor_absent_share=0)
    samples = [s for s in (draw_sample(with_landsat, masking, rng) for _ in range(200)) if s]
    shown = np.array([len(s.day["landsat8"]) for s in samples])
    assert 0.15 < (shown == 0).mean() < 0.35
    in_gap = [s for s in samples if len(s.day["landsat8"]) and (s.weight == 1).any()]
    near = [(s.day["landsat8"][:, None] - s.query_days[s.weight == 1]).abs().min() <= 16 for s in in_gap]
    assert np.mean(near) > 0.7
    assert np.mean([bool(torch.isfinite(s.target["landsat8"]).any()) for s in samples]) > 0.6


def test_bands_that_see_the_same_light_are_changed_alike(with_landsat):
    rng = np.random.default_rng(3)
    flat = replace(
        with_landsat,
        steps={name: np.full_like(steps, 2000) for name, steps in with_landsat.steps.items()},
    )
    masking = MaskingConfig(
        ALL, radiometric_jitter=1, no_10m_share=0, hls_share=0, gap_share=0, landsat_absent_share=0
    )
    sample = draw_sample(flat, masking, rng)
    s2, l8 = (np.nanmedian(sample.images[n].values.numpy(), (0, 2, 3)) for n in ("s2", "landsat8"))
    known = np.isfinite(l8)
    np.testing.assert_allclose(s2[[S2.bands.index(b) for b in HLS_BANDS]][known], l8[known])
    assert known.sum() >= 5
    assert np.abs(l8[known] - 0.2).max() > 0.005


def test_nothing_to_learn_from_is_refused(weights):
    config = embedder.TrainingConfig(simulated=0)
    with pytest.raises(InputError, match="no cube with landsat8"):
        progress.run(embedder.train_sensor("landsat8", weights / "none.safetensors", config))
    with pytest.raises(InputError, match="need s2 first"):
        progress.run(embedder.train_fusion(weights / "none.safetensors", config, ("landsat8", "s2")))
    with pytest.raises(InputError, match="folder of weights"):
        progress.run(embedder.train_fusion(weights / "none.safetensors", config, ALL, weights / "nowhere"))
