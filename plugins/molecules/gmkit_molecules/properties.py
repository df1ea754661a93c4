"""Physico-chemical properties of a molecule, as RDKit computes them.

============  =================  ==================================================================
name          unit, range        definition
============  =================  ==================================================================
``qed``       0 to 1             quantitative estimate of drug-likeness, mean weights (Bickerton et
                                 al., Nature Chemistry 4, 90, 2012)
``logp``      log10 ratio        octanol-water partition coefficient by atom contributions
                                 (Wildman and Crippen, J. Chem. Inf. Comput. Sci. 39, 868, 1999)
``sa``        1 easy to 10 hard  synthetic accessibility (Ertl and Schuffenhauer, J.
                                 Cheminformatics 1, 8, 2009)
``tpsa``      square angstrom,   topological polar surface area, N and O only (Ertl, Rohde and
              from 0             Selzer, J. Med. Chem. 43, 3714, 2000)
``weight``    g/mol, over 0      average molecular weight, hydrogens included
``rings``     count              rings of the smallest set of smallest rings
``aromatic_   count              aromatic rings
rings``
``hbd``       count              hydrogen-bond donors (N-H and O-H groups)
``hba``       count              hydrogen-bond acceptors
``rotatable`` count              rotatable bonds, strict definition (amides do not count)
``radicals``  count              unpaired electrons
``largest_    atoms              size of the largest ring of the smallest set, 0 without rings
ring``
``charged``   count              atoms with a formal charge
``foreign``   count              atoms of other elements than H, C, N, O, F, P, S, Cl, Br and I
``fragments`` count              parts not bonded to each other: 2 of a salt
============  =================  ==================================================================
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType

import numpy as np
from numpy.typing import NDArray
from rdkit import RDConfig
from rdkit.Chem import QED, GetMolFrags, Mol, rdMolDescriptors

from gmkit.errors import ConfigError, PluginError, did_you_mean

__all__ = ["PROPERTIES", "Property", "properties"]

Property = Callable[[Mol], float]


@functools.cache
def _sascorer() -> ModuleType:
    """RDKit's contributed scorer, loaded from its file so that ``sys.path`` stays as it was."""
    path = Path(RDConfig.RDContribDir, "SA_Score", "sascorer.py")
    spec = importlib.util.spec_from_file_location("gmkit_molecules._sascorer", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise PluginError(
            f"this RDKit has no synthetic accessibility scorer at {path}",
            hint="Reinstall RDKit with its contributed code: pip install --force-reinstall rdkit",
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sa(mol: Mol) -> float:
    return float(_sascorer().calculateScore(mol))


def _logp(mol: Mol) -> float:
    return float(rdMolDescriptors.CalcCrippenDescriptors(mol)[0])


def _radicals(mol: Mol) -> float:
    return float(sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()))


def _largest_ring(mol: Mol) -> float:
    return float(max(map(len, mol.GetRingInfo().AtomRings()), default=0))


def _charged(mol: Mol) -> float:
    return float(sum(atom.GetFormalCharge() != 0 for atom in mol.GetAtoms()))


USUAL = frozenset({1, 6, 7, 8, 9, 15, 16, 17, 35, 53})
"""Atomic numbers of the elements that drugs are made of."""


def _foreign(mol: Mol) -> float:
    return float(sum(atom.GetAtomicNum() not in USUAL for atom in mol.GetAtoms()))


def _fragments(mol: Mol) -> float:
    return float(len(GetMolFrags(mol)))


PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {
        "qed": QED.qed,
        "logp": _logp,
        "sa": _sa,
        "tpsa": rdMolDescriptors.CalcTPSA,
        # What Descriptors.MolWt calls; importing Descriptors takes every worker 0.3 s more.
        "weight": rdMolDescriptors._CalcMolWt,
        "rings": rdMolDescriptors.CalcNumRings,
        "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
        "hbd": rdMolDescriptors.CalcNumHBD,
        "hba": rdMolDescriptors.CalcNumHBA,
        "rotatable": rdMolDescriptors.CalcNumRotatableBonds,
        "radicals": _radicals,
        "largest_ring": _largest_ring,
        "charged": _charged,
        "foreign": _foreign,
        "fragments": _fragments,
    }
)
"""Every known property: name to function of a sanitised molecule."""


def properties(mols: Sequence[Mol], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The named properties of each molecule, shape ``(len(mols),)`` each, in the table's units.

    NaN where a property is not defined for a molecule (QED of a bare proton, …). Raises
    ConfigError for an unknown name.
    """
    for name in names:
        if name not in PROPERTIES:
            raise ConfigError(
                f"{name!r} is not a molecule property", hint=did_you_mean(name, PROPERTIES)
            )
    return {
        name: np.array([_value(PROPERTIES[name], mol) for mol in mols], dtype=np.float64)
        for name in names
    }


def _value(function: Property, mol: Mol) -> float:
    # RDKit raises RuntimeError on broken invariants, the scorers ArithmeticError or TypeError on
    # molecules without heavy atoms: one odd molecule must not end an evaluation of thousands.
    try:
        return float(function(mol))
    except (ArithmeticError, RuntimeError, TypeError, ValueError):
        return float("nan")
