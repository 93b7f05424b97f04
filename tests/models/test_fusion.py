"""What an embedding may depend on."""

import pytest
import torch
from fluxlens.models.batch import Tokens, cat
from fluxlens.models.embedder import Config, Embedder
from fluxlens.models.fusion import WINDOW_DAYS
from fluxlens.models.kernel_regression import KernelRegression

DAYS = torch.arange(18_040, 18_072)


def embed(model, tokens, days=DAYS, **options):
    return model.embed(tokens, days[None], **options)


def changed(tokens: Tokens, **parts) -> Tokens:
    return Tokens(
        parts.get("token", tokens.token), parts.get("valid", tokens.valid), parts.get("day", tokens.day)
    )


def test_a_pixel_does_not_depend_on_its_batch_companions(model, tokens):
    together = embed(model, tokens).z
    for pixel in range(5):
        alone = embed(model, {n: t.pixels(slice(pixel, pixel + 1)) for n, t in tokens.items()}).z
        torch.testing.assert_close(alone[:, :, 0], together[:, :, pixel], atol=1e-5, rtol=0)


def test_an_area_does_not_depend_on_the_areas_beside_it(model, tokens):
    short = {
        n: changed(t, token=t.token[:, 9:], valid=t.valid[:, 9:], day=t.day[:, 9:]) for n, t in tokens.items()
    }
    both = {n: cat([tokens[n], short[n]]) for n in tokens}
    together = model.embed(both, DAYS.expand(2, -1)).z
    torch.testing.assert_close(together[:1], embed(model, tokens).z, atol=1e-5, rtol=0)
    torch.testing.assert_close(together[1:], embed(model, short).z, atol=1e-5, rtol=0)


def test_days_asked_together_get_the_answers_of_days_asked_alone(model, tokens):
    together = embed(model, tokens)
    alone = torch.cat([embed(model, tokens, day[None]).z for day in DAYS], 1)
    torch.testing.assert_close(alone, together.z, atol=1e-5, rtol=0)


def test_the_order_of_acquisitions_is_of_no_account(model, tokens):
    turned = {n: Tokens(t.token.flip(1), t.valid.flip(1), t.day.flip(1)) for n, t in tokens.items()}
    torch.testing.assert_close(embed(model, turned).z, embed(model, tokens).z, atol=1e-5, rtol=0)


def test_clouded_acquisitions_have_no_influence_even_if_absurd(model, tokens):
    before = embed(model, tokens).z
    s2 = tokens["s2"]
    spoiled = torch.where(s2.valid[..., None], s2.token, 1e6)
    torch.testing.assert_close(embed(model, {**tokens, "s2": changed(s2, token=spoiled)}).z, before)


def test_an_absent_sensor_equals_one_that_never_saw_the_ground(model, tokens):
    blind = {**tokens, "s1": changed(tokens["s1"], valid=torch.zeros_like(tokens["s1"].valid))}
    absent = {"s2": tokens["s2"]}
    torch.testing.assert_close(embed(model, blind).z, embed(model, absent).z, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sensor", ["s2", "s1"])
def test_each_sensor_changes_the_answer(model, tokens, sensor):
    other = {**tokens, sensor: changed(tokens[sensor], token=-tokens[sensor].token)}
    assert (embed(model, other).z - embed(model, tokens).z).abs().max() > 1e-3


def test_the_causal_answer_ignores_the_future(model, tokens):
    day = torch.tensor([18_060])
    later = tokens["s2"].day > 18_060
    other = torch.where(later[..., None, None], -tokens["s2"].token, tokens["s2"].token)
    spoiled = {**tokens, "s2": changed(tokens["s2"], token=other)}
    causal = embed(model, tokens, day, causal=True).z
    torch.testing.assert_close(embed(model, spoiled, day, causal=True).z, causal)
    assert (embed(model, spoiled, day).z - embed(model, tokens, day).z).abs().max() > 1e-4


def test_acquisitions_beyond_the_window_are_not_looked_at(model, tokens):
    near = embed(model, tokens).z
    far = {
        n: Tokens(
            torch.cat([t.token, t.token[:, :1]], 1),
            torch.cat([t.valid, t.valid[:, :1]], 1),
            torch.cat([t.day, t.day[:, -1:] + 2 * WINDOW_DAYS], 1),
        )
        for n, t in tokens.items()
    }
    torch.testing.assert_close(embed(model, far).z, near, atol=1e-5, rtol=0)


def test_a_land_that_does_not_change_stands_still(model, tokens):
    """The same token at every pass: the embedding must not move because a satellite passes."""
    still = {
        n: changed(t, token=t.token[:, :1].expand_as(t.token), valid=torch.ones_like(t.valid))
        for n, t in tokens.items()
    }
    moves = embed(model, still, torch.arange(18_080, 18_120)).z.diff(dim=1).abs().max()
    changes = embed(model, tokens, torch.arange(18_080, 18_120)).z.diff(dim=1).abs().max()
    assert moves < changes / 3


def test_a_land_that_changes_steadily_is_followed_without_lag():
    """Locally linear averages follow a straight line even where acquisitions lie to one side (Fan 1993)."""
    regression = KernelRegression(width=1, heads=4, value=1, hidden=4).requires_grad_(False)
    regression.bend.weight.zero_()
    regression.bend.bias.zero_()
    regression.straight.weight.fill_(1.0)
    regression.log_ridge.fill_(-2.0)  # a ridge of half a minute
    days = torch.tensor([[0.0, 3.0, 4.0, 9.0, 11.0, 30.0, 33.0, 60.0]])
    weighted = regression.weighted_values(
        (0.1 * days)[:, :, None, None], torch.ones(1, 8, 1, dtype=torch.bool)
    )
    query_days = torch.arange(1.0, 60.0)[None]
    dt = days[:, None] - query_days[:, :, None]
    values, _ = regression.query(dt, torch.ones_like(dt, dtype=torch.bool), weighted)
    torch.testing.assert_close(values[0, :, 0], 0.1 * query_days[0][:, None].expand(-1, 4), atol=2e-3, rtol=0)


def test_no_observation_at_all_still_gives_a_finite_answer(model, tokens):
    blind = {n: changed(t, valid=torch.zeros_like(t.valid)) for n, t in tokens.items()}
    answer = embed(model, blind)
    assert torch.isfinite(answer.z).all()
    assert torch.isfinite(model.sigma(answer)).all()


def test_a_fusion_begins_with_the_answers_of_the_sensor_it_starts_from(tokens):
    torch.manual_seed(3)
    alone, both = Embedder(Config(sensors=("s2",))).eval(), Embedder().eval()
    both.fusion.init_from(alone.fusion)
    expected = embed(alone, {"s2": tokens["s2"]}).z
    torch.testing.assert_close(embed(both, tokens).z, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(embed(both, {"s2": tokens["s2"]}).z, expected, atol=1e-5, rtol=0)


def test_a_wider_fusion_begins_with_the_answers_of_the_one_it_starts_from(tokens):
    torch.manual_seed(4)
    narrow, wide = Embedder().eval(), Embedder(Config(hidden=160, season_heads=2)).eval()
    wide.fusion.init_from(narrow.fusion)
    torch.testing.assert_close(embed(wide, tokens).z, embed(narrow, tokens).z, atol=1e-5, rtol=0)


def test_gradients_are_finite_where_nothing_is_observed(model, tokens):
    import copy

    learner = copy.deepcopy(model).requires_grad_(True)
    blind = {n: changed(t, valid=torch.zeros_like(t.valid)) for n, t in tokens.items()}
    answer = embed(learner, blind)
    (answer.z.square().sum() + answer.log_sigma["s2"].sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in learner.fusion.parameters() if p.grad is not None)
