"""The model card: the run's README.md, with the metadata block that Hugging Face reads.

https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

_LICENCES = {
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "mit",
    "odbl",
    "odc-by",
    "pddl",
    "unlicense",
}
"""Names of data licences that the Hub knows; every other one is ``other`` with its own name."""


def _line(value: object) -> str:
    """``value`` on one line, without control characters."""
    text = " ".join(str(value).split())
    return "".join(c for c in text if c.isprintable())


def _cell(value: object) -> str:
    """``value`` inside a Markdown table: nothing in it ends a cell, starts HTML or a link."""
    return re.sub(r"([\\|`*_\[\]<>])", r"\\\1", _line(value))


def _code(value: object) -> str:
    """``value`` as inline code in a table cell, or a dash when there is none."""
    text = _line(value).replace("|", r"\|")
    if not text:
        return "–"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _yaml(value: object) -> str:
    """``value`` as a double-quoted YAML string (JSON strings are such)."""
    return json.dumps(_line(value), ensure_ascii=False)


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else _cell(value)
    if value != value:  # not a number: not defined for so few samples
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _metadata(facts: Mapping[str, Any]) -> str:
    tags = ["gmkit", facts.get("domain"), facts.get("family"), *facts.get("tags", ())]
    lines = ["---", "library_name: gmkit", "tags:"]
    lines += [f"- {_yaml(tag)}" for tag in dict.fromkeys(tag for tag in tags if tag)]
    licence = _line(facts.get("data", {}).get("licence", ""))
    if licence:
        known = re.sub(r"[\s_]+", "-", licence.lower())
        if known in _LICENCES:
            lines.append(f"license: {known}")
        else:
            lines += ["license: other", f"license_name: {_yaml(licence)}"]
    return "\n".join([*lines, "---"])


def _conditions(conditions: Mapping[str, Any]) -> str:
    """What samples can be asked for; nothing for a model without conditions."""
    if not conditions:
        return ""
    rows = [(_cell(name), _cell(known)) for name, known in conditions.items()]
    return "\n\n" + _table(("condition", ""), rows)


def _data(data: Mapping[str, Any]) -> str:
    rows = [
        ("name", _cell(data.get("name") or "–")),
        ("rows", _number(data.get("rows"))),
        ("fingerprint", _code(data.get("fingerprint", ""))),
        ("licence", _cell(data.get("licence") or "not known: find out before you share samples")),
    ]
    if data.get("citation"):
        rows.append(("citation", _cell(data["citation"])))
    return _table(("data", ""), rows)


def _training(facts: Mapping[str, Any]) -> str:
    seconds = facts.get("seconds")
    rows = [
        ("command", _code(facts.get("command", ""))),
        ("seed", _number(facts.get("seed"))),
        ("steps", _number(facts.get("steps"))),
        ("time", "–" if seconds is None else f"{seconds:,.0f} s"),
    ]
    packages = {"gmkit": facts.get("gmkit", ""), **facts.get("packages", {})}
    rows += [(_cell(name), _cell(version)) for name, version in packages.items() if version]
    return _table(("training", ""), rows)


def _figures(metrics: Mapping[str, Any], floors: Mapping[str, Any]) -> str:
    if not metrics:
        return "Not evaluated yet: `gmkit evaluate` does it."
    rows = [
        (_cell(name), _number(value), _number(floors.get(name))) for name, value in metrics.items()
    ]
    return (
        _table(("metric", "value", "floor"), rows)
        + "\n\nThe floor is what a copy of training records would score."
    )


def _usage(run: str, where: str) -> str:
    asked = f" --where {shlex.quote(where)}" if where else ""
    keyword = f", where={where!r}" if where else ""
    return f"""```sh
gmkit sample {shlex.quote(run)} -n 1000{asked} --out samples.parquet
gmkit evaluate {shlex.quote(run)}
```

```python
import gmkit

run = gmkit.load({run!r})
samples = run.sample(1000{keyword})
```"""


def model_card(facts: Mapping[str, Any]) -> str:
    """The text of README.md (Markdown).

    ``facts``, each optional: name, domain, family, tags (list of str), gmkit (version),
    packages (name → version), command, seed, steps, seconds, run (path to show in the examples),
    conditions (name → what it may be), where (an example of asking for one),
    data (name, rows, fingerprint, licence, citation), metrics and floors (name → number),
    limits (list of sentences of the domain).
    """
    domain, family = _cell(facts.get("domain", "")), _cell(facts.get("family", ""))
    title = _cell(facts.get("name") or f"{family} on {domain}")
    limits = [
        "It imitates its training data, gaps and biases included, and may repeat records of it.",
        "Figures hold for the data, seed and versions named above.",
        "Samples are proposals: check them before anything depends on them.",
        *map(_cell, facts.get("limits", ())),
    ]
    return f"""{_metadata(facts)}

# {title}

A generative model of {domain or "records"} (family: {family or "–"}), trained with gmkit. The
folder holds weights, codec and configuration as plain data: loading it runs no code from it.

## Data

{_data(facts.get("data", {}))}

## How it was trained

{_training(facts)}{_conditions(facts.get("conditions", {}))}

## Figures

{_figures(facts.get("metrics", {}), facts.get("floors", {}))}

## How to use it

{_usage(_line(facts.get("run") or "RUN"), _line(facts.get("where", "")))}

## Limits

{chr(10).join(f"- {limit}" for limit in limits)}
"""
