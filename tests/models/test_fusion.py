"""What an embedding may depend on."""

import pytest
import torch

from models.batch import Tokens

DAYS = torch.arange(18_040, 18_072)


def embed(model, tokens, days=DAYS, **options):
    pixels = len(next(iter(tokens.values())).token)
    return model.embed(tokens, days.expand(pixels, -1), **options)


def changed(tokens: Tokens, **parts) -> Tokens:
    return Tokens(
        parts.get("token", tokens.token), parts.get("usable", tokens.usable), parts.get("day", tokens.day)
    )


def test_a_pixel_does_not_depend_on_its_batch_companions(model, tokens):
    together = embed(model, tokens).z
    for pixel in range(5):
        alone = embed(model, {n: t.select(torch.tensor([pixel])) for n, t in tokens.items()}).z
        torch.testing.assert_close(alone[0], together[pixel], atol=1e-5, rtol=0)


def test_days_asked_together_get_the_answers_of_days_asked_alone(model, tokens):
    one_by_one, in_groups = embed(model, tokens, group=1), embed(model, tokens, group=8)
    torch.testing.assert_close(one_by_one.z, in_groups.z, atol=1e-5, rtol=0)
    assert torch.equal(one_by_one.nearest["s2"], in_groups.nearest["s2"])


def test_clouded_acquisitions_have_no_influence_even_if_nan(model, tokens):
    before = embed(model, tokens).z
    s2 = tokens["s2"]
    spoiled = torch.where(s2.usable[..., None], s2.token, 1e6)
    torch.testing.assert_close(embed(model, {**tokens, "s2": changed(s2, token=spoiled)}).z, before)


def test_an_absent_sensor_equals_one_that_never_saw_the_ground(model, tokens):
    blind = {**tokens, "s1": changed(tokens["s1"], usable=torch.zeros_like(tokens["s1"].usable))}
    absent = {"s2": tokens["s2"]}
    torch.testing.assert_close(embed(model, blind).z, embed(model, absent).z, atol=1e-5, rtol=0)
    assert (embed(model, absent).nearest["s1"] == -1).all()


@pytest.mark.parametrize("sensor", ["s2", "s1"])
def test_each_sensor_changes_the_answer(model, tokens, sensor):
    other = {**tokens, sensor: changed(tokens[sensor], token=tokens[sensor].token + 1)}
    assert (embed(model, other).z - embed(model, tokens).z).abs().max() > 1e-3


def test_the_causal_answer_ignores_the_future(model, tokens):
    day = torch.tensor([18_060])
    later = tokens["s2"].day > 18_060
    other = torch.where(later[..., None], -tokens["s2"].token, tokens["s2"].token)
    spoiled = {**tokens, "s2": changed(tokens["s2"], token=other)}
    causal = embed(model, tokens, day, causal=True).z
    torch.testing.assert_close(embed(model, spoiled, day, causal=True).z, causal)
    assert (embed(model, spoiled, day).z - embed(model, tokens, day).z).abs().max() > 1e-4


def test_nearest_counts_days_to_the_nearest_clear_acquisition(model, tokens):
    nearest = embed(model, tokens).nearest["s2"]
    for pixel in range(5):
        days = tokens["s2"].day[pixel][tokens["s2"].usable[pixel]]
        expected = (days[:, None] - DAYS).abs().amin(0)
        assert torch.equal(nearest[pixel], expected)


def test_nothing_seen_at_all_still_gives_a_finite_answer(model, tokens):
    blind = {n: changed(t, usable=torch.zeros_like(t.usable)) for n, t in tokens.items()}
    answer = embed(model, blind)
    assert torch.isfinite(answer.z).all()
    assert (answer.nearest["s2"] == -1).all()
