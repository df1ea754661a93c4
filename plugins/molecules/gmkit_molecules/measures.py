"""What ``gmkit design`` can ask of a molecule: properties, likeness to another, patterns."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from gmkit.errors import ConfigError
from gmkit.objectives.measure import Measure, Measured
from gmkit.objectives.objective import Term
from gmkit_molecules.chemistry import explain, parse, quietly
from gmkit_molecules.properties import PROPERTIES, properties

__all__ = ["MEASURES", "PENALTIES", "environments", "nearest"]

COLUMN = "smiles"
RANGES = {
    "qed": ("drug-likeness", 0.0, 1.0),
    "logp": ("octanol-water partition, log10", -2.0, 6.0),
    "sa": ("synthetic accessibility, 1 easy to 10 hard", 1.0, 10.0),
    "tpsa": ("polar surface area, square angstrom", 0.0, 200.0),
    "weight": ("molecular weight, g/mol", 100.0, 600.0),
    "rings": ("rings", 0.0, 6.0),
    "aromatic_rings": ("aromatic rings", 0.0, 5.0),
    "hbd": ("hydrogen-bond donors", 0.0, 6.0),
    "hba": ("hydrogen-bond acceptors", 0.0, 12.0),
    "radicals": ("unpaired electrons", 0.0, 1.0),
    "rotatable": ("rotatable bonds", 0.0, 12.0),
    "largest_ring": ("atoms of the largest ring", 0.0, 8.0),
    "charged": ("charged atoms", 0.0, 4.0),
    "foreign": ("atoms of elements unusual in drugs", 0.0, 1.0),
    "fragments": ("parts not bonded to each other", 1.0, 2.0),
}
"""What it is, and where drug-like molecules lie, a little beyond included."""

PENALTIES = (
    Term(measure="sa", goal="minimise", low=3.7, high=7.0),
    Term(measure="radicals", goal="forbid"),
)
"""What cannot be made is of no use, however it scores: nothing is lost up to a synthetic
accessibility of 3.7, all from 7 on and with an unpaired electron."""


def _property(name: str) -> Callable[[str], Measured]:
    def make(_: str) -> Measured:
        def measured(records: pa.RecordBatch) -> NDArray[np.float64]:
            return properties(_molecules(records), (name,))[name]

        return measured

    return make


def _reference(text: str) -> Chem.Mol:
    """The molecule that others are compared with."""
    molecule = parse(text)
    if molecule is None:
        raise ConfigError(f"the reference {text!r} is no molecule: {explain(text)}")
    return molecule


def _similarity(reference: str) -> Measured:
    """Tanimoto similarity of Morgan fingerprints of radius 2, 2048 bits."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    wanted = generator.GetFingerprint(_reference(reference))

    def measured(records: pa.RecordBatch) -> NDArray[np.float64]:
        prints = [generator.GetFingerprint(m) for m in _molecules(records)]
        return np.array(DataStructs.BulkTanimotoSimilarity(wanted, prints), dtype=np.float64)

    return measured


def _counted_similarity(radius: int, *, features: bool = False) -> Callable[[str], Measured]:
    """Tanimoto similarity of counted Morgan environments, not folded to bits: ECFP, or with
    ``features`` (donor, acceptor, aromatic, …, in place of elements) FCFP, of diameter
    2 · ``radius``; as in GuacaMol (Brown et al. 2019)."""

    def make(reference: str) -> Measured:
        get = rdFingerprintGenerator.GetMorganGenerator
        kinds = rdFingerprintGenerator.GetMorganFeatureAtomInvGen() if features else None
        generator = get(radius=radius, atomInvariantsGenerator=kinds)
        wanted = generator.GetSparseCountFingerprint(_reference(reference))

        def measured(records: pa.RecordBatch) -> NDArray[np.float64]:
            prints = [generator.GetSparseCountFingerprint(m) for m in _molecules(records)]
            return np.array(DataStructs.BulkTanimotoSimilarity(wanted, prints), dtype=np.float64)

        return measured

    return make


def _contains(pattern: str) -> Measured:
    """1 where the pattern occurs, else 0."""
    with quietly():
        query = Chem.MolFromSmarts(pattern)
    if query is None or query.GetNumAtoms() == 0:
        raise ConfigError(f"{pattern!r} is no SMARTS pattern", hint="For example: c1ccncc1")

    def measured(records: pa.RecordBatch) -> NDArray[np.float64]:
        return np.array([m.HasSubstructMatch(query) for m in _molecules(records)], np.float64)

    return measured


MEASURES = {
    **{name: Measure(*RANGES[name], make=_property(name)) for name in PROPERTIES},
    "similarity": Measure(
        "Tanimoto similarity to a molecule", 0.0, 1.0, _similarity, "a SMILES: similarity:CCO"
    ),
    **{
        f"similarity-{name}": Measure(
            f"Tanimoto similarity to a molecule by counted {name.upper()} environments",
            0.0,
            1.0,
            _counted_similarity(radius, features=features),
            f"a SMILES: similarity-{name}:CCO",
        )
        for name, radius, features in (
            ("ecfp4", 2, False),
            ("ecfp6", 3, False),
            ("fcfp4", 2, True),
        )
    },
    "contains": Measure(
        "1 with the substructure, 0 without", 0.0, 1.0, _contains, "a SMARTS: contains:c1ccncc1"
    ),
}


def environments(records: pa.RecordBatch) -> NDArray[np.bool_]:
    """(n, 4096): Morgan environments up to radius 2, those that occur 1, 2, 4 and 8 times apart."""
    generator = rdFingerprintGenerator.GetMorganGenerator(
        radius=2, fpSize=4096, countSimulation=True
    )
    prints = [generator.GetFingerprintAsNumPy(m) for m in _molecules(records)]
    return np.array(prints, np.bool_).reshape(-1, 4096)


def nearest(records: pa.RecordBatch, known: pa.RecordBatch) -> pa.Table:
    """The most similar known molecule and its Tanimoto similarity."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    texts = known.column(COLUMN).to_pylist()
    with quietly():
        references = [generator.GetFingerprint(_as_written(text)) for text in texts]
    best = []
    for molecule in _molecules(records):
        similarity = DataStructs.BulkTanimotoSimilarity(
            generator.GetFingerprint(molecule), references
        )
        row = int(np.argmax(similarity))
        best.append((texts[row], float(similarity[row])))
    return pa.table({"nearest": [t for t, _ in best], "similarity": [s for _, s in best]})


def _as_written(text: str) -> Chem.Mol:
    """Of a canonical SMILES, taken at its word: what is aromatic there stays so, and environments
    are those of the molecule, at a quarter of the price of finding all out anew."""
    molecule = Chem.MolFromSmiles(text, sanitize=False)
    molecule.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(molecule)
    return molecule


def _molecules(records: pa.RecordBatch) -> list[Chem.Mol]:
    """Those of prepared records, which all are molecules; not to be changed."""
    with quietly():
        return [_molecule(text) for text in records.column(COLUMN).to_pylist()]


@functools.lru_cache(maxsize=4096)
def _molecule(text: str) -> Chem.Mol:
    """Kept, since one molecule is asked for by each term of an objective."""
    return Chem.MolFromSmiles(text)
