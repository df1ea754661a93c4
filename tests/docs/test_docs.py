"""What the documents say can be typed, clicked and called."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from gmkit.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(gmkit [^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
NAMED = re.compile(r"gmkit [a-z-]+( get)?")
GLOBAL = {"--help", "-h", "--version", "--traceback"}


def name(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def commands(page: Path) -> Iterator[str]:
    """Every gmkit command line on a page, in blocks and in text; one with … stands for many."""
    text = page.read_text()
    lines = [
        part.strip()
        for language, block in FENCE.findall(text)
        if language in ("", "sh", "bash")
        for line in block.splitlines()
        for part in line.split("&&")
    ]
    for line in [*lines, *INLINE.findall(FENCE.sub("", text))]:
        if line.startswith("gmkit ") and "…" not in line:
            yield line


def parse(command: Any, words: list[str]) -> Any:
    """Let a command, or a group's command, take its words without running it."""
    context = command.make_context("gmkit", list(words))
    if not isinstance(command, TyperGroup):
        return context
    _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    assert inner is not None
    return parse(inner, rest)


LINES = [
    pytest.param(line, id=f"{name(page)}: {line}")
    for page in PAGES
    for line in dict.fromkeys(commands(page))
]


@pytest.mark.parametrize("line", LINES)
def test_a_documented_command_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(line, comments=True)[1:]
    words = [word for word in words if word not in GLOBAL]
    try:
        parse(typer.main.get_command(app), words or ["doctor"])
    except typer._click.exceptions.MissingParameter:
        if not NAMED.fullmatch(line):  # text that only speaks of the command
            raise


@pytest.mark.parametrize("line", ["train --domian molecules", "trian", "plugins lss", "sample"])
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parse(typer.main.get_command(app), shlex.split(line))


def test_the_readme_shows_every_command() -> None:
    group: Any = typer.main.get_command(app)
    shown = {line.split()[1] for line in commands(ROOT / "README.md")}
    assert set(type(group).table) <= shown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        place = (page.parent / path).resolve() if path else page
        slugs = anchor and place.is_file() and [slug(h) for h in HEADING.findall(place.read_text())]
        if not place.exists() or (anchor and anchor not in (slugs or ())):
            broken.append(target)
    assert broken == []


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_ci_runs_what_the_readme_says() -> None:
    blocks = [block.strip() for _, block in FENCE.findall((ROOT / "README.md").read_text())]
    install = "pip install -r requirements.txt"
    train = "gmkit train --domain molecules --model vae"
    assert f"{install} && {train}" in blocks
    assert f"{install} && pytest" in blocks
    shown = subprocess.run(
        ["bash", ".ci/run", "--show"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == [install, "pytest", train]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_readmes_python_uses_what_is_there() -> None:
    import gmkit
    from gmkit.run import Run

    text = (ROOT / "README.md").read_text()
    blocks = [block for language, block in FENCE.findall(text) if language == "python"]
    for block in blocks:
        compile(block, "README.md", "exec")
    used = set(re.findall(r"\bgmkit\.(\w+)\(", "".join(blocks)))
    methods = set(re.findall(r"\brun\.(\w+)\(", "".join(blocks)))
    assert used == {"train", "load"}
    assert used <= set(gmkit.__all__)
    assert methods and all(callable(getattr(Run, method, None)) for method in methods)
