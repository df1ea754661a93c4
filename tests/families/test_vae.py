"""The VAE against sources whose likelihood is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from gmkit.families import Family, Step
from gmkit.families.latents import gaussian_kl
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.plugins import registry
from gmkit.trunks import TrunkConfig

CAPABILITIES = {"log_prob", "reconstruct", "encode", "complete", "critic", "denoise_error"}
"""All that gmkit.api.FamilyInfo knows."""


def fit(space, data, steps, *, rate=5e-3, size=256, width=32, **options):
    """A VAE trained on ``data`` by AdamW with a cosine rate."""
    torch.manual_seed(0)
    config = VAEConfig(**{"latent": 2, "warmup": 0.2, **options})
    vae = VAE(space, config, TrunkConfig(width=width, depth=1, head_width=16))
    optimiser = torch.optim.AdamW(vae.parameters(), rate, weight_decay=0)
    rows = len(next(iter(data.values())))
    for k in range(steps):
        rng = torch.Generator().manual_seed(k)
        chosen = torch.randint(rows, (size,), generator=rng)
        for group in optimiser.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * k / steps)) * min(1, (k + 1) / 20)
        loss = vae.losses(space.trim(space.pick(data, chosen, "cpu")), Step(k, k / steps, rng))[
            "loss"
        ]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
    return vae.eval()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------ a linear Gaussian source

WEIGHTS = torch.tensor([[1.0, 0.5], [-0.8, 0.6], [0.3, -1.0], [0.7, 0.9]])
NOISE = 0.5
EXACT = MultivariateNormal(torch.zeros(4), WEIGHTS @ WEIGHTS.T + NOISE**2 * torch.eye(4))
PLANE = Space({"x": Real(shape=(3,)), "y": Real()})


def plane(n, seed):
    """x = W z + ε over two fields."""
    g = rng(seed)
    x = torch.randn(n, 2, generator=g) @ WEIGHTS.T + NOISE * torch.randn(n, 4, generator=g)
    return {"x": x[:, :3], "y": x[:, 3]}


@pytest.fixture(scope="module")
def linear():
    return fit(PLANE, plane(20_000, 0), 320, rate=1e-2, size=128)


@pytest.fixture(scope="module")
def held():
    return plane(4000, 1)


def exact_nll(batch):
    return -EXACT.log_prob(torch.cat((batch["x"], batch["y"][:, None]), 1))


def test_bounds_lie_above_the_exact_nll_and_tighten(linear, held):
    exact = exact_nll(held)
    single = linear.log_prob(held, rng()).total
    many = linear.log_prob(held, rng(1), samples=64).total
    gap, narrow = float((single - exact).mean()), float((many - exact).mean())
    assert -0.01 < narrow < gap < 0.1


def test_loss_is_the_bound_in_nats(linear, held):
    with torch.no_grad():
        terms = linear.losses(held, Step(0, 1.0, rng()))
    assert float(terms["loss"]) == pytest.approx(float(terms["nll"] + terms["kl"]), rel=1e-5)
    total = linear.log_prob(held, rng(2)).total.mean()
    assert float(terms["loss"]) == pytest.approx(float(total), abs=0.1)


@pytest.mark.parametrize("samples", [1, 5])
def test_parts_sum_to_the_total(linear, held, samples):
    scores = linear.log_prob(held, rng(), samples=samples)
    assert set(scores.fields) == {"x", "y", "latent"}
    assert torch.allclose(torch.stack(list(scores.fields.values())).sum(0), scores.total, atol=1e-4)
    assert bool(torch.isfinite(scores.total).all()) and scores.total.shape == (4000,)


def test_scores_single_out_what_is_wrong(linear, held):
    wrong = {**held, "y": held["y"] + 4}
    before, after = linear.log_prob(held, rng(), 8), linear.log_prob(wrong, rng(), 8)
    assert float((after.total > before.total).float().mean()) > 0.9
    assert float((after.fields["y"] - before.fields["y"]).mean()) > 1


def test_samples_have_the_covariance_of_the_source(linear):
    drawn = linear.sample(20_000, None, rng())
    found = torch.cat((drawn["x"], drawn["y"][:, None]), 1).T.cov()
    assert torch.allclose(found, EXACT.covariance_matrix, atol=0.25)
    cool = linear.sample(20_000, None, rng(), temperature=0.0)
    assert float(cool["y"].var()) < float(drawn["y"].var())


def test_reconstruction_is_near_and_without_noise(linear, held):
    first, second = (linear.reconstruct(held, rng(seed)) for seed in (0, 1))
    assert torch.equal(first["x"], second["x"])
    error = (first["x"] - held["x"]).square().mean()
    assert float(error) < 1.2 * NOISE**2
    codes = linear.encode(held)
    assert codes.shape == (4000, 2)
    assert torch.allclose(linear.decode(codes, None, rng(), 0.0)["x"], first["x"])


def test_completion_keeps_the_known_and_follows_the_correlation(linear, held):
    known = {"x": torch.tensor([True, False, True]).expand(4000, 3), "y": torch.zeros(4000) > 0}
    filled = linear.complete(held, known, rng())
    assert torch.equal(filled["x"][:, ::2], held["x"][:, ::2])
    hidden = torch.stack((filled["x"][:, 1], filled["y"]), 1)
    seen = held["x"][:, ::2]
    cov = EXACT.covariance_matrix
    # regression of the hidden on the seen, exactly: Σ_hs Σ_ss⁻¹
    inner, outer = torch.tensor([0, 2]), torch.tensor([1, 3])
    slope = cov[outer][:, inner] @ cov[inner][:, inner].inverse()
    design = torch.linalg.lstsq(seen, hidden).solution.T
    assert torch.allclose(design, slope, atol=0.15)
    residual = (hidden - seen @ slope.T).T.cov()
    conditional = cov[outer][:, outer] - slope @ cov[inner][:, outer]
    assert torch.allclose(residual, conditional, atol=0.25)


def test_a_field_may_be_called_latent():
    space = Space({"latent": Real(), "x": Real()})
    vae = VAE(space, VAEConfig(latent=2), TrunkConfig(width=8, depth=1))
    scores = vae.log_prob({"latent": torch.randn(5), "x": torch.randn(5)}, rng(), samples=3)
    assert len(scores.fields) == 3
    assert torch.allclose(torch.stack(list(scores.fields.values())).sum(0), scores.total, atol=1e-5)


# ------------------------------------------------------------ a Markov chain of known entropy

START = torch.tensor([0.0, 0.6, 0.3, 0.1])
CHAIN = torch.tensor(
    [[1, 0, 0, 0], [0.05, 0.1, 0.8, 0.05], [0.2, 0.1, 0.1, 0.6], [0.3, 0.6, 0.05, 0.05]]
)
LENGTH = 8
WORD = Categorical(size=4, shape=(LENGTH,), layout="sequence", end=0)


def words(n, seed):
    g = rng(seed)
    value = [torch.multinomial(START, n, replacement=True, generator=g)]
    while len(value) < LENGTH:
        value.append(torch.multinomial(CHAIN[value[-1]], 1, generator=g)[:, 0])
    return {"w": torch.stack(value, 1)}


def entropy():
    """Exactly, nats a word."""
    state, total = START, float(-(START[1:] * START[1:].log()).sum())
    for _ in range(LENGTH - 1):
        total += float((state[:, None] * -torch.special.xlogy(CHAIN, CHAIN)).sum())
        state = state @ CHAIN
    return total


@pytest.fixture(scope="module")
def chain():
    return fit(Space({"w": WORD}), words(20_000, 0), 150, rate=1e-2, size=64)


def test_bound_of_the_causal_decoder_nears_the_entropy(chain):
    batch = words(4000, 1)
    bound = float(chain.log_prob(batch, rng(), samples=4).total.mean())
    exact = float(
        -(
            START[batch["w"][:, 0]].log()
            + CHAIN[batch["w"][:, :-1], batch["w"][:, 1:]].log().sum(1)
        ).mean()
    )
    assert exact == pytest.approx(entropy(), rel=0.02)
    assert exact * 0.99 < bound < exact * 1.03


def test_samples_have_the_bigrams_of_the_source(chain):
    drawn = chain.sample(4000, None, rng())["w"]
    assert torch.equal(drawn, WORD.close(drawn))

    def bigrams(w):
        pairs = (w[:, :-1] * 4 + w[:, 1:])[w[:, :-1] != 0]
        return pairs.bincount(minlength=16) / len(pairs)

    assert 0.5 * float((bigrams(drawn) - bigrams(words(4000, 2)["w"])).abs().sum()) < 0.05


def test_completion_of_words_keeps_the_known(chain):
    batch = words(300, 3)
    known = {"w": torch.zeros(300, LENGTH) > 0}
    known["w"][:, [0, 2]] = True
    filled = chain.complete(batch, known, rng())["w"]
    assert torch.equal(filled[:, [0, 2]], batch["w"][:, [0, 2]])
    # between 1 and 3, a 2 is by far the likeliest: .8 · .6 against .1 · .05 and .05 · .05
    between = filled[(filled[:, 0] == 1) & (filled[:, 2] == 3)][:, 1]
    assert len(between) > 20 and float((between == 2).float().mean()) > 0.6


# ------------------------------------------------------------ conditions


def test_conditions_are_obeyed():
    centres, scales = torch.tensor([-3.0, 0.0, 3.0]), torch.tensor([0.2, 0.6, 1.0])
    space = Space({"x": Real()}, Space({"label": Categorical(size=3)}))
    label = torch.randint(3, (10_000,), generator=rng())
    data = {
        "label": label,
        "x": centres[label] + scales[label] * torch.randn(10_000, generator=rng(1)),
    }
    vae = fit(space, data, 180, latent=1, rate=1e-2, size=64)
    wanted = torch.arange(3).repeat_interleave(3000)
    drawn = vae.sample(9000, {"label": wanted}, rng())["x"].reshape(3, 3000)
    assert torch.allclose(drawn.mean(1), centres, atol=0.15)
    assert torch.allclose(drawn.std(1), scales, rtol=0.2)
    nll = [
        float(
            vae.log_prob(
                {"x": torch.full((50,), 3.0), "label": torch.full((50,), c)}, rng()
            ).total.mean()
        )
        for c in range(3)
    ]
    assert nll[2] < nll[1] < nll[0]


# ------------------------------------------------------------ the objective


def test_divergence_is_that_of_torch():
    mean, log_scale = torch.randn(2, 40, generator=rng())
    exact = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, log_scale.exp()), torch.distributions.Normal(0.0, 1.0)
    )
    assert torch.allclose(gaussian_kl(mean, log_scale), exact, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"schedule": "constant", "beta": 0.7}, {0: 0.7, 0.5: 0.7, 1: 0.7}),
        ({"schedule": "linear", "warmup": 0.4, "beta": 2.0}, {0: 0, 0.1: 0.5, 0.4: 2, 1: 2}),
        (
            {"schedule": "cyclic", "warmup": 0.5, "cycles": 4},
            {0: 0, 0.0625: 0.5, 0.125: 1, 0.2: 1, 0.25: 0, 0.3125: 0.5, 0.99: 1, 1: 1},
        ),
    ],
)
def test_beta_schedule(options, values):
    vae = VAE(PLANE, VAEConfig(**options), TrunkConfig(width=8, depth=1))
    for progress, beta in values.items():
        assert vae.beta(progress) == pytest.approx(beta, abs=1e-9)


def test_free_bits_keep_the_latent_in_use():
    """On noise without structure the latent is useless, and β = 1 alone empties it."""
    space, data = Space({"x": Real(shape=(4,))}), {"x": torch.randn(5000, 4, generator=rng())}

    def kl(free_bits):
        vae = fit(
            space,
            data,
            120,
            latent=4,
            rate=1e-2,
            size=128,
            free_bits=free_bits,
            schedule="constant",
        )
        return float(vae.losses(data, Step(0, 1.0, rng()))["kl"])

    assert kl(0.0) < 0.3
    assert kl(0.5) > 0.5 * 4 * 0.5


def test_free_bits_are_charged_per_dimension():
    vae = VAE(PLANE, VAEConfig(latent=3, free_bits=2.0), TrunkConfig(width=8, depth=1))
    batch = plane(50, 0)
    with torch.no_grad():
        terms = vae.losses(batch, Step(0, 1.0, rng()))
        kl = vae.posterior(batch, rng()).kl
    charged = kl.mean(0).clamp(min=2.0).sum()
    assert float(terms["loss"] - terms["nll"]) == pytest.approx(float(charged), rel=1e-5)
    assert float(charged) > float(terms["kl"])


def test_word_drop_hides_what_the_decoder_looks_back_at_and_nothing_else():
    vae = VAE(Space({"w": WORD}), VAEConfig(latent=2, word_drop=0.5), TrunkConfig(width=8, depth=1))
    batch, seen = words(500, 0), {}
    vae.decoder.register_forward_pre_hook(lambda _, given: seen.update(decoder=given[1]["w"]))
    vae.encoder.register_forward_pre_hook(lambda _, given: seen.update(encoder=given[0]["w"]))
    loss = vae.losses(batch, Step(0, 1.0, rng()))["loss"]
    assert bool(torch.isfinite(loss))
    hidden = seen["decoder"] == WORD.size
    assert float(hidden.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert torch.equal(seen["decoder"][~hidden], batch["w"][~hidden])
    assert torch.equal(seen["encoder"], batch["w"])


def test_losses_draw_from_the_steps_generator_alone():
    vae = VAE(Space({"w": WORD}), VAEConfig(latent=2, word_drop=0.3), TrunkConfig(width=8, depth=1))
    state = torch.get_rng_state()
    losses = [vae.losses(words(50, 0), Step(0, 1.0, rng(s)))["loss"].item() for s in (4, 4, 5)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(state, torch.get_rng_state())


# ------------------------------------------------------------ the contract


def test_capabilities_are_the_methods_it_has():
    own = {
        name for name in CAPABILITIES if getattr(VAE, name, None) is not getattr(Family, name, None)
    }
    assert VAE.capabilities == own
    assert registry().get("family", "vae").capabilities == own


@pytest.mark.parametrize(
    "facts", [{"latent": 0}, {"beta": -1}, {"beta": math.inf}, {"word_drop": 1.0}, {"colour": 1}]
)
def test_impossible_options_are_refused(facts):
    with pytest.raises(ValueError, match=r"1 validation error for VAEConfig"):
        VAEConfig(**facts)
