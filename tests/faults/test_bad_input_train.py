"""Wrong input to ``train``, ``sample`` and ``evaluate``: the exit code, one message that says what
was found and what to do, nothing left behind, and never a traceback."""

from __future__ import annotations

import csv
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import gmkit
from gmkit.errors import ArtifactError

USABLE = ["[Cl-].[Na+]", "[13CH4]", "C[N+](C)(C)C", "F/C=C/F", "C[C@H](N)C(=O)O"]
"""A salt, an isotope, a charge, and two kinds of stereo: all are to be kept."""
UNUSABLE = {1: ("C1CC", "unclosed ring"), 3: ("", "missing value"), 5: ("C(C", "parentheses")}
"""Row → value and a word of the reason."""


@pytest.fixture(scope="module")
def base(tiny: list[str]) -> list[str]:
    """``tiny`` without its data."""
    return [*tiny[:2], *tiny[4:]]


@pytest.fixture(scope="module")
def place(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad files."""
    folder = tmp_path_factory.mktemp("place")
    smiles = Path(tiny[3]).read_text().split()[:60]
    rows = [f"{i},{text},note {i}" for i, text in enumerate(smiles)]
    (folder / "mols.csv").write_text("\n".join(["id,SMILES,note", *rows]) + "\n")
    mixed = [*USABLE, *smiles]
    for row, (value, _) in UNUSABLE.items():
        mixed.insert(row, value)
    lines = [f"{i},{text}" for i, text in enumerate(mixed)]
    (folder / "mixed.csv").write_text("\n".join(["id,canonical_smiles", *lines]) + "\n")
    (folder / "empty.smi").write_text("")
    (folder / "head.csv").write_text("id,smiles\n")
    (folder / "strange.xyz").write_text("1\n")
    (folder / "file").write_text("x")
    (folder / "bad.toml").write_text("[training]\nsteps = \n")
    (folder / "bytes.toml").write_bytes(b"domain = '\xff'\n")
    (folder / "wrong.toml").write_text("[training]\nsteps = 'many'\n")
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine")
    return folder


def check_refused(outcome: Any, code: int, *texts: str) -> None:
    """The exit code, the texts in the panel on stderr, no traceback and nothing on stdout."""
    told = re.sub(r"[│\s]+", " ", outcome.err)
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    for text in texts:
        assert text in told, told


def shape(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


S = "--set"
REFUSALS: dict[str, tuple[int, list[str], list[str]]] = {
    "missing file": (
        3,
        ["--data", "mol.csv"],
        ["mol.csv: no such file, folder or data set", "Did you mean 'mols.csv'?"],
    ),
    "missing folder": (
        3,
        ["--data", "nowhere/mol.csv"],
        ["nowhere/mol.csv: no such file, folder or data set", "There is no folder nowhere."],
    ),
    "unknown data set": (3, ["--data", "zinc-250"], ["Did you mean 'zinc-250k'?"]),
    "empty file": (3, ["--data", "empty.smi"], ["empty.smi: is empty"]),
    "no rows": (3, ["--data", "head.csv"], ["head.csv: has no rows"]),
    "strange file": (3, ["--data", "strange.xyz"], ["ends in '.xyz'; can be read: ", ".smi"]),
    "wrong column": (
        3,
        ["--data", "mols.csv", "--column", "SMILE"],
        ["has no column 'SMILE'; it has 'id', 'SMILES', 'note'", "Did you mean 'SMILES'?"],
    ),
    "no molecules": (
        3,
        ["--data", "mols.csv", "--column", "note"],
        ["mols.csv: none of 60 records can be used; row 0, column 'note': ", "--column"],
    ),
    "no text": (
        3,
        ["--data", "mols.csv", "--column", "id"],
        ["mols.csv, column 'id': holds int64, not text", "--column NAME"],
    ),
    "strict": (
        3,
        ["--data", "mixed.csv", "--strict"],
        [
            "mixed.csv, row 1, column 'canonical_smiles': ",
            "unclosed ring (3 of 68 records cannot be used)",
            "Without --strict they are set aside in rejects.csv",
        ],
    ),
    "too long for max_length": (
        3,
        ["--data", "mols.csv", S, "codec.max_length=3"],
        ["none of 60 records can be used", "more than max_length 3"],
    ),
    "folder that cannot be made": (
        3,
        ["--data", "mols.csv", "--out", "/proc/nowhere/run"],
        ["cannot make the folder /proc/nowhere/run: No such file", "--out"],
    ),
    "folder under a file": (
        3,
        ["--data", "mols.csv", "--out", "file/run"],
        ["cannot make the folder file/run: Not a directory"],
    ),
    "out is a file": (
        2,
        ["--data", "mols.csv", "--out", "file"],
        ["file is already there", "Choose another --out."],
    ),
    "out holds something": (
        2,
        ["--data", "mols.csv", "--out", "full"],
        ["full is already there", "Choose another --out."],
    ),
    "not fetched, offline": (
        3,
        ["--data", "zinc-250k"],
        ["'zinc-250k' is not here and GMKIT_OFFLINE forbids fetching it", "Lay a copy of"],
    ),
    "unknown model": (4, ["--model", "vea"], ["'vea'", "Did you mean 'vae'?"]),
    "unknown table": (
        2,
        [S, "famly.latent=3"],
        ["unknown option 'famly'. Did you mean 'family'?", "--dry-run"],
    ),
    "unknown family option": (2, [S, "family.latnt=3"], ["'family.latnt'", "mean 'latent'?"]),
    "unknown training option": (2, [S, "training.stps=3"], ["'training.stps'", "mean 'steps'?"]),
    "unknown codec option": (2, [S, "codec.tokns=3"], ["'codec.tokns'", "mean 'tokens'?"]),
    "wrong type": (2, [S, "training.steps=few"], ["training.steps = 'few': ", "integer"]),
    "out of range": (2, [S, "family.latent=0"], ["family.latent = 0: ", "greater than"]),
    "table as a value": (2, ["--config", "wrong.toml", S, "data=3"], ["data"]),
    "no pair": (2, [S, "family.latent"], ["--set 'family.latent' is not KEY=VALUE"]),
    "bad TOML": (2, ["--config", "bad.toml"], ["bad.toml is not TOML: ", "line 2"]),
    "bytes in TOML": (2, ["--config", "bytes.toml"], ["bytes.toml", "can't decode byte 0xff"]),
    "missing TOML": (2, ["--config", "no.toml"], ["'no.toml' does not exist"]),
    "duration without unit": (2, ["--time-budget", "5"], ["'5' is not a duration", "5m"]),
    "no duration": (2, ["--time-budget", "soon"], ["'soon' is not a duration"]),
    "no such device": (2, ["--device", "cuda:99"], ["device 'cuda:99' cannot be used", "doctor"]),
    "no device": (2, ["--device", "gpu"], ["--device 'gpu' is no device"]),
    "never ending": (2, [S, "training.steps=0"], ["steps = 0 needs a time_budget"]),
    "nothing left to train on": (
        2,
        [S, "data.valid=0.6", S, "data.test=0.6"],
        ["valid + test = 1.2 leaves nothing to train on"],
    ),
    "absurd threads": (2, [S, "training.threads=100000"], ["training.threads = 100000"]),
    "negative seed": (2, ["--seed", "-1"], ["'--seed'"]),
    "a path that is not wanted": (
        2,
        ["mols.csv"],
        ["what is 'mols.csv' for?", "To train on it: --data mols.csv."],
    ),
    "resume of nothing": (5, ["--resume", "nowhere"], ["nowhere: no such folder"]),
    "resume of something else": (5, ["--resume", "full"], ["full: not a gmkit run"]),
    "resume with no run about": (2, ["--resume"], ["no unfinished run under runs/"]),
    "resume with a plan": (2, ["--resume", "full", "--dry-run"], ["--dry-run"]),
    "two runs to resume": (2, ["--resume", "full", "--out", "other"], ["full", "other"]),
}
UNNAMED = ("resume", "two runs")
"""Cases that say all themselves: no domain, data or place is added."""
NARROW = {"COLUMNS": "100"}
"""So that the message itself fits where files may not grow."""


@pytest.mark.parametrize("case", REFUSALS)
def test_train_refuses(command: Any, base: list[str], place: Path, case: str) -> None:
    code, words, texts = REFUSALS[case]
    before = shape(place)
    if not case.startswith(UNNAMED):
        options = [*base]
        if "--data" not in words:
            options += ["--data", "mols.csv"]
        if "--out" not in words:
            options += ["--out", "run"]
        words = [*options, *words]
    outcome = command("train", *words, cwd=place, env={"GMKIT_OFFLINE": "1"})
    check_refused(outcome, code, *texts)
    assert shape(place) == before


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        ([], 2, ["no domain was given", "--domain molecules"]),
        (["--data", "mols.csv"], 2, ["no domain was given", "--domain molecules"]),
        (["--data", "x.smi"], 2, ["x.smi is for molecules: add --domain molecules"]),
        (["--data", "nci-5k"], 2, ["nci-5k is for molecules: add --domain molecules"]),
        (["--domain", "molecule"], 4, ["unknown domain 'molecule'", "Did you mean 'molecules'?"]),
        (["--resume", "full", "--seed", "3"], 2, ["not allowed beside resume: seed"]),
        (["--resume", "full", S, "training.steps=9"], 2, ["not allowed beside resume: settings"]),
    ],
)
def test_train_asks_for_what_it_cannot_know(
    command: Any, place: Path, words: list[str], code: int, texts: list[str]
) -> None:
    check_refused(command("train", *words, cwd=place), code, *texts)


def test_the_error_as_json(command: Any, base: list[str], place: Path) -> None:
    outcome = command("train", *base, "--data", "mixed.csv", "--strict", "--json", cwd=place)
    error = outcome.json["error"]
    assert (outcome.code, error["exit_code"], error["type"]) == (3, 3, "DataError")
    assert (error["file"], error["row"], error["column"]) == ("mixed.csv", 1, "canonical_smiles")


def test_unusable_rows_are_set_aside(
    command: Any, base: list[str], place: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    outcome = command("train", *base, "--data", place / "mixed.csv", "--out", run, "--json")
    assert outcome.code == 0, outcome.err
    assert f"3 unusable records set aside in {run / 'rejects.csv'}" in outcome.err
    assert outcome.json["data"]["rows"] == 65
    with (run / "rejects.csv").open(newline="") as file:
        rejects = list(csv.DictReader(file))
    assert {int(r["row"]): r["value"] for r in rejects} == {
        row: value for row, (value, _) in UNUSABLE.items()
    }
    for reject in rejects:
        assert reject["column"] == "canonical_smiles"
        assert UNUSABLE[int(reject["row"])][1] in reject["reason"]
    kept = cached_records(command, 65)
    for smiles in USABLE:
        assert smiles in kept


def cached_records(command: Any, rows: int) -> list[str]:
    """The SMILES of the cache entry that has so many."""
    tables = [
        pq.read_table(path) for path in Path(command.env["GMKIT_CACHE"]).rglob("records.parquet")
    ]
    # Other tests put records of other domains there.
    of_molecules = (table["smiles"] for table in tables if "smiles" in table.column_names)
    return next(column.to_pylist() for column in of_molecules if len(column) == rows)


@pytest.mark.parametrize(("met_by", "limit"), [("cache", 3_000), ("checkpoint", 16_000)])
def test_disk_full(
    command: Any, base: list[str], place: Path, tmp_path: Path, met_by: str, limit: int
) -> None:
    """A limit on the size of files stands for the quota."""
    run, cache = tmp_path / "run", tmp_path / "cache"
    options = [*base, "--data", place / "mols.csv", "--out", run]
    env = {"GMKIT_CACHE": str(cache), **NARROW}
    outcome = command("train", *options, env=env, file_bytes=limit)
    check_refused(outcome, 3, "File too large", "room" if met_by == "cache" else "Free some space")
    assert run.exists() == (met_by == "checkpoint")
    assert [path for path in shape(tmp_path) if path.name.startswith(".")] == []


def contents(run: Path) -> list[Path]:
    """The files of a run in which a bit can be flipped."""
    return sorted(path for path in run.iterdir() if path.is_file() and path.stat().st_size)


def damage(path: Path, bit: int) -> bytes:
    """Flip one bit; returns what the file held."""
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[bit // 8 % len(whole)] ^= 1 << bit % 8
    path.write_bytes(changed)
    return whole


def test_a_damaged_cache_entry_is_made_anew(
    command: Any, tiny: list[str], trained: Any, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(command.env["GMKIT_CACHE"], cache)
    entries = list((cache / "prepared").iterdir())
    for entry in entries:
        damage(entry / "encoded.safetensors", 5_000)
    run = tmp_path / "run"
    outcome = command("train", *tiny, "--out", run, "--quiet", env={"GMKIT_CACHE": str(cache)})
    assert outcome.code == 0, outcome.err
    assert (run / "model.safetensors").read_bytes() == (
        trained.run / "model.safetensors"
    ).read_bytes()


def test_every_damaged_file_of_a_run_is_named(command: Any, trained: Any, tmp_path: Path) -> None:
    run = trained.copy(tmp_path / "run")
    files = contents(run)
    assert {"model.safetensors", "codec.json", "config.toml", "manifest.json"} <= {
        path.name for path in files
    }
    for number, path in enumerate(files):
        whole = damage(path, 1_000 + number)
        name = ["sample", "evaluate"][number % 2]
        check_refused(command(name, run), 5, f"{path}: ", "damaged")
        path.write_bytes(whole)
    (run / "codec.json").unlink()
    check_refused(command("sample", run), 5, f"{run / 'codec.json'}: is missing")


def test_sixty_flipped_bits_are_refused_by_file(trained: Any, tmp_path: Path) -> None:
    run = trained.copy(tmp_path / "run")
    files = contents(run)
    rng = random.Random(0)
    for trial in range(60):
        path = files[trial % len(files)]
        whole = damage(path, rng.randrange(8 * path.stat().st_size))
        with pytest.raises(ArtifactError, match=re.escape(f"{path}: ")):
            gmkit.load(run)
        path.write_bytes(whole)
    assert len(gmkit.load(run, device="cpu").sample(2)) == 2


def unfinished(run: Path) -> Path:
    """As a kill just before the manifest leaves it."""
    (run / "manifest.json").unlink()
    return run


def test_what_is_no_finished_run(command: Any, trained: Any, place: Path, tmp_path: Path) -> None:
    run = unfinished(trained.copy(tmp_path / "run"))
    for name in ("sample", "evaluate"):
        check_refused(command(name, run), 5, "unfinished run", f"gmkit train --resume {run}")
        check_refused(command(name, place / "full"), 5, "not a gmkit run")
        check_refused(command(name, place / "nowhere"), 5, "no such folder")


def test_a_finished_run_is_not_resumed(command: Any, trained: Any, tiny: list[str]) -> None:
    outcome = command("train", "--resume", trained.run)
    check_refused(outcome, 2, f"{trained.run} is a finished run", "gmkit evaluate")
    outcome = command("train", *tiny, "--out", trained.run)
    check_refused(outcome, 2, "is already there", "It is a finished run")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.toml", lambda text: text.replace("steps = 12", "steps = 24")),
        ("codec.json", lambda text: text.replace('"config"', '"confi"', 1)),
    ],
)
def test_a_changed_unfinished_run(
    command: Any, trained: Any, tmp_path: Path, name: str, change: Callable[[str], str]
) -> None:
    run = unfinished(trained.copy(tmp_path / "run"))
    before = (run / name).read_text()
    (run / name).write_text(change(before))
    assert (run / name).read_text() != before
    outcome = command("train", "--resume", run)
    check_refused(outcome, 5, f"{run / name}", "changed since training began")


def test_checkpoints_all_damaged(command: Any, trained: Any, tmp_path: Path) -> None:
    run = unfinished(trained.copy(tmp_path / "run"))
    for path in (run / "checkpoints").rglob("model.safetensors"):
        damage(path, 9_000)
    check_refused(command("train", "--resume", run), 5, "model.safetensors: is damaged")


def test_data_that_changed_or_went(
    command: Any, base: list[str], place: Path, tmp_path: Path
) -> None:
    data, run = tmp_path / "my.csv", tmp_path / "run"
    shutil.copy(place / "mols.csv", data)
    words = ["train", *base, "--data", "my.csv", "--out", run, "--quiet"]
    assert command(*words, cwd=tmp_path).code == 0
    copy = unfinished(Path(shutil.copytree(run, tmp_path / "copy")))

    data.write_text(data.read_text() + "60,CCO,new\n")
    changed = "not the data that", "(my.csv), or changed since"
    check_refused(command("evaluate", run), 3, *changed, "--data")
    check_refused(command("train", "--resume", copy), 3, *changed)

    data.unlink()
    gone = f"the data of {run} cannot be read: no such file", "If it has moved", "--data PATH"
    check_refused(command("evaluate", run), 3, *gone)
    check_refused(command("train", "--resume", copy), 3, "cannot be read: no such file")
    assert command("train", "--resume", copy, "--data", place / "mols.csv", "-q").code == 0


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        (["--out", "s.xyz"], 3, ["s.xyz: ends in '.xyz'; one of ", ".sdf"]),
        (["--out", "nowhere/s.csv"], 3, ["s.csv: the folder", "does not exist"]),
        (["--out", "."], 3, ["has no ending"]),
        (["-n", "0"], 2, ["'-n'"]),
        (["--temperature", "-1"], 2, ["'--temperature'"]),
        (["--device", "cuda:99"], 2, ["device 'cuda:99' cannot be used"]),
    ],
)
def test_sample_refuses(
    command: Any, trained: Any, tmp_path: Path, words: list[str], code: int, texts: list[str]
) -> None:
    check_refused(command("sample", trained.run, *words, cwd=tmp_path), code, *texts)
    assert list(tmp_path.iterdir()) == []


def test_disk_full_while_sampling(command: Any, trained: Any, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    out.write_text("before")
    options = {"env": NARROW, "file_bytes": 4_000}
    outcome = command("sample", trained.run, "-n", 900, "--out", out, **options)
    check_refused(outcome, 3, f"{out}: cannot be written: File too large", "Free some space")
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]
