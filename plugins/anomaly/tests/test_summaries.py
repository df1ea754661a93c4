"""What a field of many elements amounts to: too plain is unusual as well."""

from __future__ import annotations

import torch
from gmkit_anomaly.detector import Detector, DetectorConfig

from gmkit.codecs import Batch
from gmkit.families import Step
from gmkit.fields import Categorical, Real, Space
from gmkit.randomness import generator
from gmkit.scoring.summaries import Summaries
from gmkit.trunks import TrunkConfig

TEXT = Categorical(size=5, shape=(8,), layout="sequence", end=0)
PICTURE = Real(shape=(1, 6, 6), layout="grid2d")
SPACE = Space({"text": TEXT, "picture": PICTURE})


def known(rows: int = 200) -> Batch:
    """Words of 1 2 1 2 … with a 3 here and there, of 4 to 8 letters; pictures of noise."""
    rng = torch.Generator().manual_seed(0)
    text = torch.tensor([1, 2] * 4).repeat(rows, 1)
    text[torch.rand(rows, 8, generator=rng) < 0.2] = 3
    ends = torch.randint(4, 9, (rows, 1), generator=rng)
    text = torch.where(torch.arange(8) < ends, text, 0)
    return {"text": text, "picture": torch.randn(rows, 1, 6, 6, generator=rng)}


def of(text: list[int], picture: torch.Tensor) -> dict[str, float]:
    summaries = Summaries(SPACE)
    summaries.fit(known())
    batch = {"text": torch.tensor([text]), "picture": picture.reshape(1, 1, 6, 6)}
    return {name: float(value) for name, value in summaries.of(batch).items()}


def test_length_variety_rarity_and_oddness() -> None:
    usual = of([1, 2, 1, 2, 1, 2, 0, 0], torch.zeros(36))
    assert usual["text.length"] == 6
    assert abs(usual["text.variety"] - 0.693) < 0.001
    assert of([1, 1, 1, 1, 1, 1, 1, 1], torch.zeros(36))["text.variety"] == 0
    assert of([4, 4, 4, 0, 0, 0, 0, 0], torch.zeros(36))["text.rarity"] > usual["text.rarity"] + 2
    backwards = of([2, 2, 2, 1, 1, 1, 0, 0], torch.zeros(36))
    assert backwards["text.rarity"] < usual["text.rarity"] + 0.1  # the same letters,
    assert backwards["text.oddness"] > usual["text.oddness"] + 1  # in another order
    assert of([0] * 8, torch.zeros(36))["text.length"] == 0


def test_mean_spread_and_roughness() -> None:
    blank = of([0] * 8, torch.full((36,), 0.5))
    assert [blank[f"picture.{n}"] for n in ("mean", "spread", "roughness")] == [0.5, 0, 0]
    slope = torch.arange(6.0).repeat(6)
    steps = of([0] * 8, slope)
    shuffled = of([0] * 8, slope[torch.randperm(36, generator=torch.Generator().manual_seed(1))])
    assert steps["picture.roughness"] == 0.5  # a step of 1 along one way, none along the other
    assert abs(shuffled["picture.spread"] - steps["picture.spread"]) < 1e-5
    assert shuffled["picture.roughness"] > 1.5


def test_a_record_amounts_to_the_same_alone() -> None:
    summaries, batch = Summaries(SPACE), known(40)
    summaries.fit(batch)
    whole = summaries.of(batch)
    for row in (0, 17, 39):
        alone = summaries.of({name: value[row : row + 1] for name, value in batch.items()})
        assert all(float(alone[name]) == float(whole[name][row]) for name in whole)


def test_what_is_too_plain_is_found() -> None:
    """A blank picture and one letter over and over: element by element the likeliest there are."""
    batch = known()
    batch["text"][7], batch["picture"][7] = 1, 0.0
    detector = Detector(
        SPACE,
        DetectorConfig(contaminated=True, splits=1, members=["forest", "linear"]),
        TrunkConfig(),
    )
    step = 0
    while detector.learned < 1:
        rng = generator(0, "step", step)
        detector.learn(batch, Step(step, detector.learned, rng))
        step += 1
    judged = detector.judge(batch)
    assert int(judged.score.argmax()) == 7
