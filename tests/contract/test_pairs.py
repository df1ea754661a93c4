"""Every domain × every family that is registered, a new plugin's included, and stacks of two: 20
steps on its default data, and all that the contract promises of the result."""

from __future__ import annotations

import functools
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import gmkit
from gmkit.api import FamilyInfo
from gmkit.codecs import Batch
from gmkit.families import Family, Step
from gmkit.families.stack import Stack
from gmkit.learn import plan
from gmkit.plugins import registry
from gmkit.randomness import generator
from gmkit.run import Run
from gmkit.training.batches import in_order
from gmkit.training.session import new_family

STACKS = ("vae+diffusion", "vae+gan")
PAIRS = [(d, f) for d in registry().domains() for f in (*registry().families(), *STACKS)]
QUICK_IN = dict.fromkeys(("mixture", "copula", "smote", "noise"), ("augmentation",))
"""Families of numbers, which other domains reach by the same few lines: there they are slow."""
EVERY = [
    pytest.param(
        (d, f), marks=[] if d in QUICK_IN.get(f, (d,)) else [pytest.mark.slow], id=f"{d}×{f}"
    )
    for d, f in PAIRS
]
FIRST = {family: domain for domain, family in reversed(PAIRS)}
APART = {
    (FIRST[family], family)
    for family in ("vae", "gan", "diffusion", "trees", *STACKS)
    if family in FIRST
}
IN_PROCESSES = [
    # What a process of its own loads, or takes up again, is the loop's and the family's business:
    # one domain shows it, and a process for each of the others costs as much as all other tests.
    # These families are enough for every day; the rest is slow.
    pytest.param(p, marks=[] if p in APART else [pytest.mark.slow], id="×".join(p))
    for p in PAIRS
]
SETTINGS = [
    "data.limit=200",
    "training.steps=20",
    "training.save_steps=5",
    "training.batch_size=32",
    "training.warmup=1",
    "training.learning_rate=3e-3",
    "training.threads=1",
    "trunk.width=16",
    "trunk.depth=1",
]
FEW_STEPS = {
    "diffusion": ["family.steps=4"],
    "flow": ["family.steps=4"],
    "vae+diffusion": ["family.diffusion.steps=4"],
    "detector": ["family.splits=1", 'family.members=["forest", "neighbours", "tails"]'],
}
"""Of a drawing, or of learning: what is drawn need not be good."""
DRAWN = 40
"""Records that the evaluation at the end of training draws."""
CAPABILITIES = {"log_prob", "reconstruct", "encode", "complete", "critic", "denoise_error", "judge"}


SHORT = {"text": ["codec.window=24"]}
"""Records that are long by default, made quick."""


def settings(domain: str, family: str) -> list[str]:
    return [*SETTINGS, *FEW_STEPS.get(family, []), *SHORT.get(domain, [])]


class Pair(NamedTuple):
    """A trained pair and some of its held-out records as a batch."""

    domain: str
    family: str
    run: Run
    batch: Batch

    @property
    def model(self) -> Family:
        return self.run.family


@pytest.fixture(scope="module", params=EVERY)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: None
) -> Pair:
    """Trained once for all tests of the pair."""
    domain, family = request.param
    out = tmp_path_factory.mktemp("pairs") / f"{domain}-{family}"
    run = trained(
        domain=domain, model=family, settings=settings(domain, family), out=out, device="cpu"
    )
    held_out = in_order(run.dataset().part("test"), run.family.space, 4, "cpu")
    return Pair(domain, family, run, held_out[0])


def trained(**options: Any) -> Run:
    """``gmkit.train``, but for how many records it draws to be judged by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "evaluate", functools.partialmethod(Run.evaluate, DRAWN))
        return gmkit.train(**options)


def rng() -> torch.Generator:
    return generator(7, "pairs")


def total_loss(model: Family, batch: Batch) -> dict[str, float]:
    """Every player's loss at the end of training's schedules."""
    with torch.no_grad():
        return {
            player: float(model.losses(batch, Step(20, 1.0, rng(), player))["loss"])
            for player in model.players
        }


def untrained(pair: Pair) -> list[Family]:
    """The family as it began; of a stack also its second part as it began on the trained first,
    for latents of another first are no measure."""
    resolved = plan(
        domain=pair.domain, model=pair.family, settings=settings(pair.domain, pair.family)
    )
    fresh = new_family(resolved, pair.run.codec).eval()
    if not isinstance(fresh, Stack):
        return [fresh]
    trained = pair.model.state_dict()
    second = {n: v for n, v in fresh.state_dict().items() if n.startswith("second.")}
    upper = new_family(resolved, pair.run.codec).eval()
    upper.load_state_dict({**trained, **second})
    return [fresh, upper]


def rivals(model: Family, player: str) -> int:
    """How many players there are in the part of the model that this one belongs to."""
    part = player.rpartition(".")[0]
    return sum(other.rpartition(".")[0] == part for other in model.players)


def test_losses_are_finite_and_fall(pair: Pair, report: Callable[..., None]) -> None:
    data = pair.run.dataset().part("train")
    batch = in_order(data, pair.model.space, 256, "cpu")[0]
    after = total_loss(pair.model, batch)
    first, *upper = [total_loss(model, batch) for model in untrained(pair)]
    before = {
        player: upper[0][player] if upper and player.startswith(last_part(pair.model)) else loss
        for player, loss in first.items()
    }
    assert all(map(math.isfinite, [*before.values(), *after.values()]))
    for player, loss in after.items():
        if rivals(pair.model, player) == 1:
            assert loss < before[player], player
        else:  # players against each other need not all gain
            assert loss != before[player], player
    told = [f"{name} {before[name]:.3g} → {after[name]:.3g}" for name in before]
    abilities = " ".join(sorted(pair.model.capabilities))
    report(pair.domain, pair.family, ", ".join(told), abilities)


def last_part(model: Family) -> str:
    """What the names of the last part's players begin with."""
    return f"{model.players[-1].rpartition('.')[0]}."


def test_samples_are_records_of_the_domain(pair: Pair) -> None:
    table = pair.run.sample(7)
    assert table.num_rows == 7
    known = pair.run.dataset().records.schema
    assert table.schema.types == [known.field(name).type for name in table.schema.names]
    domain = pair.run.domain
    if domain.column:
        assert domain.column in table.schema.names
    valid = domain.validate(table.combine_chunks().to_batches()[0])
    assert len(valid) == 7
    assert pa.types.is_boolean(valid.type)


def test_the_same_seed_gives_the_same_bytes(pair: Pair) -> None:
    first = ipc(pair.run.sample(7, seed=3))
    assert ipc(pair.run.sample(7, seed=3)) == first
    assert ipc(pair.run.sample(7, seed=4)) != first


def ipc(table: pa.Table) -> list[bytes]:
    return [batch.serialize().to_pybytes() for batch in table.combine_chunks().to_batches()]


@pytest.mark.parametrize("pair", IN_PROCESSES, indirect=True)
def test_a_fresh_process_draws_the_same(command: Any, pair: Pair, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    words = ["sample", pair.run.folder, "-n", 7, "--seed", 3, "--device", "cpu", "--out", out]
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    assert pq.read_table(out).equals(pair.run.sample(7, seed=3))
    assert ipc(gmkit.load(pair.run.folder, device="cpu").sample(7, seed=3)) == ipc(
        pair.run.sample(7, seed=3)
    )


@pytest.mark.parametrize("pair", IN_PROCESSES, indirect=True)
def test_resumed_after_a_kill_equals_straight(command: Any, pair: Pair, tmp_path: Path) -> None:
    run = tmp_path / "run"
    sets = [word for setting in settings(pair.domain, pair.family) for word in ("--set", setting)]
    words = ["--domain", pair.domain, "--model", pair.family, "--device", "cpu", "--out", run]
    running = command.start("train", *words, *sets)
    # a family that learns by itself may do so in a step or two
    long = any((pair.run.folder / "checkpoints").glob("step-0000002*"))
    middle = "step-0000001*" if long else "step-*"
    running.until(lambda: any((run / "checkpoints").glob(middle)))
    time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    assert not (run / "manifest.json").exists()
    trained(out=run, resume=True)
    straight = pair.run.folder / "model.safetensors"
    assert (run / "model.safetensors").read_bytes() == straight.read_bytes()


def test_capabilities_are_the_methods_there_are(pair: Pair) -> None:
    info = registry().get("family", pair.family)
    assert isinstance(info, FamilyInfo)
    declared = info.capabilities
    kind = type(pair.model)
    assert declared == kind.capabilities <= CAPABILITIES
    for name in CAPABILITIES:
        own = getattr(kind, name, None)
        present = callable(own) and own is not getattr(Family, name, None)
        assert present == (name in declared), name


def needs(pair: Pair, capability: str) -> None:
    if capability not in pair.model.capabilities:
        pytest.skip(f"{pair.family} has no {capability}")


def test_log_prob(pair: Pair) -> None:
    needs(pair, "log_prob")
    scores = pair.model.log_prob(pair.batch, rng(), 2)
    rows = len(next(iter(pair.batch.values())))
    assert scores.total.shape == (rows,)
    assert scores.total.isfinite().all()
    parts = torch.stack(list(scores.fields.values())).sum(0)
    torch.testing.assert_close(parts, scores.total, rtol=1e-4, atol=1e-3)
    assert set(pair.model.space.names) <= set(scores.fields)


def test_reconstruct(pair: Pair) -> None:
    needs(pair, "reconstruct")
    check_records(pair, pair.model.reconstruct(pair.batch, rng()))


def check_records(pair: Pair, batch: Batch) -> None:
    """Well-formed values of every field, from which the codec makes as many records."""
    rows = len(next(iter(pair.batch.values())))
    assert set(batch) >= set(pair.model.space.names)
    assert all(len(value) == rows for value in batch.values())
    assert pair.run.codec.decode(batch).num_rows == rows


def test_encode(pair: Pair) -> None:
    needs(pair, "encode")
    latents = pair.model.encode(pair.batch)
    assert latents.dim() == 2
    assert len(latents) == len(next(iter(pair.batch.values())))
    assert latents.isfinite().all()
    torch.testing.assert_close(pair.model.encode(pair.batch), latents)


@pytest.mark.usefixtures("few_rounds")
def test_complete_keeps_what_is_known(pair: Pair) -> None:
    """Nothing of the first record, all of the last, a part of those between."""
    needs(pair, "complete")
    names = pair.model.space.names
    chance = {n: torch.rand(pair.batch[n].shape, generator=rng()) for n in names}
    rows = len(next(iter(pair.batch.values())))
    share = torch.linspace(0, 1, rows)
    known = {n: c < share.reshape(-1, *[1] * (c.dim() - 1)) for n, c in chance.items()}
    completed = pair.model.complete(pair.batch, known, rng())
    check_records(pair, completed)
    for name in names:
        given = pair.batch[name]
        same = completed[name][:, : given.shape[1]] if given.dim() > 1 else completed[name]
        assert torch.equal(same[known[name]], given[known[name]])
