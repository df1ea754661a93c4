"""The domain as others see it: description, data sets, splits, previews."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import gmkit_text
import pyarrow as pa
from gmkit_text.codec import SECTION
from gmkit_text.dataset_infos import DATASETS
from gmkit_text.datasets import topics
from gmkit_text.domain import TextDomain
from gmkit_text.folder import ENDINGS
from rich.console import Console

from gmkit.api import API


def test_what_is_declared_exists() -> None:
    assert gmkit_text.__gmkit_api__ == f"{API[0]}.{API[1]}"
    infos = [
        *gmkit_text.gmkit_register_domains(),
        *gmkit_text.gmkit_register_datasets(),
        *gmkit_text.gmkit_register_metrics(),
    ]
    for loader in filter(None, (info.loader for info in infos)):
        module, name = loader.split(":")
        assert callable(getattr(import_module(module), name)), loader
    (info,) = gmkit_text.gmkit_register_domains()
    assert set(info.extensions) == set(ENDINGS) == set(TextDomain().formats())


def test_declaring_imports_nothing_heavy() -> None:
    code = (
        "import sys, gmkit_text as m\n"
        "m.gmkit_register_domains(); m.gmkit_register_datasets(); m.gmkit_register_metrics()\n"
        "heavy = {'torch', 'tokenizers', 'pyarrow', 'numpy', 'pydantic', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_embedded_data_set() -> None:
    table = pa.Table.from_batches(topics())
    assert table.column_names == ["text", "topic"]
    assert table.num_rows > 70
    assert sum(map(len, table["text"].to_pylist())) > 300_000
    assert [info.name for info in DATASETS if info.default] == ["python-topics"]


def test_fetched_data_sets_are_pinned() -> None:
    for info in DATASETS:
        if info.url:
            assert info.url.startswith("https://")
            assert any(len(part) == 40 for part in info.url.split("/"))  # a commit, not a branch


def test_windows_of_a_section_are_split_together() -> None:
    domain = TextDomain()
    batch = pa.RecordBatch.from_pydict({"text": ["a", "b"], SECTION: ["s", "s"]})
    assert domain.groups(batch).to_pylist() == ["s", "s"]
    assert domain.keys(batch).to_pylist() == ["a", "b"]
    assert domain.groups(batch.select(["text"])).to_pylist() == ["a", "b"]


def test_validity_and_measure() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["žluť", "", None, "a\ufffd"]})
    assert TextDomain().validate(batch).to_pylist() == [True, False, False, False]
    assert TextDomain().measure(batch) == ("character", 6)


def test_previews_do_not_steer_the_terminal() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["a\x1b[31mb\nc [bold]d", ""], "kind": ["x", "y"]})
    console = Console(width=40, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(TextDomain().preview(batch))
    shown = console.export_text()
    assert "a·[31mb" in shown
    assert "c [bold]d" in shown
    assert "kind x" in shown
    assert "(empty)" in shown
