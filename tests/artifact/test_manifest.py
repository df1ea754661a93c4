"""Sealing, updating and verifying run folders."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmkit.artifact.manifest import (
    FORMAT,
    read_manifest,
    seal,
    update,
    verify,
)
from gmkit.errors import ArtifactError, DataError

FACTS: dict[str, Any] = {
    "domain": "molecules",
    "family": "vae",
    "seed": 7,
    "data": {"name": "screening", "fingerprint": "ab12", "rows": 10_000},
    "metrics": {"validity": 1, "novelty": 0.93, "fcd": float("nan")},
    "packages": ["pydantic", "no-such-distribution"],
    "command": "gmkit train --domain molecules",
}
FILES = {
    "model.safetensors": b"\x08\0\0\0\0\0\0\0{}      ",
    "codec.json": b'{"vocabulary": ["C", "N"]}',
    "config.toml": b"seed = 7\n",
    "README.md": b"# Card\n",
    "samples/first.csv": b"smiles\nCCO\n",
}


def fill(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = fill(tmp_path / "run")
    seal(folder, FACTS)
    return folder


def forge(folder: Path, **changes: Any) -> None:
    """A manifest with whatever content, and a right hash of itself."""
    path = folder / "manifest.json"
    facts = json.loads(path.read_text()) | changes | {"sha256_of_this_file": "0" * 64}
    text = json.dumps(facts, indent=2)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(text.replace("0" * 64, digest, 1))


def refusal(folder: Path, files: list[str] | None = None) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        verify(folder, files=files)
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_sealed_facts_come_back(run: Path) -> None:
    manifest = verify(run)
    assert manifest == read_manifest(run)
    assert (manifest.format, manifest.status) == (FORMAT, "complete")
    assert (manifest.domain, manifest.family, manifest.seed) == ("molecules", "vae", 7)
    assert manifest.data.name == "screening"
    assert manifest.data.rows == 10_000
    assert manifest.metrics == {"validity": 1.0, "novelty": 0.93, "fcd": None}
    assert set(manifest.packages) == {"torch", "safetensors", "pydantic"}
    assert manifest.created.endswith("+00:00")
    assert manifest.model_extra == {"command": "gmkit train --domain molecules"}
    assert {name: facts.bytes for name, facts in manifest.files.items()} == {
        name: len(data) for name, data in FILES.items()
    }


def test_what_is_no_part_of_the_run_is_not_sealed(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    (folder / "checkpoints" / "step-00000001").mkdir(parents=True)
    (folder / "checkpoints" / "step-00000001" / "model.safetensors").touch()
    (folder / ".hidden" / "x").mkdir(parents=True)
    (folder / ".hidden" / "y").touch()
    (folder / ".report.html.tmp-1").touch()
    (folder / "link").symlink_to("README.md")
    (folder / "samples" / "checkpoints").mkdir()
    (folder / "samples" / "checkpoints" / "kept.csv").touch()
    names = set(seal(folder, {}).files)
    assert names == {*FILES, "samples/checkpoints/kept.csv"}


def test_a_fact_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be written: 'seed'"):
        seal(fill(tmp_path), {"seed": "seven"})
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json: cannot write"):
        seal(tmp_path / "absent", {})


def test_unlisted_files_are_ignored_and_never_loaded(run: Path) -> None:
    (run / "notes.txt").write_text("mine")
    (run / "extra.safetensors").write_bytes(b"hostile")
    verify(run)
    error = refusal(run, files=["extra.safetensors"])
    assert error.message.endswith(
        "extra.safetensors: is not part of the run: manifest.json does not list it"
    )


def test_only_the_named_files_are_checked(run: Path) -> None:
    (run / "README.md").write_text("changed")
    verify(run, files=["model.safetensors", "codec.json"])
    assert "README.md" in refusal(run).message
    assert "README.md" in refusal(run, files=["README.md"]).message


def test_update_adds_files_and_merges_metrics(run: Path) -> None:
    before = read_manifest(run)
    (run / "report.html").write_text("<p>")
    (run / "README.md").write_text("# New card\n")
    after = update(run, metrics={"fcd": 1.5}, evaluated="test split")
    assert after == verify(run)
    assert after.metrics == {"validity": 1.0, "novelty": 0.93, "fcd": 1.5}
    assert after.model_extra == {**(before.model_extra or {}), "evaluated": "test split"}
    assert (after.created, after.packages, after.data) == (
        before.created,
        before.packages,
        before.data,
    )
    assert set(after.files) == {*FILES, "report.html"}


@pytest.mark.parametrize("name", ["model.safetensors", "codec.json", "config.toml"])
def test_update_does_not_seal_damage_in(run: Path, name: str) -> None:
    data = bytearray((run / name).read_bytes())
    data[-1] ^= 1
    (run / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name}: is damaged"):
        update(run, metrics={})
    assert name in refusal(run).message


def test_what_is_no_finished_run_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "absent")
    assert error.message == f"{tmp_path / 'absent'}: no such folder"
    error = refusal(tmp_path)
    assert error.message == f"{tmp_path}: not a gmkit run: it has no manifest.json"
    (tmp_path / "checkpoints").mkdir()
    error = refusal(tmp_path)
    assert "unfinished run" in error.message
    assert error.hint == f"Finish it with: gmkit train --resume {tmp_path}"


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), ""),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), ""),
        (lambda path: path.write_bytes(os.urandom(path.stat().st_size)), "is damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "is not an ordinary file"),
        (
            lambda path: (path.rename(f"{path}.moved"), path.symlink_to(f"{path}.moved")),
            "is a symbolic link",
        ),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "is a symbolic link"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is not an ordinary file"),
    ],
)
def test_damaged_files_are_refused_by_name(
    run: Path, name: str, damage: Callable[[Path], object], reason: str
) -> None:
    damage(run / name)
    error = refusal(run)
    assert error.message.startswith(f"{run / name}: ")
    assert reason in error.message


@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_refused_by_name(run: Path, name: str) -> None:
    (run / name).unlink()
    assert refusal(run).message == f"{run / name}: is missing"


def test_files_behind_a_linked_folder_are_refused(run: Path, tmp_path: Path) -> None:
    (run / "samples").rename(tmp_path / "elsewhere")
    (run / "samples").symlink_to(tmp_path / "elsewhere")
    assert "first.csv: lies behind a symbolic link" in refusal(run).message


def test_a_link_to_the_whole_run_is_fine(run: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run)
    assert verify(tmp_path / "latest") == verify(run)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname",
        "../secret",
        "samples/../../secret",
        "..",
        ".",
        "",
        "a//b",
        "./model.safetensors",
        "a/",
        "nul\0",
        "manifest.json",
    ],
)
def test_names_that_lead_out_of_the_run_are_refused(run: Path, name: str) -> None:
    (run.parent / "secret").write_bytes(b"s")
    facts = {"sha256": hashlib.sha256(b"s").hexdigest(), "bytes": 1}
    forge(run, files={name: facts})
    error = refusal(run)
    assert error.message == (
        f"{run / 'manifest.json'}: lists {name!r}, which is no path inside the run"
    )


def test_a_format_of_the_future(run: Path) -> None:
    forge(run, format=FORMAT + 1)
    error = refusal(run)
    assert error.message == (
        f"{run / 'manifest.json'}: written by gmkit format 2; this gmkit reads up to 1"
    )
    assert "pip install --upgrade gmkit" in error.hint
    (run / "manifest.json").write_text('{"format": 3, "hash": "of another kind"}')
    assert "written by gmkit format 3" in refusal(run).message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 0}, "'format'"),
        ({"format": "1"}, "'format'"),
        ({"files": {"a": {"sha256": "0" * 63, "bytes": 1}}}, "'files.a.sha256'"),
        ({"files": {"a": {"sha256": "0" * 64, "bytes": -1}}}, "'files.a.bytes'"),
        ({"status": "running"}, "'status'"),
        ({"metrics": {"validity": "high"}}, "'metrics.validity'"),
    ],
)
def test_well_hashed_nonsense_is_refused(run: Path, changes: dict[str, Any], reason: str) -> None:
    forge(run, **changes)
    error = refusal(run)
    assert error.message.startswith(f"{run / 'manifest.json'}: is not a gmkit manifest: {reason}")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "1",
        '{"format": 1}',
        '{"format": 1, "sha256_of_this_file": "' + "0" * 64 + '"}',
        "[" * 1000,
        '{"format": 1, "format": 1}',
    ],
)
def test_other_json_is_no_manifest(run: Path, text: str) -> None:
    (run / "manifest.json").write_text(text)
    assert f"{run / 'manifest.json'}: is damaged" in refusal(run).message


def test_the_hash_of_the_manifest_can_be_checked_by_hand(run: Path) -> None:
    """The rule as documented, done without our code."""
    data = (run / "manifest.json").read_text()
    value = json.loads(data)["sha256_of_this_file"]
    assert hashlib.sha256(data.replace(value, "0" * 64).encode()).hexdigest() == value


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    seal(tmp_path, {})
    path = tmp_path / "manifest.json"
    data = path.read_bytes()
    places = random.Random(0).sample(range(8 * len(data)), 400)
    for bit in places:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert str(path) in refusal(tmp_path).message
    path.write_bytes(data)
    verify(tmp_path)


def test_a_run_can_be_copied_and_moved(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    assert verify(tmp_path / "copy") == verify(run)


def test_artifacts_can_be_verified_without_torch() -> None:
    code = (
        "import sys, gmkit.artifact.manifest, gmkit.artifact.card, gmkit.artifact.files;"
        "print({'torch', 'numpy', 'safetensors', 'pyarrow'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.stdout.strip() == "set()"
