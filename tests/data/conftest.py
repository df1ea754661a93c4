"""A registry and a domain small enough to see through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gmkit.api import DatasetInfo, DomainInfo
from gmkit.domain import Domain


class FakeMolecules(Domain):
    """A domain with a main column and no chemistry."""

    info = DomainInfo(name="molecules", loader="nowhere:Molecules", extensions=(".smi",))
    column = "smiles"
    aliases = ("canonical_smiles", "mol")

    def codec(self, config: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        raise NotImplementedError


class FakeRegistry:
    """Data sets and domains, with what every loader gives."""

    def __init__(self) -> None:
        self.infos: list[DatasetInfo] = []
        self.known: list[DomainInfo] = []
        self.made: Any = None

    def datasets(self) -> dict[str, DatasetInfo]:
        return {info.name: info for info in self.infos}

    def domains(self) -> dict[str, DomainInfo]:
        return {info.name: info for info in self.known}

    def load(self, info: Any) -> Any:
        return self.made


@pytest.fixture
def registry() -> FakeRegistry:
    """An empty registry."""
    return FakeRegistry()


@pytest.fixture
def molecules() -> FakeMolecules:
    """A domain with main column ``smiles``."""
    return FakeMolecules()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; no setting of the machine shines through."""
    for name in ("GMKIT_DATA", "GMKIT_OFFLINE", "GMKIT_MIRROR", "GMKIT_CACHE_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
