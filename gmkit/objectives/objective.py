"""What is wanted: terms on measures of a domain, or one's own scoring, joined to one score.

    [[term]]
    measure = "qed"             # a measure of the domain
    goal = "maximise"           # minimise | target | at_least | at_most | require | forbid
    weight = 2.0                # default 1
    low = 0.5                   # default: the range of the measure
    high = 0.9

    [[term]]
    measure = "similarity"
    argument = "CC(=O)Nc1ccc(O)cc1"
    goal = "target"
    value = 0.6
    width = 0.1

``at_least`` and ``at_most`` take a value and a width as ``target`` does, and fall off on one side.
``require`` and ``forbid`` are conditions (1 or 0), the rest desirabilities from 0 to 1: see
``gmkit.objectives.desirability``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gmkit.config import explain, read_toml
from gmkit.errors import ConfigError, did_you_mean
from gmkit.objectives.desirability import Goal, desirability, joined
from gmkit.objectives.measure import Measure, Measured

__all__ = ["Objective", "Scored", "Scorer", "Term", "parse_term", "read_objective"]

Floats = NDArray[np.float64]
_TERM = re.compile(r"\s*([\w-]+)(?::(.*?))?(?:=\s*([-+.\deE]+)\s*)?", re.DOTALL)


class Term(BaseModel):
    """One goal."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    measure: str
    argument: str = ""
    goal: Goal = "maximise"
    weight: float = Field(1.0, gt=0)
    low: float | None = None
    high: float | None = None
    value: float | None = None
    """Of the goals ``target``, ``at_least`` and ``at_most``."""
    width: float | None = Field(None, gt=0)

    @property
    def name(self) -> str:
        """As people know it: ``"similarity:CCO"``."""
        return f"{self.measure}:{self.argument}" if self.argument else self.measure


class Scored:
    """Scores of records, (n,) in [0, 1] unless an oracle has its own scale, and their parts."""

    def __init__(self, score: Floats, parts: Mapping[str, Floats]) -> None:
        self.score = score
        self.parts = dict(parts)


class Scorer(Protocol):
    """Whatever can score records: an objective, a user's oracle."""

    def __call__(self, records: pa.RecordBatch) -> Scored:
        """Scores and measured parts."""
        ...


class Objective:
    """The weighted geometric mean of terms' desirabilities."""

    def __init__(self, terms: Sequence[Term], measures: Mapping[str, Measure]) -> None:
        """Raises ConfigError for a term that cannot be measured or makes no sense."""
        if not terms:
            raise ConfigError("an objective needs a term", hint="For example: --maximise qed")
        self.terms = tuple(terms)
        self._measured = [(term, *_made(term, measures)) for term in terms]

    def __call__(self, records: pa.RecordBatch) -> Scored:
        """Score (n,) in [0, 1], and each term's measured values under its name."""
        parts, wanted = {}, []
        for term, measured, low, high, width in self._measured:
            values = measured(records)
            parts[term.name] = values
            wanted.append(desirability(values, term.goal, low, high, width))
        weights = np.array([term.weight for term in self.terms])
        return Scored(joined(np.stack(wanted), weights), parts)


def _made(term: Term, measures: Mapping[str, Measure]) -> tuple[Measured, float, float, float]:
    """What measures the term, and low, high and width of its desirability."""
    measure = measures.get(term.measure)
    if measure is None:
        known = f"Measures: {', '.join(measures)}." if measures else "This domain measures nothing."
        raise ConfigError(
            f"{term.measure!r} cannot be measured here",
            hint=did_you_mean(term.measure, measures) or known,
        )
    if bool(term.argument) != bool(measure.argument):
        what = f"needs {measure.argument}" if measure.argument else "takes no argument"
        raise ConfigError(f"the measure {term.measure!r} {what}, found {term.argument!r}")
    low = measure.low if term.low is None else term.low
    high = measure.high if term.high is None else term.high
    width = (measure.high - measure.low) / 10 if term.width is None else term.width
    if term.goal in ("target", "at_least", "at_most"):
        if term.value is None:
            raise ConfigError(
                f"the {term.goal.replace('_', ' ')} of {term.name!r} has no value",
                hint=f"Write {term.name}=NUMBER, or in a file value = NUMBER.",
            )
        low = high = term.value
    elif not low < high:
        raise ConfigError(f"{term.name!r}: low {low:g} is not below high {high:g}")
    return measure.make(term.argument), low, high, width


def parse_term(text: str, goal: Goal) -> Term:
    """``"qed"``, ``"similarity:CCO"``, for a target (or an edge) ``"logp=2.5"``. Raises
    ConfigError."""
    valued = goal in ("target", "at_least", "at_most")
    found = _TERM.fullmatch(text) if valued else None
    if valued:
        if found is None or found[3] is None or not _number(found[3]):
            raise ConfigError(
                f"{text!r} is no target", hint="Write MEASURE=NUMBER, such as logp=2.5."
            )
        return Term(measure=found[1], argument=found[2] or "", goal=goal, value=float(found[3]))
    name, _, argument = text.partition(":")
    return Term(measure=name.strip(), argument=argument.strip(), goal=goal)


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_objective(path: Path) -> list[Term]:
    """Terms of a TOML file. Raises ConfigError naming what is wrong."""
    facts = read_toml(path)
    terms: Any = facts.get("term")
    if set(facts) != {"term"} or not isinstance(terms, list) or not terms:
        raise ConfigError(
            f"{path}: an objective is a list of [[term]] tables and nothing else",
            hint='For example:\n[[term]]\nmeasure = "qed"\ngoal = "maximise"',
        )
    return [_term(term, f"term {n}", path) for n, term in enumerate(terms, 1)]


def _term(facts: Any, where: str, path: Path) -> Term:
    try:
        return Term.model_validate(facts)
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {explain(Term, error, where)}",
            hint=f"A term has: {', '.join(Term.model_fields)}.",
        ) from error
