"""Randomised SMILES: the same molecules written in other ways, for training alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.datasets import screening
from rdkit import Chem

import gmkit
from gmkit.errors import ConfigError
from gmkit.training.dataset import varied


@pytest.fixture(scope="module", params=["smiles", "selfies"])
def coded(request) -> tuple[MoleculeCodec, pa.RecordBatch]:
    smiles = next(iter(screening()))["smiles"][:200]
    codec = MoleculeCodec({"notation": request.param, "tokens": 64})
    prepared = codec.prepare(pa.RecordBatch.from_pydict({"smiles": smiles})).records
    return codec.fit([prepared]), prepared


def test_variants_are_the_same_molecules(coded):
    codec, records = coded
    before, after = codec.encode(records), codec.encode(codec.vary(records, _rng(1)))
    changed = (before["tokens"] != after["tokens"]).any(1)
    assert float(changed.float().mean()) > 0.8
    back = codec.decode(after)["smiles"].to_pylist()
    assert [Chem.CanonSmiles(text) for text in back] == records["smiles"].to_pylist()


def test_the_seed_decides(coded):
    codec, records = coded
    table = pa.Table.from_batches([records])
    first, again, other = (varied(table, codec, 3, seed) for seed in (5, 5, 6))
    assert len(first) == 2
    assert all(torch.equal(a["tokens"], b["tokens"]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["tokens"], first[1]["tokens"])
    assert not torch.equal(first[0]["tokens"], other[0]["tokens"])


def test_what_cannot_be_encoded_stays_canonical():
    codec = MoleculeCodec({"notation": "smiles", "tokens": 0})
    records = codec.prepare(pa.RecordBatch.from_pydict({"smiles": ["CCO", "CCC"]})).records
    codec.fit([records])  # no branches, which OCC would not need, but C(C)O would
    for seed in range(10):
        varied_texts = codec.decode(codec.encode(codec.vary(records, _rng(seed))))["smiles"]
        assert set(varied_texts.to_pylist()) <= {"CCO", "OCC", "CCC"}


@pytest.mark.slow
def test_training_sees_them(tmp_path):
    data = tmp_path / "few.smi"
    data.write_text("\n".join(next(iter(screening()))["smiles"][:200].to_pylist()))
    settings = {"data": {"variants": 3}, "training": {"steps": 8}, "trunk": {"width": 16}}
    settings["codec"] = {"notation": "selfies"}  # untrained, it draws small ones, quick to judge
    options = {"domain": "molecules", "model": "vae", "data": data, "settings": settings}
    first = gmkit.train(**options, out=tmp_path / "a")
    plain = gmkit.train(
        **options | {"settings": settings | {"data": {"variants": 1}}}, out=tmp_path / "b"
    )
    weights = [list(run.family.parameters()) for run in (first, plain)]
    assert not all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_where_there_is_one_way_it_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"data\.variants is 2, but images are written in one way"
    ):
        gmkit.train(
            domain="images", model="vae", settings=["data.variants=2"], out=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
