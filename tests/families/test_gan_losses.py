"""The formulas of the game and of its penalties, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gmkit.families import gan_losses
from gmkit.families.critic_head import CriticHead
from gmkit.fields import Categorical, Real, Space

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 3.0])
PLAIN = Space({"x": Real(shape=(3,))})


def s(t):
    return math.log(1 + math.exp(t))


@pytest.mark.parametrize(
    ("loss", "critic", "generator"),
    [
        ("minimax", (s(-2) + s(-0.5) + s(-1) + s(3)) / 2, -(s(-1) + s(3)) / 2),
        ("nonsaturating", (s(-2) + s(-0.5) + s(-1) + s(3)) / 2, (s(1) + s(-3)) / 2),
        ("hinge", (0 + 0.5 + 0 + 4) / 2, -(-1 + 3) / 2),
        ("wasserstein", 1 - 1.25, -1.0),
        ("relativistic", (s(-3) + s(2.5)) / 2, (s(3) + s(-2.5)) / 2),
    ],
)
def test_losses_by_hand(loss, critic, generator):
    assert float(gan_losses.critic_loss(loss, REAL, FAKE)) == pytest.approx(critic, rel=1e-5)
    assert float(gan_losses.generator_loss(loss, FAKE, REAL)) == pytest.approx(generator, rel=1e-5)


def bowl(embedded):
    """D = x₀² + 3 x₁ − 2 y, so ∇D = (2 x₀, 3, −2)."""
    x, y = embedded["x"][..., 0], embedded["y"][..., 0]
    return x[:, 0] ** 2 + 3 * x[:, 1] - 2 * y


def points(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, 1, generator=g).requires_grad_()
    return {"x": x, "y": torch.randn(n, 1, generator=g).requires_grad_()}


def test_exact_slope_is_the_gradient_over_all_fields():
    at = points(50)
    expected = (4 * at["x"][:, 0, 0] ** 2 + 13).mean()
    found = gan_losses.squared_slope(bowl(at), at)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()  # a second derivative: d/dx₀ of 4 x₀² / n
    assert torch.allclose(at["x"].grad[:, 0, 0], 8 * at["x"][:, 0, 0] / 50, rtol=1e-4)


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_finite_slope_nears_the_exact_one(sigma):
    at, rng = points(40_000), torch.Generator().manual_seed(1)
    exact = gan_losses.squared_slope(bowl(at), at).item()
    moved = gan_losses.shifted(at, gan_losses.noise_like(at, rng), sigma)
    found = gan_losses.finite_slope(bowl(at), bowl(moved), sigma).item()
    assert found == pytest.approx(exact, rel=0.04)


def test_slope_of_packs_is_that_of_a_score_in_all_its_records():
    at = points(8)
    singles = bowl(at)
    packed = singles.reshape(4, 2).mean(1)
    expected = (4 * at["x"][:, 0, 0] ** 2 + 13).sum() / 4 / 4  # half the slope, 4 scores
    assert gan_losses.squared_slope(packed, at).item() == pytest.approx(expected.item(), rel=1e-5)


def test_slopes_are_charged_above_one_only():
    at = points(30)
    norm = (4 * at["x"][:, 0, 0] ** 2 + 13).sqrt()
    for scale in (1.0, 0.25):  # at the second some slopes are above one, and most below
        charged = (scale * norm - 1).clamp(min=0).square().mean()
        found = gan_losses.unit_slope(scale * bowl(at), at)
        assert found.item() == pytest.approx(charged.item(), rel=1e-4) != 0


def test_secants_are_charged_above_slope_one_only():
    scores, others = torch.tensor([3.0, 0.5, 1.0]), torch.tensor([0.0, 0.0, 4.0])
    lengths = torch.tensor([1.0, 1.0, 2.0])
    expected = ((3 - 1) ** 2 + 0 + (1.5 - 1) ** 2) / 3
    assert float(gan_losses.secant_slope(scores, others, lengths)) == pytest.approx(expected)


def test_points_between_and_their_distance():
    one, two = points(5, 0), points(5, 1)
    share = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    middle = gan_losses.between(one, two, share)
    whole = gan_losses.distance(one, two)
    assert torch.allclose(gan_losses.distance(middle, one), share * whole, atol=1e-5)
    assert torch.allclose(gan_losses.distance(middle, two), (1 - share) * whole, atol=1e-5)
    by_hand = ((one["x"][0] - two["x"][0]).square().sum() + (one["y"][0] - two["y"][0]) ** 2).sqrt()
    assert whole[0].item() == pytest.approx(by_hand.item(), rel=1e-5)


# ------------------------------------------------------------ the head


def test_packs_wrap_around_where_the_batch_does_not_divide():
    torch.manual_seed(0)
    head, features = CriticHead(PLAIN, 4, pack=3, minibatch=False), torch.randn(7, 4)
    scores = head(features, {})
    assert scores.shape == (3,)
    # the last pack holds the records 6, 0 and 1
    assert torch.allclose(scores[2], head(features[[6, 0, 1]], {})[0])
    assert head(features[:1], {}).shape == (1,)


def test_packed_scores_see_records_together():
    torch.manual_seed(0)
    head, features = CriticHead(PLAIN, 16, pack=2, minibatch=False), torch.randn(4, 16)
    a, b, c, d = features
    crossed = head(torch.stack((a, d, c, b)), {})
    assert not torch.allclose(head(features, {}).sum(), crossed.sum(), atol=1e-4)


def test_the_minibatch_statistic_is_the_mean_deviation():
    torch.manual_seed(0)
    head, features = CriticHead(PLAIN, 4, pack=1, minibatch=True), torch.rand(50, 4)
    scores = head(features, {})
    spread = features.std(0, correction=0).mean().expand(50, 1)
    expected = head.score(torch.cat((features, spread), 1))[:, 0]
    assert torch.allclose(scores, expected, atol=1e-5)


def test_projection_is_the_product_of_condition_and_features():
    torch.manual_seed(0)
    head = CriticHead(Space(PLAIN.fields, Space({"c": Categorical(size=3)})), 4, 1, False)
    features, given = torch.rand(3, 4), {"c": torch.arange(3)}
    product = (head.projection(head.condition(given)) * features).sum(1) / 2  # √4
    assert torch.allclose(head(features, given), head.score(features)[:, 0] + product, atol=1e-6)


def test_alone_a_score_depends_on_its_record_only():
    torch.manual_seed(0)
    head = CriticHead(PLAIN, 4, pack=3, minibatch=True)
    for _ in range(3):
        head.remember(torch.randn(64, 4) + 1)
    features = torch.randn(6, 4)
    whole = head.alone(features, {})
    assert whole.shape == (6,)
    assert torch.allclose(whole[2:4], head.alone(features[2:4], {}), atol=1e-6)
    # three batches were seen, each with a third of the weight
    assert int(head.seen) == 3
    assert head.companion.mean().item() == pytest.approx(1.0, abs=0.2)
