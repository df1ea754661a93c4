"""Something that lies in a temporary folder for as long as it is held."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Temporary"]


class Temporary:
    """Base of what may have a temporary folder, which is gone after ``with`` or ``close``."""

    _temporary: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary folder, if there is one."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
