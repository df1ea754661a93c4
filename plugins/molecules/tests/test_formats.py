"""SMILES and structure-data files."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pyarrow as pa
import pytest
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.formats import FORMATS
from gmkit_molecules.sdf import StructureDataFile, StructureDataWriter
from gmkit_molecules.smi import SmilesFile
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from gmkit.errors import DataError


def read(path: Path, batch_rows: int = 100, columns: list[str] | None = None) -> pa.Table:
    ending = "".join(path.suffixes)
    return pa.Table.from_batches(FORMATS[ending].read(path, columns, batch_rows))


def write(path: Path, table: pa.Table) -> Path:
    writer = FORMATS["".join(path.suffixes)].open_writer(path, table.schema)
    for batch in table.to_batches():
        writer.write(batch)
    writer.close()
    return path


# ---------------------------------------------------------------- pictures


def test_a_picture_shows_the_molecules_and_cannot_be_read(tmp_path: Path) -> None:
    table = pa.table({"smiles": ["CCO", "no molecule", None, "c1ccccc1"]})
    svg = write(tmp_path / "x.svg", table).read_text()
    assert "<svg" in svg and "width='440px' height='170px'" in svg
    png = write(tmp_path / "x.png", table).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (2 * 220, 170)  # two molecules
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "x.png")
    with pytest.raises(DataError, match="no molecule to draw"):
        write(tmp_path / "y.svg", pa.table({"smiles": ["no molecule"]}))
    with pytest.raises(DataError, match="'smiles'"):
        write(tmp_path / "z.svg", pa.table({"x": [1]}))


# ---------------------------------------------------------------- .smi


def test_smi_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.smi"
    path.write_bytes(
        b"\xef\xbb\xbf# made by hand\r\nCCO ethyl alcohol\r\n\r\nCC\tethane\n"
        b"  C  \n\tno molecule\nN#N"
    )
    assert read(path).to_pylist() == [
        {"smiles": "CCO", "name": "ethyl alcohol"},
        {"smiles": "CC", "name": "ethane"},
        {"smiles": "C", "name": None},
        {"smiles": None, "name": "no molecule"},
        {"smiles": "N#N", "name": None},
    ]


@pytest.mark.parametrize("header", ["smiles name", "SMILES\tID", "canonical_smiles"])
def test_smi_header_is_no_record(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.smiles"
    path.write_text(f"{header}\nCCO a\nsmiles b\n")
    assert read(path)["smiles"].to_pylist() == ["CCO", "smiles"]


def test_smi_batches_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.smi"
    path.write_text("C a\n" * 25)
    batches = list(SmilesFile().read(path, ["smiles"], 10))
    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    assert batches[0].schema.names == ["smiles"]
    assert SmilesFile().schema(path).names == ["smiles", "name"]
    assert SmilesFile().count(path) is None


@pytest.mark.parametrize("ending", [".smi", ".smi.gz", ".smiles", ".smiles.gz"])
def test_smi_round_trip(tmp_path: Path, ending: str) -> None:
    table = pa.table(
        {"smiles": ["CCO", None, "C"], "x": [1, 2, 3], "name": ["a\tb", "only a name", None]}
    )
    path = write(tmp_path / f"x{ending}", table)
    assert read(path).to_pylist() == [
        {"smiles": "CCO", "name": "a b"},
        {"smiles": None, "name": "only a name"},
        {"smiles": "C", "name": None},
    ]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    table = pa.table({"smiles": ["CCO", "C1CC1"]})
    for ending in (".smi.gz", ".sdf.gz"):
        first, second = (write(tmp_path / f"{n}{ending}", table).read_bytes() for n in "ab")
        assert first == second


def test_smi_faults(tmp_path: Path) -> None:
    path = tmp_path / "x.smi"
    path.write_bytes(b"CCO\nC\xff\n")
    with pytest.raises(DataError, match=r"x\.smi: line 2 is not UTF-8 text"):
        read(path)
    path.write_bytes(b"C" * (2 << 20))
    with pytest.raises(DataError, match="line 1 is over 1 MB"):
        read(path)
    with pytest.raises(DataError, match=r"absent\.smi: cannot be read"):
        read(tmp_path / "absent.smi")
    with pytest.raises(DataError, match="needs a column 'smiles'"):
        SmilesFile().open_writer(path, pa.schema([("x", pa.string())]))
    packed = tmp_path / "x.smi.gz"
    packed.write_bytes(b"not gzip")
    with pytest.raises(DataError, match="cannot be read"):
        read(packed)
    packed.write_bytes(gzip.compress(b"CCO\n" * 1000)[:-10])
    with pytest.raises(DataError, match="cannot be read"):
        read(packed)


@given(st.binary(max_size=200), st.sampled_from([".smi", ".sdf", ".smi.gz", ".sdf.gz"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.mktemp("any") / f"x{ending}"
    path.write_bytes(content)
    try:
        table = read(path) if FORMATS[ending].schema(path) else None
    except DataError as error:
        assert "x." in str(error)
    except ValueError as error:  # no batches: pyarrow wants a schema
        assert "schema" in str(error)
    else:
        assert table is not None and "smiles" in table.column_names


# ---------------------------------------------------------------- .sdf

PENTAVALENT = """bad
     RDKit          2D

  6  5  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.0000    0.0000    0.0000 C   0  0
    0.0000    1.0000    0.0000 C   0  0
   -1.0000    0.0000    0.0000 C   0  0
    0.0000   -1.0000    0.0000 C   0  0
    1.0000    1.0000    0.0000 C   0  0
  1  2  1  0
  1  3  1  0
  1  4  1  0
  1  5  1  0
  1  6  1  0
M  END
> <id>
7

$$$$
"""


@pytest.mark.parametrize("ending", [".sdf", ".sdf.gz"])
def test_sdf_round_trip(tmp_path: Path, ending: str) -> None:
    smiles = ["C[C@H](N)C(=O)O", "F/C=C/F", "[Na+].[Cl-]", "[13CH4]", "c1ccc2[nH]ccc2c1"]
    table = pa.table(
        {
            "smiles": smiles,
            "name": ["a", None, "c", "d", "e"],
            "log p<x>": [0.5, None, 2.0, 3.0, 4.0],
            "note": ["one\n\ntwo", "x", None, "", "y"],
        }
    )
    path = write(tmp_path / f"x{ending}", table)
    assert FORMATS[ending].schema(path).names == ["smiles", "name", "log_p_x_", "note"]
    back = read(path, batch_rows=2)
    assert back["smiles"].to_pylist() == [Chem.CanonSmiles(text) for text in smiles]
    assert back["name"].to_pylist() == ["a", None, "c", "d", "e"]
    assert back["log_p_x_"].to_pylist() == ["0.5", None, "2.0", "3.0", "4.0"]
    assert back["note"].to_pylist() == ["one two", "x", None, None, "y"]


def test_sdf_is_what_rdkit_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "x.sdf", pa.table({"smiles": ["CCO", "CC"], "id": [1, 2]}))
    molecules = list(Chem.SDMolSupplier(str(path)))
    assert [molecule.GetProp("id") for molecule in molecules] == ["1", "2"]
    positions = molecules[0].GetConformer().GetPositions()
    assert abs(positions[:, :2]).max() > 0.5 and abs(positions[:, 2]).max() == 0


def test_bad_sdf_records_are_rejected_with_their_number(tmp_path: Path) -> None:
    path = write(tmp_path / "x.sdf", pa.table({"smiles": ["CCO"]}))
    good = path.read_text()
    path.write_text(good + PENTAVALENT + "no mol block\n$$$$\n" + good.removesuffix("$$$$\n"))
    table = read(path)
    assert table["id"].to_pylist() == [None, "7", None, None]
    assert table["smiles"].to_pylist() == ["CCO", "CC(C)(C)(C)C", None, "CCO"]
    rejects = MoleculeCodec({}).prepare(table.combine_chunks().to_batches()[0]).rejects
    assert [(reject.row, reject.reason) for reject in rejects] == [
        (1, "Explicit valence for atom # 1 C, 5, is greater than permitted"),
        (2, "missing value, or a record that could not be read"),
    ]


def test_sdf_writer_leaves_out_what_is_no_molecule_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = pa.table({"smiles": ["CCO", "C1CC", None, ""]})
    path = tmp_path / "x.sdf"
    writer = StructureDataFile().open_writer(path, table.schema)
    assert isinstance(writer, StructureDataWriter)
    writer.write(table.to_batches()[0])
    with caplog.at_level(logging.WARNING, "gmkit"):
        writer.close()
    assert writer.skipped == 3
    assert "3 records are no molecules and were left out" in caplog.text
    assert read(path)["smiles"].to_pylist() == ["CCO"]
    with pytest.raises(DataError, match="needs a column 'smiles'"):
        StructureDataFile().open_writer(path, pa.schema([("x", pa.string())]))
