"""The GAN against sources that are known, and what the contract asks of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from gmkit.config import TrainingConfig
from gmkit.families import Family, Step
from gmkit.families.gan import GAN, GANConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.plugins import registry
from gmkit.training.optimisers import Optimiser, rate_factor
from gmkit.trunks import TrunkConfig

CAPABILITIES = {"log_prob", "reconstruct", "encode", "complete", "critic", "denoise_error"}
"""All that gmkit.api.FamilyInfo knows."""


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def make(space, *, width=32, depth=1, **options):
    torch.manual_seed(0)
    config = GANConfig(**{"latent": 4, **options})
    return GAN(space, config, TrunkConfig(width=width, depth=depth, head_width=16))


def fit(space, data, steps, *, rate=4e-3, size=128, width=64, depth=2, **options):
    """A GAN trained on ``data`` as the trainer does it, with averaged weights."""
    gan = make(space, width=width, depth=depth, **options).train()
    config = TrainingConfig(**{**GAN.defaults["training"], "learning_rate": rate, "warmup": 20})
    named = dict(gan.named_parameters())
    players = {
        player: Optimiser(
            {n: p for n, p in named.items() if any(p is q for q in gan.player_parameters(player))},
            config,
            gan.betas(player),
        )
        for player in gan.players
    }
    averages = [p.detach().clone() for p in named.values()]
    rows = len(next(iter(data.values())))
    for k in range(steps):
        g = rng(k)
        batch = space.trim(space.pick(data, torch.randint(rows, (size,), generator=g), "cpu"))
        for player, share in gan.turns(k / steps):
            gan.losses(batch, Step(k, share, g, player))["loss"].backward()
            players[player].set_rate(rate_factor(k, share, config))
            players[player].step()
            for other in players.values():
                other.clear()
        with torch.no_grad():
            decay = min(0.99, (1 + k) / (10 + k))
            torch._foreach_lerp_(averages, list(named.values()), 1 - decay)
    with torch.no_grad():
        for parameter, average in zip(named.values(), averages, strict=True):
            parameter.copy_(average)
    return gan.eval()


# ------------------------------------------------------------ numbers

PLANE = Space({"x": Real(shape=(2,))})
MODES, RADIUS, SPREAD = 8, 3.0, 0.15


def ring(n):
    """Eight narrow Gaussians on a circle."""
    angle = torch.randint(MODES, (n,), generator=rng()) * 2 * math.pi / MODES
    centres = RADIUS * torch.stack((angle.cos(), angle.sin()), 1)
    return {"x": centres + SPREAD * torch.randn(n, 2, generator=rng(1))}


@pytest.mark.slow
def test_a_ring_of_gaussians_is_covered():
    gan = fit(PLANE, ring(20_000), 800, rate=5e-3, width=96, depth=1, latent=2)
    drawn = gan.sample(4000, None, rng(2))["x"]
    angle = torch.arange(MODES) * 2 * math.pi / MODES
    centres = RADIUS * torch.stack((angle.cos(), angle.sin()), 1)
    distance, nearest = torch.cdist(drawn, centres).min(1)
    close = distance < 3 * SPREAD
    shares = nearest[close].bincount(minlength=MODES) / len(drawn)
    assert int((shares > 0.02).sum()) >= 7
    assert float(close.float().mean()) > 0.5  # of points spread along the circle .38 are


MEAN = torch.tensor([0.5, -0.5, 0.0])
COV = torch.tensor([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 0.8]])


def test_moments_of_a_correlated_gaussian_are_recovered():
    x = MEAN + torch.randn(20_000, 3, generator=rng()) @ torch.linalg.cholesky(COV).T
    space = Space({"a": Real(shape=(2,)), "b": Real()})
    gan = fit(space, {"a": x[:, :2], "b": x[:, 2]}, 400, rate=3e-3, size=256)
    drawn = gan.sample(10_000, None, rng(2))
    found = torch.cat((drawn["a"], drawn["b"][:, None]), 1)
    assert torch.allclose(found.mean(0), MEAN, atol=0.2)
    assert torch.allclose(found.T.cov(), COV, atol=0.25)
    low = gan.sample(10_000, None, rng(2), temperature=0.3)["b"]
    assert float(low.std()) < 0.85 * float(drawn["b"].std())  # truncated


LINE = Space({"x": Real()})
LOSSES = ["minimax", "nonsaturating", "hinge", "wasserstein", "relativistic"]


@pytest.mark.parametrize(
    "options",
    [
        *({"loss": loss} for loss in LOSSES),
        {"loss": "wasserstein", "penalty": "exact", "critic_steps": 2},
        {"penalty": "exact"},
        {"lazy": 4},
        {"pack": 3, "minibatch": True},
        {"loss": "hinge", "spectral_norm": True, "penalty": "none"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_variant_finds_a_gaussian(options):
    data = {"x": 1.5 + 0.5 * torch.randn(5000, generator=rng())}
    gan = fit(LINE, data, 120, rate=5e-3, size=64, width=24, depth=1, latent=2, **options)
    drawn = gan.sample(4000, None, rng(2))["x"]
    assert float(drawn.mean()) == pytest.approx(1.5, abs=0.5)
    assert 0.2 < float(drawn.std()) < 0.9


# ------------------------------------------------------------ classes

TABLE = Space({"a": Categorical(size=3), "b": Categorical(size=4), "x": Real()})
GIVEN_A = torch.tensor([[0.7, 0.2, 0.05, 0.05], [0.1, 0.1, 0.7, 0.1], [0.05, 0.05, 0.1, 0.8]])
CENTRES = torch.tensor([-1.0, 0.0, 1.5])


def table(n):
    a = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), n, replacement=True, generator=rng())
    b = torch.multinomial(GIVEN_A[a], 1, generator=rng(1))[:, 0]
    return {"a": a, "b": b, "x": CENTRES[a] + 0.4 * torch.randn(n, generator=rng(2))}


def joint(batch):
    return (batch["a"] * 4 + batch["b"]).bincount(minlength=12) / len(batch["a"])


def test_joint_frequencies_of_a_mixed_table_are_recovered():
    data = table(20_000)
    drawn = fit(TABLE, data, 300, rate=3e-3, width=32).sample(8000, None, rng(3))
    independent = torch.outer(
        data["a"].bincount() / 20_000, data["b"].bincount() / 20_000
    ).flatten()
    away = 0.5 * float((independent - joint(data)).abs().sum())
    found = 0.5 * float((joint(drawn) - joint(data)).abs().sum())
    assert found < 0.13 < 0.5 * away
    for value in range(3):
        assert float(drawn["x"][drawn["a"] == value].mean()) == pytest.approx(
            float(CENTRES[value]), abs=0.45
        )


WORD = Space({"w": Categorical(size=4, shape=(6,), layout="sequence", end=0)})
WORDS = torch.tensor(
    [[1, 2, 0, 0, 0, 0], [1, 1, 2, 2, 0, 0], [3, 3, 3, 0, 0, 0], [3, 0, 0, 0, 0, 0]]
)


def test_a_language_of_few_words_is_spoken():
    data = {"w": WORDS[torch.randint(len(WORDS), (5000,), generator=rng())]}
    gan = fit(WORD, data, 180, size=64, width=32, depth=1, latent=8)
    drawn = gan.sample(2000, None, rng(2))["w"]
    spoken = (drawn[:, None] == WORDS).all(2)
    assert float(spoken.any(1).float().mean()) > 0.7
    assert int((spoken.float().mean(0) > 0.05).sum()) == len(WORDS)
    # what is written by chance is no word
    assert float(gan.critic(data).mean()) > float(gan.critic({"w": data["w"].roll(1, 1)}).mean())


# ------------------------------------------------------------ conditions


def test_conditions_of_both_kinds_are_obeyed():
    space = Space({"x": Real()}, Space({"label": Categorical(size=3), "shift": Real()}))
    label = torch.randint(3, (10_000,), generator=rng())
    shift = torch.randn(10_000, generator=rng(1))
    centres = torch.tensor([-2.0, 0.0, 2.0])
    noise = 0.2 * torch.randn(10_000, generator=rng(2))
    data = {"label": label, "shift": shift, "x": centres[label] + 0.5 * shift + noise}
    gan = fit(space, data, 300, rate=4e-3, width=32)
    wanted = torch.arange(3).repeat_interleave(1000)
    asked = torch.linspace(-1, 1, 1000).repeat(3)
    drawn = gan.sample(3000, {"label": wanted, "shift": asked}, rng(3))["x"].reshape(3, 1000)
    assert torch.allclose(drawn.mean(1), centres, atol=0.35)
    slope = (drawn * asked[:1000]).sum(1) / asked[:1000].square().sum()
    assert torch.allclose(slope, torch.full((3,), 0.5), atol=0.3)
    # the critic tells a record under a wrong label
    right = gan.critic({"x": centres, "label": torch.arange(3), "shift": torch.zeros(3)})
    wrong = gan.critic({"x": centres.flip(0), "label": torch.arange(3), "shift": torch.zeros(3)})
    assert float((right - wrong)[[0, 2]].min()) > 0


# ------------------------------------------------------------ the contract

SPACES = {
    "plane": Space({"x": Real(shape=(5,))}),
    "grid1d": Space({"s": Real(shape=(2, 16), layout="grid1d")}),
    "grid2d": Space(
        {"i": Real(shape=(1, 8, 8), layout="grid2d", bounds=(-1, 1))},
        Space({"label": Categorical(size=3), "size": Real()}),
    ),
    "words": WORD,
    "words asked for": Space(WORD.fields, Space({"q": Real()})),
    "table": TABLE,
}


def records(space, n):
    """Random records and conditions; sequences trimmed, as they come from the trainer."""
    fields = {**space.fields, **(space.condition.fields if space.condition else {})}
    batch = {}
    for name, kind in fields.items():
        if isinstance(kind, Categorical):
            drawn = torch.randint(kind.size, (n, *kind.shape), generator=rng())
            batch[name] = kind.close(drawn)
        else:
            batch[name] = torch.rand(n, *kind.shape, generator=rng())
    return space.trim(batch)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"penalty": "exact", "pack": 2},
        {"loss": "wasserstein", "penalty": "exact", "minibatch": True},
        {"loss": "wasserstein"},
        {"loss": "hinge", "pack": 2, "spectral_norm": True},
    ],
    ids=["default", "exact", "wasserstein", "secants", "normalised"],
)
def test_every_space_trains_draws_and_scores(name, options):
    space = SPACES[name]
    gan, batch = make(space, width=16, **options).train(), records(space, 7)
    terms = {}
    for player, _ in gan.turns(0.5):
        found = gan.losses(batch, Step(0, 0.5, rng(), player))
        found["loss"].backward()
        own = {id(p) for p in gan.player_parameters(player)}
        others = [p for p in gan.parameters() if id(p) not in own]
        assert all(p.grad is None for p in others)
        learning = [p for p in gan.player_parameters(player) if p.grad is not None]
        assert learning and all(bool(p.grad.isfinite().all()) for p in learning)
        gan.zero_grad()
        terms |= found
    assert {"loss", "critic", "penalty", "generator"} == set(terms)
    assert all(bool(value.isfinite()) for value in terms.values())
    # a one-centred penalty has nothing against a fresh critic, which is not steep
    assert float(terms["penalty"]) > 0 or options.get("loss") == "wasserstein"
    gan.eval()
    drawn = gan.sample(
        5, space.condition and {n: batch[n][:5] for n in space.condition.names}, rng()
    )
    space.check({**batch, **drawn})
    assert len(next(iter(drawn.values()))) == 5
    scores = gan.critic(batch)
    assert scores.shape == (7,) and bool(scores.isfinite().all())
    part = gan.critic({n: value[2:4] for n, value in batch.items()})
    assert torch.allclose(part, scores[2:4], atol=1e-5)


@pytest.mark.parametrize("penalty", ["finite", "exact"])
@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_validation_without_gradients_finds_the_same_losses(loss, penalty):
    gan, batch = make(TABLE, loss=loss, penalty=penalty).eval(), records(TABLE, 6)
    for player in gan.players:
        first = gan.losses(batch, Step(0, 1.0, rng(), player))
        with torch.no_grad():
            second = gan.losses(batch, Step(0, 1.0, rng(), player))
        assert float(first["loss"].detach()) == pytest.approx(float(second["loss"]), rel=1e-5)


def test_the_penalty_is_lazy_as_much_stronger_and_falls():
    batch = records(PLANE, 32)

    def penalty(index, progress, **options):
        step = Step(index, progress, rng(), "critic")
        return float(make(PLANE, **options).losses(batch, step)["penalty"])

    assert penalty(8, 0, lazy=4) == pytest.approx(4 * penalty(8, 0), rel=1e-5)
    assert penalty(9, 0, lazy=4) == 0 == penalty(0, 0, penalty="none") == penalty(0, 0, gamma=0)
    assert penalty(0, 1, gamma=2.0, gamma_end=0.1) == pytest.approx(0.4 * penalty(0, 0), rel=1e-4)
    assert make(PLANE, loss="wasserstein").gamma(0.7) == 10


def test_finite_and_exact_penalties_agree_on_a_real_critic():
    batch, both = records(PLANE, 4000), {}
    for penalty in ("finite", "exact"):
        gan = make(PLANE, penalty=penalty, sigma=0.01)
        both[penalty] = float(gan.losses(batch, Step(0, 0.0, rng(), "critic"))["penalty"])
    assert both["finite"] == pytest.approx(both["exact"], rel=0.1)


def test_losses_draw_from_the_steps_generator_alone():
    gan, batch = make(TABLE), records(TABLE, 6)
    state = torch.get_rng_state()
    found = [
        gan.losses(batch, Step(0, 0.0, rng(seed), player))["loss"].item()
        for player in gan.players
        for seed in (4, 4, 5)
    ]
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4] != found[5]
    assert torch.equal(state, torch.get_rng_state())


def test_spectral_norm_bounds_every_layer_and_survives_storage():
    gan = make(WORD, spectral_norm=True, width=16).train()
    batch = records(WORD, 8)
    for index in range(30):
        gan.losses(batch, Step(index, 0.0, rng(), "critic"))
    layers = [
        m
        for network in (gan.reader, gan.head)
        for m in network.modules()
        if isinstance(m, nn.Linear | nn.Conv1d)
    ]
    assert len(layers) > 3 and all(is_parametrized(layer, "weight") for layer in layers)
    gan.eval()
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(norm) == pytest.approx(1, abs=0.1)
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    scores = gan.critic(batch)
    after = gan.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    other = make(WORD, spectral_norm=True, width=16).eval()
    other.load_state_dict(before)
    assert torch.equal(other.critic(batch), scores)


def test_resumed_training_equals_straight(tmp_path):
    from gmkit.training.loop import Trainer

    options = {"spectral_norm": True, "minibatch": True, "pack": 2, "critic_steps": 2, "lazy": 3}

    def train(name, *, cut):
        finals = []
        for resume in (False, True) if cut else (False,):
            gan = make(TABLE, width=8, **options)
            config = TrainingConfig(steps=12, batch_size=6, warmup=2, save_steps=5, ema=0.9)
            trainer = Trainer(gan, records(TABLE, 40), {}, config, 3, tmp_path / name)
            if cut and not resume:
                step = trainer.step

                def stop(index, step=step):
                    if index == 8:
                        raise KeyboardInterrupt
                    return step(index)

                trainer.step = stop
                with pytest.raises(KeyboardInterrupt):
                    trainer.run()
                continue
            trainer.run(resume=resume)
            finals.append(gan.state_dict())
        return finals[-1]

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    straight, resumed = train("a", cut=False), train("b", cut=True)
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
    assert int(straight["head.seen"]) == 24


def test_what_suits_gans_is_below_the_users_options():
    from gmkit.training.resolve import resolve

    config = resolve({"domain": "molecules", "model": "gan"}).config
    assert config.training.clip == 0.0
    chosen = {"domain": "molecules", "model": "gan", "training": {"clip": 0.5}}
    assert resolve(chosen).config.training.clip == 0.5


def test_each_player_of_a_stack_has_the_momentum_that_suits_it():
    from gmkit.families.stack import stack
    from gmkit.families.vae import VAE

    kind = stack(VAE, GAN, "vae", "gan")
    family = kind(Space({"x": Real(shape=(2,))}), kind.Config(), TrunkConfig(width=16, depth=1))
    assert family.betas("vae.model") == (0.9, 0.98)
    assert family.betas("gan.critic") == family.betas("gan.generator") == (0.0, 0.99)
    named = dict(family.named_parameters())
    for chosen, expected in ((None, (0.0, 0.99)), ((0.5, 0.9), (0.5, 0.9))):
        optimiser = Optimiser(named, TrainingConfig(betas=chosen), family.betas("gan.critic"))
        assert optimiser.parts[0].param_groups[0]["betas"] == expected


def test_capabilities_are_the_methods_it_has():
    own = {
        name for name in CAPABILITIES if getattr(GAN, name, None) is not getattr(Family, name, None)
    }
    assert GAN.capabilities == own
    assert registry().get("family", "gan").capabilities == own


@pytest.mark.parametrize(
    "facts", [{"latent": 0}, {"loss": "least squares"}, {"sigma": 0}, {"pack": 0}, {"gamma": -1}]
)
def test_impossible_options_are_refused(facts):
    with pytest.raises(ValueError, match=r"1 validation error for GANConfig"):
        GANConfig(**facts)
