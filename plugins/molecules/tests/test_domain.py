"""The molecules domain and what the plugin declares."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import gmkit_molecules
import pyarrow as pa
import pytest
from gmkit_molecules import domain as domain_module
from gmkit_molecules.dataset_infos import DATASETS
from gmkit_molecules.datasets import nci, screening
from gmkit_molecules.domain import MoleculesDomain
from gmkit_molecules.drawing import draw_grid
from gmkit_molecules.formats import FORMATS
from gmkit_molecules.picture_file import PictureFile
from rich.console import Console

from gmkit.api import API
from gmkit.training.resolve import resolve

MIXED = pa.RecordBatch.from_pydict(
    {"smiles": pa.array(["CCO", "C1CC", "", None, "c1ccccc1", "CCO ethanol"], pa.string())}
)


def shown(records: pa.RecordBatch) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(MoleculesDomain().preview(records))
    return console.export_text()


def test_validate() -> None:
    expected = [True, False, False, False, True, False]
    assert MoleculesDomain().validate(MIXED).to_pylist() == expected
    assert MoleculesDomain().validate(MIXED.slice(0, 0)).to_pylist() == []


def test_validate_in_processes_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from gmkit.engines import local

    monkeypatch.setattr(domain_module, "_WORTH_WORKERS", 1)
    monkeypatch.setattr(domain_module, "_PART", 2)
    monkeypatch.setattr(local, "SMALL_ROWS", 0)
    monkeypatch.setenv("GMKIT_WORKERS", "2")
    test_validate()


def test_preview_shows_figures_and_what_is_no_molecule() -> None:
    text = shown(MIXED)
    assert "46.1" in text and "-0.00" in text and "0.41" in text  # ethanol
    assert "not a molecule" in text and "(empty)" in text


def test_preview_takes_brackets_literally() -> None:
    assert "C[bold]C" in shown(pa.RecordBatch.from_pydict({"smiles": ["C[bold]C"]}))


def test_drawing() -> None:
    picture = MoleculesDomain().draw(MIXED)
    assert picture is not None and picture.startswith(b"<?xml") and b"440px" in picture
    assert picture == MoleculesDomain().draw(MIXED)
    assert MoleculesDomain().draw(MIXED.slice(1, 2)) is None
    png = draw_grid(["CCO"] * 7, columns=3, most=5, kind="png")
    assert png is not None and png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 660 and int.from_bytes(png[20:24]) == 340


def test_domain_facts() -> None:
    domain = MoleculesDomain()
    assert domain.column == "smiles" and domain.aliases[0] == "smiles"
    assert domain.codec({"tokens": 7}).config.tokens == 7
    assert domain.formats() is FORMATS
    assert domain.keys(MIXED).to_pylist()[0] == "CCO"
    suited = domain.defaults("vae", None)
    assert suited["family"]["free_bits"] > 0
    assert "family" not in domain.defaults("gan", None)
    assert suited["codec"] == {"notation": "kekule"}
    assert domain.defaults("diffusion", None)["codec"] == {"notation": "kekule"}
    assert "codec" not in domain.defaults("gan", None)  # it is not held to a grammar


@pytest.mark.parametrize(
    ("model", "notation"),
    [
        ("vae", "kekule"),
        ("diffusion", "kekule"),
        ("vae+gan", "kekule"),
        ("vae+diffusion", "kekule"),
        ("gan", "selfies"),
    ],
)
def test_a_stack_writes_as_its_decoder_does(model: str, notation: str) -> None:
    assert resolve({"domain": "molecules", "model": model}).config.codec["notation"] == notation


# ---------------------------------------------------------------- the plugin


def test_what_is_declared_exists() -> None:
    assert gmkit_molecules.__gmkit_api__ == f"{API[0]}.{API[1]}"
    infos = [
        *gmkit_molecules.gmkit_register_domains(),
        *gmkit_molecules.gmkit_register_datasets(),
        *gmkit_molecules.gmkit_register_metrics(),
    ]
    for loader in filter(None, (info.loader for info in infos)):
        module, name = loader.split(":")
        assert callable(getattr(import_module(module), name)), loader
    (info,) = gmkit_molecules.gmkit_register_domains()
    read = {end for end, kind in FORMATS.items() if not isinstance(kind, PictureFile)}
    assert set(info.extensions) == read


def test_declaring_imports_nothing_heavy() -> None:
    code = (
        "import sys, gmkit_molecules as m\n"
        "m.gmkit_register_domains(); m.gmkit_register_datasets(); m.gmkit_register_metrics()\n"
        "heavy = {'torch', 'rdkit', 'pyarrow', 'numpy', 'selfies', 'sklearn', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_embedded_data_sets() -> None:
    table = pa.Table.from_batches(screening())
    assert table.column_names == ["smiles", "id"]
    assert (table.num_rows, table["id"][0].as_py()) == (10_000, "WEHI-0039854")
    assert len(set(table["smiles"].to_pylist())) == 10_000
    table = pa.Table.from_batches(nci())
    assert table.column_names == ["smiles", "name"]
    assert (table.num_rows, table["name"][0].as_py()) == (4_999, "1")
    assert all(
        info.rows == {"screening": 10_000, "nci-5k": 4_999}[info.name]
        for info in DATASETS
        if info.loader
    )


def test_fetched_data_sets_are_pinned() -> None:
    fetched = [info for info in DATASETS if info.url]
    assert {info.name for info in fetched} == {
        "zinc-250k",
        "moses-train",
        "moses-test",
        "moses-test-scaffolds",
    }
    for info in fetched:
        assert info.url.startswith("https://") and "/main/" not in info.url
        assert any(len(part) == 40 for part in info.url.split("/"))  # a commit, not a branch
    assert [info.name for info in DATASETS if info.default] == ["screening"]
