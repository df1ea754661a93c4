"""The reject file: records that could not be used, each with its row and the reason."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from gmkit.artifact.files import remove, sync, temporary_name
from gmkit.errors import DataError

if TYPE_CHECKING:
    from gmkit.codecs import Reject

REJECTS = "rejects.csv"
"""Unusable records with row, column, value and reason, in the cache and in a run."""


class RejectFile:
    """A CSV of rejects (row, column, value, reason) that appears, by rename, only if there is one.

    On an exception nothing is written.
    """

    def __init__(self, path: Path) -> None:
        """``path`` ends in ``.csv`` by convention."""
        self.path = path
        self.count = 0
        """Rejects so far."""
        self.reasons: Counter[str] = Counter()
        """How often each kind of reason occurred: its text before the first colon."""
        self._temporary = temporary_name(path)
        self._file: TextIO | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def add(self, rejects: Sequence[Reject]) -> None:
        """Append rejects. Raises DataError when they cannot be written."""
        if not rejects:
            return
        self.count += len(rejects)
        self.reasons.update(reject.reason.split(":", 1)[0].strip() for reject in rejects)
        try:
            if self._file is None:
                self._file = self._temporary.open("w", encoding="utf-8", newline="")
                self._writer = csv.writer(self._file)
                self._writer.writerow(["row", "column", "value", "reason"])
            self._writer.writerows(rejects)
        except OSError as fault:
            raise self._told(fault) from fault

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
            if kind is None:
                sync(self._temporary)
                self._temporary.replace(self.path)
        except OSError as fault:
            if kind is None:
                raise self._told(fault) from fault
        finally:
            with suppress(OSError):
                remove(self._temporary)

    def _told(self, fault: OSError) -> DataError:
        return DataError(
            f"{self.count} rejected records cannot be written: {fault.strerror or fault}",
            file=str(self.path),
            hint="Make room or make the folder writable.",
        )
