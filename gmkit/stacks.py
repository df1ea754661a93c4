"""Two families stacked: ``vae+diffusion`` names one model, made of what two names stand for.

Needs no torch: the classes themselves are joined by ``gmkit.families.stack``.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gmkit.api import FamilyInfo
from gmkit.errors import ConfigError

if TYPE_CHECKING:
    from gmkit.plugins import Registry

JOIN = "+"
LOADER = "gmkit.families.stack:stack"
HOW = "Families stack with '+': the second learns the first's latent, as in vae+diffusion."


@dataclass(frozen=True, kw_only=True)
class StackInfo(FamilyInfo):
    """The second family models the latents of the first."""

    first: FamilyInfo
    second: FamilyInfo

    def __post_init__(self) -> None:
        """Its parts were checked; its name alone has a ``+``."""

    @property
    def parts(self) -> dict[str, FamilyInfo]:
        """Name of its table of options (``family.NAME.*``) → part."""
        one, two = part_names(self.first.name, self.second.name)
        return {one: self.first, two: self.second}


def stack_info(known: Registry, name: str) -> StackInfo:
    """The record of a stack called ``name``.

    Raises PluginError for an unknown part, ConfigError where the name does not join two, or the
    first has no latent to learn.
    """
    names = name.split(JOIN)
    if len(names) != 2 or not all(names):
        raise ConfigError(
            f"model {name!r} is not two families joined by '+'", hint="For example: vae+diffusion"
        )
    first, second = (_family(known, part) for part in names)
    if "encode" not in first.capabilities:
        able = [n for n, info in known.families().items() if "encode" in info.capabilities]
        raise ConfigError(
            f"model {name!r}: {first.name} has no latent for {second.name} to learn",
            hint=f"Families that can come first: {', '.join(able) or 'none installed'}.",
        )
    return StackInfo(
        name=f"{first.name}{JOIN}{second.name}",
        summary=f"{second.name} on the latents of {first.name}",
        loader=LOADER,
        capabilities=stack_capabilities(first.capabilities, second.capabilities),
        first=first,
        second=second,
    )


def stack_capabilities(first: Set[str], second: Set[str]) -> frozenset[str]:
    """What a stack can do: what its first part can with a latent, and a bound where both have
    one."""
    kept = {"encode", "reconstruct", "complete"} & first
    return frozenset(kept | ({"log_prob"} & first & second))


def part_names(first: str, second: str) -> tuple[str, str]:
    """How the options and players of the two parts are told apart, as Python identifiers."""
    one, two = first.replace("-", "_"), second.replace("-", "_")
    return one, two if two != one else f"{two}2"


def _family(known: Registry, name: str) -> FamilyInfo:
    info = known.get("family", name)
    assert isinstance(info, FamilyInfo)
    return info


def parts_of(info: FamilyInfo) -> Mapping[str, FamilyInfo]:
    """The parts of a stack by their tables of options; of any other family none."""
    return info.parts if isinstance(info, StackInfo) else {}
