"""metrics.jsonl: one JSON object a report, and TensorBoard events where asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gmkit.artifact.files import write_text_atomic
from gmkit.errors import PluginError


class MetricsLog:
    """Appends rows to ``metrics.jsonl``; on resume, rows after the checkpoint are dropped."""

    def __init__(self, folder: Path, *, after: int, tensorboard: bool = False) -> None:
        """``after``: keep rows of steps up to this one, from an earlier, killed process."""
        self.path = folder / "metrics.jsonl"
        write_text_atomic(self.path, "".join(_rows_until(self.path, after)))
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _tensorboard(folder) if tensorboard else None

    def write(self, kind: str, step: int, figures: Mapping[str, float], **more: Any) -> None:
        """One row; ``kind`` is train, valid or event. A figure that is not finite, for which
        JSON has no number, becomes null."""
        rounded = {
            name: float(f"{value:.6g}") if math.isfinite(value) else None
            for name, value in figures.items()
        }
        self._file.write(json.dumps({"kind": kind, "step": step, **rounded, **more}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _rows_until(path: Path, step: int) -> list[str]:
    """Whole rows of steps up to ``step``; a torn last line is dropped."""
    kept = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue
    return kept


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise PluginError(
            f"TensorBoard is not installed: {error}", hint="pip install 'gmkit[tensorboard]'"
        ) from error
    writer: Any = SummaryWriter  # typed or not, as TensorBoard is installed or not
    return writer(str(folder / "tensorboard"))
