"""The plugin that docs/plugins.md builds works as it stands there."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import gmkit
from gmkit.cli.main import main
from gmkit.plugins import registry

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guide's files, laid out as pip would install them."""
    files = dict(BLOCK.findall(GUIDE.read_text()))
    site = tmp_path / "site"
    for name in ("gmkit_colours/__init__.py", "gmkit_colours/domain.py"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(files[name])
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = site / f"gmkit_colours-{project['version']}.dist-info"
    info.mkdir()
    facts = {"Metadata-Version": "2.1", "Name": project["name"], "Version": project["version"]}
    (info / "METADATA").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    points = project["entry-points"]["gmkit.plugins"]
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[gmkit.plugins]\n{lines}")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GMKIT_PLUGINS", "core,colours")
    monkeypatch.setenv("GMKIT_STRICT_PLUGINS", "1")
    registry.cache_clear()
    yield
    registry.cache_clear()
    for name in [name for name in sys.modules if name.startswith("gmkit_colours")]:
        del sys.modules[name]


@pytest.mark.usefixtures("colours")
def test_the_guides_plugin_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check"]) == 0
    assert capsys.readouterr().out.startswith("All well")
    states = {plugin.name: plugin for plugin in registry().plugins()}
    assert states["colours"].provides == {"domain": ("colours",), "dataset": ("sunset",)}


@pytest.mark.usefixtures("colours")
def test_the_guides_domain_trains_and_samples(tmp_path: Path) -> None:
    settings = {
        "training": {"steps": 5, "batch_size": 16, "threads": 1},
        "trunk": {"width": 8, "depth": 1},
        "family": {"latent": 2},
    }
    run = gmkit.train(domain="colours", model="vae", out=tmp_path / "run", settings=settings)
    drawn = gmkit.load(run.folder).sample(7)
    assert drawn.schema.names == ["colour"]
    assert drawn.num_rows == 7
    assert all(run.domain.validate(batch).to_pylist() == [True] * 7 for batch in drawn.to_batches())


@pytest.mark.usefixtures("colours")
def test_the_guides_codec_keeps_its_promises() -> None:
    domain = registry().domain("colours")
    raw = pa.RecordBatch.from_pydict({"colour": ["#FF8800", "orange", None, "#000001"]})
    records, rejects = domain.codec({}).prepare(raw, first_row=10)
    assert [(r.row, r.reason) for r in rejects] == [(11, "not #rrggbb"), (12, "not #rrggbb")]
    whole = domain.codec({}).fit([records])
    assert whole.decode(whole.encode(records)).equals(records)
    parts = [domain.codec({}).fit([records.slice(row, 1)]) for row in range(2)]
    merged = parts[0].merge(parts[1])
    assert merged.encode(records)["channels"].equal(whole.encode(records)["channels"])
    restored = type(whole).from_state(whole.state())
    assert restored.encode(records)["channels"].equal(whole.encode(records)["channels"])
    with pytest.raises(gmkit.DataError, match=r"row 1, column 'colour': 'orange' is not #rrggbb"):
        whole.encode(raw)
