"""Text through the command line: files in, prompts, gaps, what is refused."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

VERSE = "The cat sat on the mat. The dog lay by the log, and the cat saw the dog.\n"


def small(**options: Any) -> list[str]:
    """Options of a training that takes a second."""
    sets = {
        "training.steps": 4,
        "training.batch_size": 8,
        "trunk.width": 16,
        "trunk.depth": 1,
        "codec.window": 16,
        **options,
    }
    return [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(VERSE * 300)
    return path


@pytest.fixture(scope="module")
def runs(command: Any, book: Path) -> dict[str, Path]:
    """A run of each family that can complete, and of one that cannot."""
    made = {}
    for model in ("vae", "diffusion", "gan"):
        made[model] = book.parent / model
        words = ["--domain", "text", "--model", model, "--data", book, "--out", made[model]]
        outcome = command("train", *words, *small(), "--json")
        assert outcome.code == 0, outcome.err
        assert {"validity", "known words", "distinct-1"} <= outcome.json["metrics"].keys()
    return made


@pytest.mark.parametrize("model", ["vae", "diffusion"])
def test_samples_begin_with_the_prompt(
    command: Any, runs: dict[str, Path], model: str, tmp_path: Path
) -> None:
    out = tmp_path / "s.jsonl"
    words = ["sample", runs[model], "-n", 6, "--prompt", "The dog ", "--out", out]
    outcome = command(*words, "--set", "top_p=0.9", "--temperature", "0.7")
    assert outcome.code == 0, outcome.err
    texts = [json.loads(line)["text"] for line in out.read_text().splitlines()]
    assert len(texts) == 6
    assert all(text.startswith("The dog ") for text in texts)
    assert len(set(texts)) > 1


@pytest.mark.parametrize("model", ["vae", "diffusion"])
def test_gaps_are_filled_and_the_rest_is_kept(
    command: Any, runs: dict[str, Path], model: str
) -> None:
    outcome = command("sample", runs[model], "-n", 5, "--infill", "The ___ sat.", "--json")
    assert outcome.code == 0, outcome.err
    for row in outcome.json["rows"]:
        assert row["text"][:4] == "The "
        assert row["text"][7:] == " sat."
        assert len(row["text"]) == 12


@pytest.mark.parametrize("model", ["vae", "diffusion"])
def test_texts_longer_than_a_window_go_on_from_it(
    command: Any, runs: dict[str, Path], model: str
) -> None:
    words = ["sample", runs[model], "-n", 6, "--prompt", "The dog ", "--seed", 3, "--json"]
    short = [row["text"] for row in command(*words).json["rows"]]
    outcome = command(*words, "--windows", 4)
    assert outcome.code == 0, outcome.err
    whole = [row["text"] for row in outcome.json["rows"]]
    for window, text in zip(short, whole, strict=True):
        assert text.startswith(window)
        assert len(text) <= 16 + 3 * 8
        if len(window) < 16:  # it has met its end
            assert text == window
    assert max(map(len, whole)) > 16


def test_what_cannot_go_on(command: Any, runs: dict[str, Path]) -> None:
    outcome = command("sample", runs["gan"], "-n", 2, "--windows", 2)
    assert outcome.code == 2 and "it cannot go on after one" in outcome.err


def test_design_without_features_or_changes_of_the_domain(
    command: Any, runs: dict[str, Path], tmp_path: Path
) -> None:
    """What text has is the model's ways alone, and no guess of scores."""
    script = tmp_path / "score.py"
    script.write_text("import sys\nfor line in sys.stdin:\n    print(line.count('a'))\n")
    (tmp_path / "seeds.txt").write_text("The cat sat on t")
    words = ["design", "--start", runs["vae"], "--oracle", f"{sys.executable} {script}"]
    words += ["--budget", 30, "--seeds", tmp_path / "seeds.txt", "--out", tmp_path / "d"]
    outcome = command(*words, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["calls"] == 30
    with (tmp_path / "d" / "calls.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [row["text"].count("a") for row in rows]
    refused = command(*words[:-4], "--scaffold", "The", "--out", tmp_path / "e")
    assert refused.code == 2 and "have no scaffold" in refused.err


def test_the_same_seed_gives_the_same_prompted_text(command: Any, runs: dict[str, Path]) -> None:
    words = ["sample", runs["vae"], "-n", 4, "--prompt", "The ", "--json"]
    first, again, other = (command(*words, "--seed", seed).json for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--prompt", "€"], "the training text has no '€'"),
        (["--prompt", ""], "a prompt of 0 tokens; this model writes 1 to 16"),
        (["--prompt", "a" * 17], "a prompt of 17 tokens"),
        (["--prompt", "a", "--infill", "b__"], "prompt and infill exclude each other"),
        (["--set", "top_p=2"], "family.top_p = 2"),
        (["--set", "free_bits=1"], "cannot be changed for a drawing"),
    ],
)
def test_what_cannot_be_asked_for(
    command: Any, runs: dict[str, Path], words: list[str], told: str
) -> None:
    outcome = command("sample", runs["vae"], "-n", 2, *words)
    assert outcome.code == 2
    assert told in outcome.err
    assert "Traceback" not in outcome.err


def test_a_gan_completes_nothing(command: Any, runs: dict[str, Path]) -> None:
    outcome = command("sample", runs["gan"], "-n", 2, "--prompt", "The")
    assert outcome.code == 2
    assert "cannot complete a part" in outcome.err


def test_molecules_are_begun_and_filled_in(command: Any, trained: Any) -> None:
    outcome = command("sample", trained.run, "-n", 5, "--prompt", "CCO", "--json")
    assert outcome.code == 0, outcome.err
    begun = [atoms_of(row["smiles"]) for row in outcome.json["rows"]]
    assert len(begun) == 5 and all(atoms.startswith("CCO") for atoms in begun)
    outcome = command("sample", trained.run, "-n", 5, "--infill", "FC(F)(*)Cl", "--json")
    filled = [sorted(atoms_of(row["smiles"])) for row in outcome.json["rows"]]
    assert all(set("CFl") <= set(atoms) and len(atoms) >= 5 for atoms in filled)
    refused = command("sample", trained.run, "-n", 2, "--infill", "CCO")
    assert refused.code == 2 and "one open place" in refused.err


def atoms_of(smiles: str) -> str:
    """In SELFIES what follows may still make a ring of what was there: only the atoms stay."""
    return re.sub("[^A-Za-z]", "", smiles)


def test_evaluation_tells_bits_and_the_use_of_the_latent(
    command: Any, runs: dict[str, Path]
) -> None:
    outcome = command("evaluate", runs["vae"], "-n", 40, "--json")
    assert outcome.code == 0, outcome.err
    figures = outcome.json["figures"]
    names = {"bound (bits/character)", "KL (nats)", "mutual information (nats)", "copied@50"}
    assert names <= figures.keys()
    # every character is a token here, and no window has an end but the last
    bits, per_token = (figures[f"bound (bits/{unit})"]["value"] for unit in ("character", "dim"))
    assert bits == pytest.approx(per_token, rel=0.01)


@pytest.mark.parametrize("tokens", ["bytes", "30"])
def test_other_tokens(command: Any, book: Path, tmp_path: Path, tokens: str) -> None:
    words = ["--domain", "text", "--data", book, "--out", tmp_path / "run"]
    outcome = command("train", *words, *small(**{"codec.tokens": tokens}))
    assert outcome.code == 0, outcome.err
    table = pq.read_table(tmp_path / "run" / "samples.parquet")
    assert table.column_names == ["text"]


def test_rows_without_text_are_set_aside(command: Any, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"text": VERSE * 3, "n": 1}] * 20 + [{"text": None, "n": 2}, {"text": "", "n": 3}]
    data.write_text("\n".join(map(json.dumps, rows)))
    outcome = command(
        "train", "--domain", "text", "--data", data, "--out", tmp_path / "run", *small()
    )
    assert outcome.code == 0, outcome.err
    assert "2 unusable records set aside" in outcome.err
    with (tmp_path / "run" / "rejects.csv").open() as file:
        told = [(row["row"], row["reason"]) for row in csv.DictReader(file)]
    assert told == [("20", "is missing"), ("21", "is empty")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"caf\xe9", "byte 3 (0xe9) is not UTF-8 text"),
        (b"PK\x03\x04\0\0", "is binary, not text: byte 4 is 0"),
    ],
)
def test_bad_files_are_told_and_leave_nothing(
    command: Any, tmp_path: Path, content: bytes, told: str
) -> None:
    data = tmp_path / "bad.txt"
    data.write_bytes(content)
    outcome = command("train", "--domain", "text", "--data", data, "--out", tmp_path / "run")
    assert outcome.code == 3
    assert told in outcome.err and "bad.txt" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "run").exists()


def test_rare_characters_are_told(command: Any, tmp_path: Path) -> None:
    data = tmp_path / "rare.txt"
    data.write_text(VERSE * 30 + "ŧøþ")
    words = ["--domain", "text", "--data", data, "--out", tmp_path / "run"]
    outcome = command("train", *words, *small(**{"codec.alphabet": 10}))
    assert outcome.code == 0, outcome.err
    assert "rare characters, beyond the 10 most frequent, are read as �" in outcome.err
