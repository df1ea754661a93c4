"""The molecules domain: what ties codec, formats, validation and pictures together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gmkit.domain import Domain
from gmkit_molecules.codec import COLUMN, MoleculeCodec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from gmkit.data.formats import Format
    from gmkit.objectives.change import Change, Scaffold
    from gmkit.objectives.measure import Measure
    from gmkit.objectives.objective import Term

_PREVIEW = 10
_WORTH_WORKERS = 50_000
"""Records from which worker processes are started; one process reads 3,600 to 8,500 a second and
two take 1 to 3 s to start, so on two cores they come out even at 20,000 or later."""
_PART = 2048


class MoleculesDomain(Domain):
    """Small molecules; a record is a SMILES string in the column ``smiles``."""

    column = COLUMN
    aliases = (
        "smiles",
        "canonical_smiles",
        "isomeric_smiles",
        "smi",
        "structure",
        "mol",
        "molecule",
    )

    telling = (
        "weight",
        "logp",
        "tpsa",
        "rings",
        "aromatic_rings",
        "largest_ring",
        "hbd",
        "hba",
        "rotatable",
        "charged",
        "foreign",
        "fragments",
        "radicals",
    )

    def codec(self, config: Mapping[str, Any]) -> MoleculeCodec:
        """A new codec for ``codec.*`` options (``MoleculeConfig``)."""
        return MoleculeCodec(config)

    def formats(self) -> Mapping[str, Format]:
        """``.smi``, ``.smiles`` and ``.sdf``, each also as ``.gz``; to write only, ``.svg`` and
        ``.png``."""
        from gmkit_molecules.formats import FORMATS

        return FORMATS

    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """Whether RDKit reads each record as a molecule with at least one atom; in several
        processes where there are enough records to pay for starting them."""
        from gmkit.engines.local import default_workers, map_batches
        from gmkit_molecules.chemistry import readable

        smiles = records.column(COLUMN)
        rows = len(smiles)
        if rows < _WORTH_WORKERS:
            return readable(smiles)
        parts = (smiles.slice(start, _PART) for start in range(0, rows, _PART))
        valid = map_batches(readable, parts, workers=default_workers(), rows_hint=rows)
        return pa.concat_arrays(list(valid))

    def defaults(self, family: str, budget: float | None) -> dict[str, Any]:
        """A small Transformer and small batches: on two cores the number of updates decides.

        The VAE's 0.25 free nats in each of 16 dimensions keep the latent in use, without which
        the causal decoder ignores it (KL 0.03 nats instead of 4). Its decoder writes atom by atom
        and is held to what can become a molecule, so it may write Kekulé's SMILES: after the same
        1,400 steps their median QED is .93 of the training set's, that of SELFIES .87. Temperature
        0.7 draws nearer to real ones than 1.0 (QED .82).
        """
        settings: dict[str, Any] = {
            "trunk": {"width": 128, "depth": 1, "encoder_depth": 1},
            "training": {
                "steps": 1400,
                "batch_size": 32,
                "learning_rate": 4e-3,
                "warmup": 50,
                "evaluate_every": 350,
            },
        }
        if family == "vae":
            settings["family"] = {"latent": 16, "free_bits": 0.25}
            settings["sampling"] = {"temperature": 0.7}
            settings["codec"] = {"notation": "kekule"}
        elif family == "diffusion":
            settings["family"] = {"block": 1}
            settings["sampling"] = {"temperature": 0.8}
            settings["codec"] = {"notation": "kekule"}
        elif family.endswith("+diffusion"):
            settings["family"] = {"diffusion": {}}  # of latents, which are no sequence
        return settings

    def measures(self) -> Mapping[str, Measure]:
        """Properties, similarity to a molecule, a substructure."""
        from gmkit_molecules.measures import MEASURES

        return MEASURES

    def penalties(self) -> Sequence[Term]:
        """Molecules that can be made."""
        from gmkit_molecules.measures import PENALTIES

        return PENALTIES

    def changes(self) -> Mapping[str, Change]:
        """Small edits of the graph, and parts of two molecules joined."""
        from gmkit_molecules.graph_edits import cross, mutate

        return {"edit": mutate, "cross": cross}

    def features(self, records: pa.RecordBatch) -> NDArray[np.bool_] | None:
        """Environments of atoms up to two bonds away, with about how often each occurs."""
        from gmkit_molecules.measures import environments

        return environments(records)

    def scaffold(self, text: str) -> Scaffold:
        """SMILES with ``*`` where it is open."""
        from gmkit_molecules.scaffold import MoleculeScaffold

        return MoleculeScaffold(text)

    def nearest(self, records: pa.RecordBatch, known: pa.RecordBatch) -> pa.Table | None:
        """By Tanimoto similarity."""
        from gmkit_molecules.measures import nearest

        return nearest(records, known)

    def preview(self, records: pa.RecordBatch) -> RenderableType:
        """Up to ten molecules, canonical, with weight (g/mol), logP and QED, and whatever was asked
        of them."""

        from rdkit import Chem
        from rich.table import Table
        from rich.text import Text

        from gmkit_molecules.chemistry import parse
        from gmkit_molecules.properties import properties

        smiles = [text or "" for text in records.column(COLUMN).to_pylist()[:_PREVIEW]]
        molecules = [parse(text) for text in smiles]
        valid = [molecule for molecule in molecules if molecule is not None]
        names = ("weight", "logp", "qed")
        values = properties(valid, names)
        figures = iter(zip(*(values[name].tolist() for name in names), strict=True))
        table = Table("SMILES")
        for heading in ("weight", "logP", "QED"):
            table.add_column(heading, justify="right")
        others = [name for name in records.schema.names if name != COLUMN]
        for name in others:
            table.add_column(Text(f"asked: {name}"), justify="right")
        told = records.slice(0, _PREVIEW).select(others).to_pylist()
        for text, molecule, other in zip(smiles, molecules, told, strict=True):
            cells = ["not a molecule", "", ""]
            if molecule is not None:
                weight, logp, qed = next(figures)
                cells = [f"{weight:.1f}", f"{logp:.2f}", f"{qed:.2f}"]
                text = Chem.MolToSmiles(molecule)  # aromatic rings are easier to read
            asked = [Text(f"{v:.4g}" if isinstance(v, float) else str(v)) for v in other.values()]
            table.add_row(Text(text or "(empty)"), *cells, *asked)
        return table

    def draw(self, records: pa.RecordBatch) -> bytes | None:
        """The first 30 molecules in a grid, as SVG."""
        from gmkit_molecules.drawing import draw_grid

        return draw_grid(records.column(COLUMN).to_pylist())
