"""The registry: what the installed plugins offer, and why something is not there.

A plugin is an entry point of the group ``gmkit.plugins``; the core's own families and fields come
through the same door (``gmkit.builtin``). pluggy's ``load_setuptools_entrypoints`` ends at the
first failing import, and a hook call loses all results when one implementation raises; so each
plugin is loaded, gated by API version and asked by itself. What fails is set aside with a
one-line reason and the rest works.

Environment: ``GMKIT_PLUGINS=a,b`` loads only these (and the core), ``GMKIT_DISABLE_PLUGINS=x``
leaves out, ``GMKIT_STRICT_PLUGINS=1`` raises PluginError at the first fault (authors, CI).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

from gmkit import hookspecs
from gmkit.api import (
    CommandInfo,
    DatasetInfo,
    DomainInfo,
    FamilyInfo,
    FieldInfo,
    Info,
    MetricInfo,
    RecipeInfo,
    ScorerInfo,
    TrunkInfo,
)
from gmkit.discovery import (
    FIRST_PARTY,
    Plugin,
    State,
    api_fault,
    discover,
    explain,
    left_out,
)
from gmkit.entry_points import EntryPoint
from gmkit.errors import PluginError, did_you_mean
from gmkit.stacks import HOW, JOIN, StackInfo, stack_info

if TYPE_CHECKING:
    from gmkit.domain import Domain

__all__ = ["HOOKS", "KINDS", "PluginState", "Registry", "registry"]

KINDS: dict[str, type[Info]] = {
    "domain": DomainInfo,
    "family": FamilyInfo,
    "field": FieldInfo,
    "trunk": TrunkInfo,
    "scorer": ScorerInfo,
    "metric": MetricInfo,
    "dataset": DatasetInfo,
    "command": CommandInfo,
    "recipe": RecipeInfo,
}
HOOKS = {kind: f"gmkit_register_{kind}s" for kind in KINDS} | {"family": "gmkit_register_families"}
T = TypeVar("T", bound=Info)


@dataclass(frozen=True)
class PluginState:
    """One plugin as ``gmkit plugins ls`` shows it."""

    name: str
    distribution: str
    version: str
    api: str
    """The API version it states; empty when it states none or could not be imported."""
    state: State
    reason: str
    """One line saying why it is not ``ok``, with the command that mends it where one does."""
    provides: dict[str, tuple[str, ...]]
    """Kind (a key of ``KINDS``) → names; kinds of which it has none are left out."""


class Registry:
    """What all plugins offer together. Plugins load when it is made, hooks run on first need."""

    def __init__(self) -> None:
        """Load every plugin. Raises PluginError only with ``GMKIT_STRICT_PLUGINS=1``."""
        self._manager = pluggy.PluginManager("gmkit")
        self._manager.add_hookspecs(hookspecs)
        self._plugins = discover()
        for plugin in self._plugins:
            self._accept(plugin)

    # ------------------------------------------------------------ what there is

    def plugins(self) -> list[PluginState]:
        """Every plugin found with its state, the core first; runs all hooks not yet run."""
        for kind in KINDS:
            self._ask(kind)
        return [
            PluginState(
                name=p.name,
                distribution=p.distribution,
                version=p.version,
                api=p.api,
                state=p.state,
                reason=p.reason,
                provides={k: tuple(i.name for i in infos) for k, infos in p.infos.items() if infos},
            )
            for p in self._plugins
        ]

    def domains(self) -> dict[str, DomainInfo]:
        """Domains by name; where two plugins offer one name, each as ``plugin:name`` instead."""
        return self._table("domain", DomainInfo)

    def families(self) -> dict[str, FamilyInfo]:
        """Families by name; clashes as for ``domains``."""
        return self._table("family", FamilyInfo)

    def fields(self) -> dict[str, FieldInfo]:
        """Fields by kind; clashes as for ``domains``."""
        return self._table("field", FieldInfo)

    def trunks(self) -> dict[str, TrunkInfo]:
        """Trunks by layout; clashes as for ``domains``."""
        return self._table("trunk", TrunkInfo)

    def scorers(self) -> dict[str, ScorerInfo]:
        """Scorers by name; clashes as for ``domains``."""
        return self._table("scorer", ScorerInfo)

    def metrics(self) -> dict[str, MetricInfo]:
        """Metrics by name; clashes as for ``domains``."""
        return self._table("metric", MetricInfo)

    def datasets(self) -> dict[str, DatasetInfo]:
        """Data sets by name; clashes as for ``domains``."""
        return self._table("dataset", DatasetInfo)

    def commands(self) -> dict[str, CommandInfo]:
        """Commands by name; clashes as for ``domains``."""
        return self._table("command", CommandInfo)

    def recipes(self) -> dict[str, RecipeInfo]:
        """Recipes by name; clashes as for ``domains``."""
        return self._table("recipe", RecipeInfo)

    def offers(self, kind: str) -> dict[str, Info]:
        """The records of any ``kind`` (a key of ``KINDS``) by name, as the methods above."""
        return self._table(kind, Info)

    def get(self, kind: str, name: str) -> Info:
        """The record of ``kind`` (a key of ``KINDS``) called ``name`` or ``plugin:name``; of two
        families stacked, ``name+name``.

        Raises PluginError: unknown (with the closest name, or why the plugin that would have
        given it is absent, and the pip command) or ambiguous (with both full names). Raises
        ConfigError for families that do not stack.
        """
        if kind == "family" and JOIN in name:
            return stack_info(self, name)
        owner, _, bare = name.rpartition(":")
        matches = [
            (plugin, info)
            for plugin, info in self._ask(kind)
            if info.name == bare and owner in ("", plugin.name)
        ]
        if not matches:
            raise self._unknown(kind, name)
        if len(matches) > 1:
            both = " and ".join(repr(f"{plugin.name}:{bare}") for plugin, _ in matches)
            raise PluginError(
                f"{_label(kind)} {bare!r} is ambiguous: {both} are both installed",
                hint="Write the one you mean in full.",
            )
        return matches[0][1]

    def owner(self, info: Info) -> str:
        """The name of the plugin that gave this very record; empty for a record of no plugin."""
        plugin = self._owner(info)
        return plugin.name if plugin else ""

    # ------------------------------------------------------------ using it

    def load(self, info: Info) -> Any:
        """The object that ``info.loader`` names. Raises PluginError when it cannot be imported."""
        if isinstance(info, StackInfo):
            return self._stacked(info)
        loader = getattr(info, "loader", None)
        if loader is None:
            raise PluginError(f"{_label(_kind(info))} {info.name!r} has no loader to import")
        try:
            return EntryPoint(info.name, loader).load()
        except (Exception, SystemExit) as error:
            raise self._broken(info, error) from error

    def domain(self, name: str) -> Domain:
        """A new instance of a domain with its ``info`` set. Raises PluginError."""
        from gmkit.domain import Domain

        info = self.get("domain", name)
        assert isinstance(info, DomainInfo)
        cls = self.load(info)
        if not (isinstance(cls, type) and issubclass(cls, Domain)):
            raise PluginError(f"domain {name!r}: {info.loader} is not a gmkit.domain.Domain")
        try:
            domain = cls()
        except (Exception, SystemExit) as error:
            raise self._broken(info, error) from error
        domain.info = info
        return domain

    def _stacked(self, info: StackInfo) -> Any:
        """The class of two families stacked."""
        first, second = self.load(info.first), self.load(info.second)
        stack = EntryPoint(info.name, info.loader).load()
        return stack(first, second, info.first.name, info.second.name)

    # ------------------------------------------------------------ loading and asking

    def _accept(self, plugin: Plugin) -> None:
        """Import, gate by API version, register and check the hooks of one plugin."""
        if reason := left_out(plugin):
            # The user's own wish, so no fault even in strict mode.
            plugin.state, plugin.reason = "disabled", reason
            return
        try:
            module = plugin.entry.load()
        except (Exception, SystemExit) as error:
            plugin.drop("failed", explain(error, plugin.distribution), error)
            return
        stated = getattr(module, "__gmkit_api__", None)
        plugin.api = "" if stated is None else str(stated)
        if reason := api_fault(stated, plugin):
            plugin.drop("disabled", reason)
            return
        if twin := next((p for p in self._plugins if p.module and p.name == plugin.name), None):
            plugin.drop("failed", f"{twin.origin} has a plugin called {plugin.name!r} already")
            return
        try:
            self._manager.register(module, plugin.name)
        except Exception as error:
            plugin.drop("failed", explain(error), error)
            return
        if reason := self._unknown_hooks(module):
            plugin.drop("failed", reason)
            return
        plugin.module = module

    def _unknown_hooks(self, module: object) -> str:
        """A sentence naming the hooks of a module that no specification knows."""
        return " ".join(
            f"there is no hook {caller.name!r}. {did_you_mean(caller.name, HOOKS.values())}"
            for caller in self._manager.get_hookcallers(module) or ()
            if not caller.has_spec()
            and not all(i.optionalhook for i in caller.get_hookimpls() if i.plugin is module)
        )

    def _ask(self, kind: str) -> list[tuple[Plugin, Info]]:
        """Every plugin's records of a kind. Each hook runs once, and its failure is its own."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, HOOKS[kind])
        impls = {id(impl.plugin): impl for impl in caller.get_hookimpls()}
        found: list[tuple[Plugin, Info]] = []
        for plugin in self._plugins:
            if kind not in plugin.infos:
                plugin.infos[kind] = []
                if plugin.module and (impl := impls.get(id(plugin.module))):
                    self._run(plugin, kind, impl)
            found += ((plugin, info) for info in plugin.infos[kind])
        return found

    def _run(self, plugin: Plugin, kind: str, impl: pluggy.HookImpl) -> None:
        """Ask one plugin through one hook; keeps the answer only when it is well-formed."""
        try:
            answer: list[Any] = list(cast(Any, impl.function)() or ())
        except (Exception, SystemExit) as error:
            plugin.drop("failed", f"{HOOKS[kind]}() raised {explain(error)}", error)
            return
        names = [getattr(info, "name", "") for info in answer]
        expected = KINDS[kind]
        if strange := next((i for i in answer if not isinstance(i, expected)), None):
            got, wanted = type(strange).__name__, expected.__name__
            plugin.drop("failed", f"{HOOKS[kind]}() returned {got}, expected {wanted}")
        elif twice := next((n for n in names if names.count(n) > 1), None):
            plugin.drop("failed", f"{HOOKS[kind]}() names {twice!r} twice")
        else:
            plugin.infos[kind] = answer

    def _table(self, kind: str, cls: type[T]) -> dict[str, T]:
        found = [(p, info) for p, info in self._ask(kind) if isinstance(info, cls)]
        names = [info.name for _, info in found]
        return {
            info.name if names.count(info.name) == 1 else f"{p.name}:{info.name}": info
            for p, info in found
        }

    # ------------------------------------------------------------ why something is not there

    def _owner(self, info: Info) -> Plugin | None:
        for plugin in self._plugins:
            if any(known is info for known in plugin.infos.get(_kind(info), ())):
                return plugin
        return None

    def _broken(self, info: Info, error: BaseException) -> PluginError:
        """For a record whose implementation cannot be imported or made."""
        owner = self._owner(info)
        extra = info.extra if isinstance(info, MetricInfo) else ""
        reason = explain(error, owner.distribution if owner else "", extra)
        origin = f" comes from {owner.origin}, which" if owner else ""
        return PluginError(f"{_label(_kind(info))} {info.name!r}{origin} failed to load: {reason}")

    def _unknown(self, kind: str, name: str) -> PluginError:
        """For a name nobody offers. What an absent plugin would give is guessed by its name."""
        owner, _, bare = name.rpartition(":")
        guesses = {owner or bare, f"gmkit-{owner or bare}"}
        absent = [p for p in self._plugins if p.state != "ok"]
        for plugin in absent:
            if guesses & plugin.names:
                verb = "is disabled" if plugin.state == "disabled" else "failed to load"
                return PluginError(
                    f"{_label(kind)} {name!r} comes from {plugin.origin}, "
                    f"which {verb}: {plugin.reason}",
                    hint="gmkit plugins ls shows the state of every plugin.",
                )
        known = set(self.offers(kind))
        extras = set(FIRST_PARTY) - known if kind == "domain" else set()
        hint = did_you_mean(bare, known | extras)
        near = next((x for x in extras if hint == f"Did you mean {x!r}?"), "")
        if bare in extras:
            hint = f"pip install gmkit[{bare}]"
        elif near:
            hint += f" It comes with: pip install gmkit[{near}]"
        elif extras and not hint.startswith("Did you mean"):
            hint = did_you_mean(bare, known)
        if kind == "family" and hint.startswith("Known:"):
            hint += f"\n{HOW}"
        others = [f"Plugin {p.name!r} is not loaded: {p.reason}" for p in absent]
        return PluginError(
            f"unknown {_label(kind)} {name!r}", hint="\n".join(filter(None, [hint, *others]))
        )


@functools.cache
def registry() -> Registry:
    """The registry of this process; ``registry.cache_clear()`` makes the next call look anew."""
    return Registry()


def _kind(info: Info) -> str:
    return next(kind for kind, cls in KINDS.items() if isinstance(info, cls))


def _label(kind: str) -> str:
    return "data set" if kind == "dataset" else kind
