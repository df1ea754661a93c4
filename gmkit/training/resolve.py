"""From what the user said to the whole configuration of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from gmkit.api import FamilyInfo
from gmkit.codecs import Codec
from gmkit.config import SEE, RunConfig, Settings, explain, merge, validated
from gmkit.domain import Domain
from gmkit.errors import ConfigError
from gmkit.families import Family
from gmkit.families.family import FamilyConfig
from gmkit.plugins import registry
from gmkit.stacks import parts_of
from gmkit.training.request import check_names, model_of
from gmkit.trunks import TrunkConfig

MEASURES = frozenset({"width", "depth", "encoder_depth"})
"""Options of a trunk that its size sets otherwise."""


@dataclass(frozen=True)
class Resolved:
    """A checked configuration and the parts it names."""

    config: RunConfig
    domain: Domain
    codec: Codec
    family: type[Family]
    family_info: FamilyInfo
    family_config: FamilyConfig
    trunk_config: TrunkConfig

    def settled(self, records: int) -> Resolved:
        """With what waited for the number of records: the size of the networks and the steps."""
        trunk = self.trunk_config.settled(records)
        table = trunk.model_dump(mode="json", exclude_none=True)
        training = self.config.training.settled(records)
        config = self.config.model_copy(update={"trunk": table, "training": training})
        return replace(self, config=config, trunk_config=trunk)


def resolve(settings: Settings, *, stored: bool = False) -> Resolved:
    """Check ``settings`` (nested, the user's own) and fill in what was left open.

    ``stored``: they are the whole configuration of a run, to which nothing is added: what a domain
    finds suitable today need not be what it did then.

    Raises ConfigError naming each wrong option, PluginError for an unknown domain or model.
    """
    known = registry()
    check_names(settings)
    domain = known.domain(str(settings["domain"]))
    model = model_of(settings)
    info = known.get("family", model)
    assert isinstance(info, FamilyInfo)
    family = known.load(info)
    budget = _table(settings, "training").get("time_budget")
    values = merge(settings, {"model": model})
    if not stored:
        seconds = float(budget) if isinstance(budget, int | float) else None
        below = merge(family.defaults, suited(domain, info, seconds))
        if "size" in _table(settings, "trunk"):  # asked for: the domain's own measures give way
            below["trunk"] = {k: v for k, v in _table(below, "trunk").items() if k not in MEASURES}
        values = merge(below, values)
        asked = _table(settings, "training")
        if "steps" in asked and "passes" not in asked:  # these many, however few the records
            values = merge(values, {"training": {"passes": 0}})
        if budget is not None and "steps" not in _table(settings, "training"):
            values = merge(values, {"training": {"steps": 0}})  # the time alone ends it
    config: RunConfig = validated(RunConfig, values)
    try:
        codec = domain.codec(config.codec)
    except ValidationError as error:
        kind = type(domain.codec({})).Config
        raise ConfigError(explain(kind, error, "codec"), hint=SEE) from error
    family_config = validated(family.Config, config.family, "family")
    trunk_config = validated(TrunkConfig, config.trunk, "trunk")
    whole = config.model_copy(
        update={
            "codec": codec.config.model_dump(mode="json", exclude_none=True),
            "family": family_config.model_dump(mode="json", exclude_none=True),
            "trunk": trunk_config.model_dump(mode="json", exclude_none=True),
        }
    )
    return Resolved(whole, domain, codec, family, info, family_config, trunk_config)


def suited(domain: Domain, info: FamilyInfo, budget: float | None) -> Settings:
    """What the domain finds suitable for a family, and what the family's name stands for.

    Where the domain has no ``family`` or ``sampling`` options for that very name, a preset goes by
    those for the family it is a preset of, and a stack by those for its parts: each part's under
    its own table, and codec and drawing as for the first, which does the decoding.
    """
    answer = domain.defaults(info.name, budget)
    below: Settings = {}
    parts = parts_of(info)
    if parts:
        each = {name: suited(domain, part, budget) for name, part in parts.items()}
        first = next(iter(each.values()))
        below |= {name: first[name] for name in ("sampling", "codec") if name in first}
        below["family"] = {
            name: part.get("family")
            for name, part in each.items()
            if name not in answer.get("family", {})
        }
    elif info.preset and (base := _preset_of(info)):
        whole = domain.defaults(base.name, budget)
        below = {name: whole.get(name) for name in ("sampling", "family") if name not in answer}
    return merge(below, {"family": info.preset}, answer)


def _preset_of(info: FamilyInfo) -> FamilyInfo | None:
    """The plain family that a preset sets options of."""
    return next(
        (
            other
            for other in registry().families().values()
            if other.loader == info.loader and not other.preset
        ),
        None,
    )


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A sub-table of options, empty when absent or (an error that is told later) no table."""
    table = settings.get(name)
    return table if isinstance(table, Mapping) else {}
