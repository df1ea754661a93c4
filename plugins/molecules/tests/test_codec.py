"""The molecules codec: records ⇄ tokens, learning, merging, storage."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from gmkit_molecules.chemistry import canonical, parse
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.datasets import nci, screening
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gmkit.codecs.codec import CodecState
from gmkit.errors import ArtifactError, ConfigError, DataError

SAMPLE = 1500


def batch(smiles: list[str | None], **columns: list[object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"smiles": pa.array(smiles, pa.string()), **columns})


def rows(n: int) -> list[str]:
    """Every so manieth screening molecule."""
    smiles = pa.Table.from_batches(screening()).column("smiles").to_pylist()
    return smiles[:: len(smiles) // n][:n]


@pytest.fixture(scope="module")
def prepared() -> pa.RecordBatch:
    return MoleculeCodec({}).prepare(batch(rows(SAMPLE))).records


@pytest.fixture(scope="module")
def codec(prepared: pa.RecordBatch) -> MoleculeCodec:
    return MoleculeCodec({}).fit([prepared])


@pytest.fixture(scope="module", params=["selfies", "smiles", "kekule"])
def small(request: pytest.FixtureRequest) -> MoleculeCodec:
    codec = MoleculeCodec({"notation": request.param, "tokens": 20})
    return codec.fit([codec.prepare(batch(rows(100))).records])


# ---------------------------------------------------------------- records


def test_prepare_canonicalises_and_keeps_other_columns() -> None:
    made = MoleculeCodec({}).prepare(batch(["OCC", "C1=CC=CC=C1"], name=["a", "b"], p=[1, 2]))
    assert made.rejects == []
    assert made.records.to_pydict() == {
        "smiles": ["CCO", "c1ccccc1"],
        "name": ["a", "b"],
        "p": [1, 2],
        "gmkit:selfies": ["[C][C][O]", "[C][=C][C][=C][C][=C][Ring1][=Branch1]"],
    }


def test_prepare_rejects_with_row_value_and_reason() -> None:
    codec = MoleculeCodec({"max_length": 5})
    values = ["CCO", None, "", "C1CC", "CCO ethanol", "C" * 6, "Cl[I]Cl", "C"]
    made = codec.prepare(batch(values, name=list("abcdefgh")), first_row=100)
    assert made.records["name"].to_pylist() == ["a", "h"]
    assert [(r.row, r.column, r.value) for r in made.rejects] == [
        (101, "smiles", ""),
        (102, "smiles", ""),
        (103, "smiles", "C1CC"),
        (104, "smiles", "CCO ethanol"),
        (105, "smiles", "CCCCCC"),
        (106, "smiles", "Cl[I]Cl"),
    ]
    reasons = [reject.reason for reject in made.rejects]
    assert reasons[0].startswith("missing value")
    assert reasons[1:3] == ["empty SMILES", "SMILES unclosed ring"]
    assert "text after the SMILES" in reasons[3]
    assert reasons[4] == "6 tokens, more than max_length 5"
    assert "I" in reasons[5] and "at most 1 allowed" in reasons[5]


def test_prepare_of_no_rows_and_of_only_bad_rows() -> None:
    codec = MoleculeCodec({})
    assert codec.prepare(batch([])).records.num_rows == 0
    made = codec.prepare(batch([None, "X"]))
    assert made.records.num_rows == 0
    assert made.records.schema.names == ["smiles", "gmkit:selfies"]
    assert len(made.rejects) == 2


def test_prepare_takes_dictionary_and_large_strings() -> None:
    for kind in (pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        column = pa.array(["OCC"], pa.string()).cast(kind)
        made = MoleculeCodec({}).prepare(pa.RecordBatch.from_pydict({"smiles": column}))
        assert made.records["smiles"].to_pylist() == ["CCO"]


def test_wrong_columns_are_told() -> None:
    codec = MoleculeCodec({})
    with pytest.raises(DataError, match="no column 'smiles' among x"):
        codec.prepare(pa.RecordBatch.from_pydict({"x": ["C"]}))
    with pytest.raises(DataError, match="column 'smiles': holds int64, not text"):
        codec.prepare(pa.RecordBatch.from_pydict({"smiles": [1]}))


# ---------------------------------------------------------------- tensors


def test_space_and_tensors(codec: MoleculeCodec, prepared: pa.RecordBatch) -> None:
    space = codec.space
    assert space.names == ("tokens",)
    field = space.fields["tokens"]
    ids = codec.encode(prepared)["tokens"]
    assert ids.dtype == torch.int16
    assert ids.shape == (SAMPLE, *field.shape)
    assert (field.layout, field.end) == ("sequence", 0)
    assert ids.min() >= 0
    assert ids.max() < field.size
    lengths = (ids != 0).sum(1)
    assert lengths.max() + 1 == field.shape[0]  # room for one end, and no more
    assert (ids.ne(0).long().cumprod(1).sum(1) == lengths).all()  # nothing after the first end
    assert lengths.float().mean() < 14  # byte pairs shorten about 35 atom tokens to this


def test_all_come_back(codec: MoleculeCodec, prepared: pa.RecordBatch) -> None:
    back = codec.decode(codec.encode(prepared))
    assert back.schema.names == ["smiles"]
    decoded = [canonical(text) for text in back["smiles"].to_pylist()]
    assert decoded == prepared["smiles"].to_pylist()


@pytest.mark.slow
@pytest.mark.parametrize("notation", ["selfies", "smiles", "kekule"])
def test_every_screening_molecule_comes_back(notation: str) -> None:
    codec = MoleculeCodec({"notation": notation})
    made = [codec.prepare(part) for part in screening()]
    assert not any(part.rejects for part in made)
    assert sum(part.records.num_rows for part in made) == 10_000
    codec.fit(part.records for part in made)
    for part in made:
        back = codec.decode(codec.encode(part.records))["smiles"].to_pylist()
        assert [canonical(text) for text in back] == part.records["smiles"].to_pylist()


def test_raw_records_encode_like_prepared_ones(small: MoleculeCodec) -> None:
    raw = batch(rows(100)[:10])
    prepared = small.prepare(raw).records
    assert torch.equal(small.encode(raw)["tokens"], small.encode(prepared)["tokens"])


def test_rows_do_not_depend_on_neighbours(small: MoleculeCodec) -> None:
    raw = batch(rows(100)[:10])
    whole = small.encode(raw)["tokens"]
    parts = [small.encode(raw.slice(i, 1))["tokens"] for i in range(10)]
    assert torch.equal(whole, torch.cat(parts))


def test_zero_rows(small: MoleculeCodec) -> None:
    ids = small.encode(batch([]))["tokens"]
    assert ids.shape == (0, *small.space.fields["tokens"].shape)
    assert small.decode({"tokens": ids}).num_rows == 0


def test_what_encode_cannot_take(small: MoleculeCodec) -> None:
    with pytest.raises(DataError, match="row 1, column 'smiles': SMILES unclosed ring"):
        small.encode(batch(["C", "C1CC"]))
    with pytest.raises(DataError, match=r"row 1, column 'smiles': token '\[Se.*does not occur"):
        small.encode(batch(["C", "C[SeH]"]))
    with pytest.raises(DataError, match=r"row 0, column 'smiles': .* tokens, at most"):
        small.encode(batch(["C1CC1N" * 40]))


@settings(max_examples=60)
@given(data=st.data())
def test_any_tokens_decode(small: MoleculeCodec, data: st.DataObject) -> None:
    field = small.space.fields["tokens"]
    ids = st.lists(st.integers(0, field.size - 1), min_size=field.shape[0], max_size=field.shape[0])
    tokens = torch.tensor(data.draw(st.lists(ids, min_size=1, max_size=4)))
    for smiles in small.decode({"tokens": tokens})["smiles"].to_pylist():
        if small.config.notation == "selfies":
            assert smiles == "" or parse(smiles) is not None
        else:
            assert isinstance(smiles, str)


def test_random_tokens_of_odd_chemistry_are_molecules(prepared: pa.RecordBatch) -> None:
    odd = pa.Table.from_batches(nci()).combine_chunks().to_batches()[0].slice(0, 500)
    codec = MoleculeCodec({"tokens": 50})
    codec.fit([codec.prepare(odd).records])
    field = codec.space.fields["tokens"]
    ids = np.random.default_rng(0).integers(1, field.size, (300, field.shape[0]))
    smiles = codec.decode({"tokens": torch.from_numpy(ids)})["smiles"].to_pylist()
    assert [text for text in smiles if text and parse(text) is None] == []
    assert sum(text == "" for text in smiles) <= 3


def test_nothing_but_end_is_the_empty_string(small: MoleculeCodec) -> None:
    assert small.decode({"tokens": torch.zeros(2, 5, dtype=torch.int16)}).to_pydict() == {
        "smiles": ["", ""]
    }


# ---------------------------------------------------------------- learning


def parts_of(record: pa.RecordBatch, cuts: list[int]) -> Iterator[pa.RecordBatch]:
    edges = [0, *sorted(cuts), record.num_rows]
    for start, stop in pairwise(edges):
        yield record.slice(start, stop - start)


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 200), min_size=1, max_size=4))
def test_merged_parts_equal_the_whole(prepared: pa.RecordBatch, cuts: list[int]) -> None:
    record = prepared.slice(0, 200)
    whole = MoleculeCodec({"tokens": 30}).fit([record])
    merged, *rest = [MoleculeCodec({"tokens": 30}).fit([p]) for p in parts_of(record, cuts)]
    for part in rest:
        merged = merged.merge(part)
    assert merged.state() == whole.state()


def test_order_and_batches_do_not_matter(prepared: pa.RecordBatch) -> None:
    record = prepared.slice(0, 200)
    turned = record.take(pa.array(range(199, -1, -1)))
    again = MoleculeCodec({"tokens": 30}).fit(parts_of(turned, [50, 120]))
    assert again.state() == MoleculeCodec({"tokens": 30}).fit([record]).state()


def test_merging_needs_fresh_codecs_of_equal_options(codec: MoleculeCodec) -> None:
    restored = MoleculeCodec.from_state(codec.state())
    with pytest.raises(ConfigError, match="only codecs fresh from fit"):
        codec.merge(restored)
    with pytest.raises(ConfigError, match="different options"):
        codec.merge(MoleculeCodec({"tokens": 0}).fit([]))


def test_unfitted_and_empty_codecs_say_so() -> None:
    with pytest.raises(ConfigError, match="not fitted"):
        MoleculeCodec({}).encode(batch(["C"]))
    with pytest.raises(DataError, match="no usable record"):
        _ = MoleculeCodec({}).fit([batch([])]).space


def test_wrong_options_are_refused() -> None:
    for config in ({"tokens": -1}, {"notation": "inchi"}, {"max_length": 0}, {"other": 1}):
        with pytest.raises(ValidationError):
            MoleculeCodec(config)


# ---------------------------------------------------------------- storage


def test_state_goes_through_json(small: MoleculeCodec) -> None:
    state = small.state()
    assert state.tensors == {}
    again = MoleculeCodec.from_state(CodecState(json.loads(json.dumps(state.facts))))
    assert again.state() == state
    assert again.space == small.space
    raw = batch(rows(100)[:20])
    assert torch.equal(again.encode(raw)["tokens"], small.encode(raw)["tokens"])


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["length"], 0, "length 0 is not in"),
        (["length"], 10**12, "is not in 1"),
        (["length"], "9", "is not in 1"),
        (["length"], True, "is not in 1"),
        (["config"], None, "is not a table"),
        (["config", "notation"], "os:system", "config makes no sense"),
        (["config", "loader"], "os:system", "config makes no sense"),
        (["vocabulary"], [], "vocabulary makes no sense"),
        (["vocabulary", "merges"], [[1, 10**9]], "vocabulary makes no sense"),
        (["extra"], 1, "the molecules codec needs"),
    ],
)
def test_hostile_states_are_refused(
    small: MoleculeCodec, path: list[str], value: object, reason: str
) -> None:
    facts = copy.deepcopy(small.state().facts)
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ArtifactError, match=reason):
        MoleculeCodec.from_state(CodecState(facts))


def test_foreign_tokens_decode_to_something() -> None:
    facts = {
        "config": {"notation": "selfies"},
        "vocabulary": {"atoms": ["[", "[?]", "[CH9]", "\x00", "]"], "merges": []},
        "length": 4,
        "lengths": [0, 1, 2, 0, 0],
        "conditions": {"columns": []},
    }
    facts["vocabulary"]["atoms"].sort()  # type: ignore[index]
    codec = MoleculeCodec.from_state(CodecState(facts))
    ids = torch.tensor([[i, j, k] for i in range(6) for j in range(6) for k in range(6)])
    assert all(isinstance(s, str) for s in codec.decode({"tokens": ids})["smiles"].to_pylist())


def test_pickles(small: MoleculeCodec) -> None:
    again = pickle.loads(pickle.dumps(small))  # noqa: S301
    assert again.state() == small.state()
    again.merge(small)
    assert pickle.loads(pickle.dumps(MoleculeCodec({}).prepare))(batch(["OCC"]))  # noqa: S301


def test_workers_need_no_torch() -> None:
    code = (
        "import sys, pyarrow as pa\n"
        "from gmkit_molecules.codec import MoleculeCodec\n"
        "c = MoleculeCodec({'tokens': 3})\n"
        "r = c.prepare(pa.RecordBatch.from_pydict({'smiles': ['OCC', 'X']})).records\n"
        "c.fit([r]).state()\n"
        "print(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


KEPT = {
    "salt": "CC(=O)[O-].[Na+]",
    "isotope": "[2H]C([2H])([2H])O",
    "heavy isotope": "[13CH3]C(=O)O",
    "charges": "C[N+](C)(C)CC(=O)[O-]",
    "stereo at an atom": "C[C@H](N)C(=O)O",
    "stereo at a bond": "C/C=C/C(=O)O",
    "aromatic charge": "C[n+]1ccccc1.[Cl-]",
    "fused rings": "c1ccc2[nH]c3ccccc3c2c1",
}


@pytest.mark.parametrize("notation", ["selfies", "smiles", "kekule"])
def test_salts_isotopes_charges_and_stereo_are_kept(notation: str) -> None:
    codec = MoleculeCodec({"notation": notation, "tokens": 4})
    made = codec.prepare(batch(list(KEPT.values())))
    assert not made.rejects
    codec.fit([made.records])
    back = codec.decode(codec.encode(made.records))["smiles"].to_pylist()
    assert [canonical(text) for text in back] == [canonical(text) for text in KEPT.values()]
