"""Conditions of molecules: columns of the data and computed properties; and lengths."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from gmkit_molecules import properties
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.domain import MoleculesDomain
from rdkit.Chem import Mol
from rich.console import Console

from gmkit.codecs.codec import CodecState
from gmkit.errors import ArtifactError, ConfigError, DataError
from gmkit.fields import Categorical

SMILES = ["OCC", "C1=CC=CC=C1", "CC(=O)O", "CCN", "CC(=O)NC1=CC=C(C=C1)O", "C", "CCCCCCCC"] * 3
CONDITION = ["qed", "activity", "rings", "site"]


def raw(smiles: list[str] = SMILES) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "smiles": smiles,
            "activity": [0.5 * number for number in range(len(smiles))],
            "site": ["active" if number % 2 else "other" for number in range(len(smiles))],
            "left": ["alone"] * len(smiles),
        }
    )


@pytest.fixture(scope="module")
def codec() -> MoleculeCodec:
    made = MoleculeCodec({"condition": CONDITION, "tokens": 5})
    return made.fit([made.prepare(raw()).records])


def test_properties_are_computed_and_columns_taken() -> None:
    made = MoleculeCodec({"condition": CONDITION}).prepare(raw())
    assert made.rejects == []
    assert made.records.schema.names == [
        *("smiles", "activity", "site", "left", "gmkit:selfies", "qed", "rings"),
    ]
    assert made.records["qed"].to_pylist()[:2] == pytest.approx([0.4068, 0.4426], abs=1e-4)
    assert made.records["rings"].to_pylist()[:3] == [0, 1, 0]
    assert made.records["activity"].to_pylist() == raw()["activity"].to_pylist()
    again = MoleculeCodec({"condition": CONDITION}).prepare(made.records)
    assert again.records.equals(made.records)


def test_a_column_of_the_data_wins_over_the_property_of_its_name() -> None:
    records = pa.RecordBatch.from_pydict({"smiles": ["OCC"], "qed": [7.5]})
    made = MoleculeCodec({"condition": ["qed"]}).prepare(records)
    assert made.records["qed"].to_pylist() == [7.5]


def test_rejects_of_both_kinds_are_numbered_in_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def undefined_for_ethane(molecules: list[Mol], names: list[str]) -> dict[str, np.ndarray]:
        return {"qed": np.array([np.nan if m.GetNumAtoms() == 2 else 0.5 for m in molecules])}

    monkeypatch.setattr(properties, "properties", undefined_for_ethane)
    codec = MoleculeCodec({"condition": ["activity", "qed"]})
    records = pa.RecordBatch.from_pydict(
        {
            "smiles": ["C", "X", "CCCC", "CC", "CCC", None],
            "activity": [1.0, 2.0, None, 3.0, 4.0, None],
        }
    )
    made = codec.prepare(records, first_row=10)
    assert made.records["smiles"].to_pylist() == ["C", "CCC"]
    assert [(r.row, r.column) for r in made.rejects] == [
        (11, "smiles"),
        (12, "activity"),
        (13, "qed"),
        (15, "smiles"),
    ]
    assert made.rejects[2].reason == "nan is not a finite number"
    fitted = codec.fit([made.records])
    with pytest.raises(DataError, match="missing value") as told:
        fitted.encode(records.slice(2, 1))
    assert told.value.column == "activity"


def test_wrong_names_are_told() -> None:
    with pytest.raises(DataError, match="no column 'activty' for the condition") as told:
        MoleculeCodec({"condition": ["activty"]}).prepare(raw())
    assert told.value.hint == "Did you mean 'activity'?"
    with pytest.raises(ConfigError, match="'smiles' is what the model makes"):
        MoleculeCodec({"condition": ["smiles"]})
    tokens = raw().append_column("tokens", raw()["activity"])
    codec = MoleculeCodec({"condition": ["tokens"]})
    with pytest.raises(ConfigError, match="'tokens' is what the model makes"):
        _ = codec.fit([codec.prepare(tokens).records]).space


def test_space_batch_and_back(codec: MoleculeCodec) -> None:
    space = codec.space
    assert space.condition is not None
    assert space.condition.names == tuple(CONDITION)
    assert [f.kind for f in space.condition.fields.values()] == [
        *("real", "real", "real", "categorical"),  # properties are floats, counts too
    ]
    batch = codec.encode(raw())
    space.check(space.pick(batch, slice(None), "cpu"))
    prepared = codec.encode(codec.prepare(raw()).records)
    assert list(batch) == ["tokens", *CONDITION]
    assert all(torch.equal(value, prepared[name]) for name, value in batch.items())
    decoded = codec.decode(batch)
    assert decoded.schema.names == ["smiles", *CONDITION]
    assert decoded["site"].to_pylist() == raw()["site"].to_pylist()
    assert decoded["activity"].to_pylist() == raw()["activity"].to_pylist()
    again = codec.prepare(decoded)
    assert again.rejects == []
    assert codec.decode({"tokens": batch["tokens"]}).schema.names == ["smiles"]


def test_merged_parts_equal_the_whole(codec: MoleculeCodec) -> None:
    records = codec.prepare(raw()).records
    parts = [
        MoleculeCodec(codec.config.model_dump()).fit([records.slice(a, b - a)])
        for a, b in pairwise([0, 2, 9, len(records)])
    ]
    assert parts[2].merge(parts[0]).merge(parts[1]).state() == codec.state()


def test_state_goes_through_json(codec: MoleculeCodec) -> None:
    state = codec.state()
    again = MoleculeCodec.from_state(CodecState(json.loads(json.dumps(state.facts))))
    assert again.state() == state
    assert again.space == codec.space
    assert again.conditions.names == tuple(CONDITION)
    assert all(torch.equal(v, codec.encode(raw())[n]) for n, v in again.encode(raw()).items())
    assert pickle.loads(pickle.dumps(codec)).state() == state  # noqa: S301


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["conditions"], None, "no list of columns"),
        (["conditions", "columns"], [], "not those of its config"),
        (["conditions", "columns", 0, "scale"], 0.0, "not a description of a condition"),
        (["config", "condition"], ["qed"], "not those of its config"),
        (["config", "condition"], ["qed", "qed"], "config makes no sense"),
        (["config", "condition"], "qed", "config makes no sense"),
        (["lengths"], [1], "not counts of 0 … "),
        (["lengths"], None, "not counts of 0 … "),
        (["lengths", 0], -1, "not counts of molecules"),
        (["lengths", 0], 0.5, "not counts of molecules"),
        (["lengths", 0], 2**60, "not counts of molecules"),
    ],
)
def test_hostile_states_are_refused(
    codec: MoleculeCodec, path: list[str | int], value: object, reason: str
) -> None:
    facts = copy.deepcopy(codec.state().facts)
    inner = facts
    for key in path[:-1]:
        inner = inner[key]  # type: ignore[index]
    inner[path[-1]] = value  # type: ignore[index]
    with pytest.raises(ArtifactError, match=reason):
        MoleculeCodec.from_state(CodecState(facts))
    facts["lengths"] = [0] * len(codec.state().facts["lengths"])
    with pytest.raises(ArtifactError):
        MoleculeCodec.from_state(CodecState(facts))


def test_lengths_are_those_of_the_data(codec: MoleculeCodec) -> None:
    """Of different molecules, each counted once."""
    records = codec.prepare(raw()).records.slice(0, 7)
    field = codec.space.fields["tokens"]
    assert isinstance(field, Categorical)
    assert field.length_shares is not None
    lengths = field.length_of(codec.encode(records)["tokens"].long())
    assert torch.bincount(lengths, minlength=field.shape[0] + 1).tolist() == pytest.approx(
        [7 * share for share in field.length_shares]
    )


def test_preview_shows_what_was_asked() -> None:
    console = Console(width=200, record=True, file=None, quiet=False)
    records = pa.RecordBatch.from_pydict({"smiles": ["OCC", None], "site": ["[b]", "other"]})
    with console.capture() as shown:
        console.print(MoleculesDomain().preview(records))
    text = shown.get()
    assert "asked: site" in text and "[b]" in text and "0.41" in text
