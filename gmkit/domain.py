"""The domain contract: one kind of data, its codec, its data sets and how good samples look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gmkit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from gmkit.api import DomainInfo
    from gmkit.codecs import Codec
    from gmkit.data.formats import FolderFormat, Format
    from gmkit.objectives.change import Change, Scaffold
    from gmkit.objectives.measure import Measure
    from gmkit.objectives.objective import Term


class Domain(ABC):
    """Subclass this and name it in a ``DomainInfo``. Made without arguments, cheap to make."""

    info: DomainInfo
    """Set by the registry from the plugin's description."""

    column: str = ""
    """The record's main column as the codec reads and writes it; empty for whole-row domains."""

    aliases: tuple[str, ...] = ()
    """Column names taken for ``column`` when the user names none, best first, any case."""

    telling: tuple[str, ...] = ()
    """Numbers that the codec takes as conditions of any record and by which a person would tell an
    odd one (a molecule's weight): what judges records judges these too."""

    @abstractmethod
    def codec(self, config: Mapping[str, Any]) -> Codec:
        """A new, unfitted codec for these ``codec.*`` options; its class restores stored ones."""

    def defaults(self, family: str, budget: float | None) -> dict[str, Any]:
        """Configuration (``{"family": {...}, "trunk": {...}, "training": {...}}``) that suits
        this kind of data; ``budget`` in seconds, None when steps decide. Users' options win."""
        return {}

    def formats(self) -> Mapping[str, Format]:
        """File formats by ending (``".smi"``) beyond those the core reads and writes."""
        return {}

    def folder(self) -> FolderFormat | None:
        """How a folder of many small files is read as records (images sorted into classes)."""
        return None

    def keys(self, records: pa.RecordBatch) -> pa.Array:
        """What makes two records the same (strings or bytes), for splits without leaks."""
        return records.column(self.column)

    def groups(self, records: pa.RecordBatch) -> pa.Array:
        """What must not be parted by a split into training and test (strings or bytes), such as
        pieces of one document. By default what makes two records the same."""
        return self.keys(records)

    def measure(self, records: pa.RecordBatch) -> tuple[str, int] | None:
        """A unit that people compare likelihoods by, such as the character, and how many of it the
        records hold; None for no other than the field's elements."""
        return None

    @abstractmethod
    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """For each record whether it is a proper one (a molecule that parses, …)."""

    def measures(self) -> Mapping[str, Measure]:
        """Numbers that can be told of a record, by name: what ``gmkit design`` may be asked for."""
        return {}

    def penalties(self) -> Sequence[Term]:
        """What records should have whatever else is asked of them (that a molecule can be made,
        …); in ``gmkit design`` they weigh beside the user's own terms."""
        return ()

    def changes(self) -> Mapping[str, Change]:
        """Ways to change records, by name: mutations and crossings that ``gmkit design`` tries
        beside those of the model."""
        return {}

    def features(self, records: pa.RecordBatch) -> NDArray[np.bool_] | None:
        """(n, d), by which records are alike: those that share many are likely to score alike. With
        them ``gmkit design`` guesses scores before it asks for them; None where there are none."""
        return None

    def scaffold(self, text: str) -> Scaffold:
        """A part that every designed record must have, as a person would write it. Raises
        ConfigError for what cannot be one."""
        raise ConfigError(
            "records of this kind have no scaffold", hint="Leave out --scaffold; try --require."
        )

    def nearest(self, records: pa.RecordBatch, known: pa.RecordBatch) -> pa.Table | None:
        """For each record the one of ``known`` most like it, in columns ``nearest`` and
        ``similarity`` (0 … 1); None where the domain cannot tell."""
        return None

    def preview(self, records: pa.RecordBatch) -> RenderableType:
        """A few records as a person would look at them in a terminal."""
        from rich.table import Table

        table = Table(*records.schema.names)
        for row in records.to_pylist():
            table.add_row(*(str(value) for value in row.values()))
        return table

    def draw(self, records: pa.RecordBatch) -> bytes | None:
        """A picture of the first records, SVG or PNG, for ``samples.svg`` or ``samples.png`` of a
        run; None for none. It is given up to 64 records."""
        return None


def installed_domain(name: str) -> Domain:
    """The domain of that name, of any installed plugin. Raises PluginError for none."""
    from gmkit.plugins import registry

    return registry().domain(name)


def example(name: str) -> str:
    """What a domain's default data set holds, in a line; empty where it has none."""
    from gmkit.plugins import registry

    mine = (info for info in registry().datasets().values() if info.domain == name)
    return next((info.summary for info in mine if info.default), "")
