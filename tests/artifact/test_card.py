"""The model card."""

from __future__ import annotations

import json
import re

from gmkit.artifact.card import model_card

FACTS = {
    "name": "Screening VAE",
    "domain": "molecules",
    "family": "vae",
    "tags": ["selfies", "vae"],
    "gmkit": "0.1.0",
    "packages": {"torch": "2.14.0"},
    "command": "gmkit train --domain molecules --model vae",
    "seed": 7,
    "steps": 12_000,
    "seconds": 81.4,
    "run": "runs/my run",
    "data": {
        "name": "wehi",
        "rows": 10_000,
        "fingerprint": "ab12",
        "licence": "BSD-3-Clause",
        "citation": "Baell 2010",
    },
    "metrics": {"validity": 1.0, "fcd": 0.12345, "scaf": None},
    "floors": {"fcd": 0.01},
    "limits": ["Macrocycles are rare."],
}


def block(card: str) -> str:
    match = re.match(r"---\n(.*?)\n---\n\n# ", card, re.DOTALL)
    assert match is not None
    return match[1]


def test_card_says_what_was_trained_on_what_and_how() -> None:
    card = model_card(FACTS)
    assert block(card).splitlines() == [
        "library_name: gmkit",
        "tags:",
        '- "gmkit"',
        '- "molecules"',
        '- "vae"',
        '- "selfies"',
        "license: bsd-3-clause",
    ]
    for text in [
        "# Screening VAE\n",
        "| rows | 10,000 |",
        "| fingerprint | `ab12` |",
        "| licence | BSD-3-Clause |",
        "| citation | Baell 2010 |",
        "| command | `gmkit train --domain molecules --model vae` |",
        "| seed | 7 |",
        "| steps | 12,000 |",
        "| time | 81 s |",
        "| gmkit | 0.1.0 |",
        "| torch | 2.14.0 |",
        "| metric | value | floor |",
        "| validity | 1 | – |",
        "| fcd | 0.1235 | 0.01 |",
        "| scaf | – | – |",
        "gmkit sample 'runs/my run' -n 1000",
        "gmkit.load('runs/my run')",
        "- Macrocycles are rare.",
    ]:
        assert text in card


def test_card_of_nothing_known_is_whole() -> None:
    card = model_card({})
    assert "license" not in block(card)
    assert "Not evaluated yet" in card
    assert "find out before you share samples" in card
    assert "gmkit sample RUN" in card
    assert "None" not in card


def test_a_licence_the_hub_does_not_know_keeps_its_name() -> None:
    card = model_card({"data": {"licence": 'free: for "academics"\nonly'}})
    assert 'license: other\nlicense_name: "free: for \\"academics\\" only"' in block(card)


def test_values_cannot_break_out_of_their_place() -> None:
    hostile = 'a|b\n---\n# <script>`x`[y](z)*\x1b[31m"\u2028:'
    card = model_card(
        {
            "name": hostile,
            "domain": hostile,
            "family": hostile,
            "tags": [hostile],
            "command": hostile,
            "run": hostile,
            "data": {"name": hostile, "fingerprint": hostile, "licence": hostile},
            "packages": {hostile: hostile},
            "metrics": {hostile: 1},
            "limits": [hostile],
        }
    )
    assert "\x1b" not in card
    assert "\u2028" not in card
    assert card.count("\n---\n") == 1
    assert len(re.findall(r"^# ", card, re.MULTILINE)) == 1
    plain = 'a|b --- # <script>`x`[y](z)*[31m" :'
    values = re.findall(r'^(?:- |license_name: )(".*")$', block(card), re.MULTILINE)
    assert [json.loads(value) for value in values] == ["gmkit", plain, plain]
    tables = re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(pipes) == 1
    body = card.split("\n---\n", 1)[1]
    outside_code = re.sub(r"```.*?\n```|``.*?``", "", body, flags=re.DOTALL)
    assert "\\<script\\>" in outside_code
    assert not re.search(r"(?<!\\)<script", outside_code)
