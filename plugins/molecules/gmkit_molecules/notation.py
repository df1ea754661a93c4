"""Line notations of a molecule, SMILES, Kekulé's too, and SELFIES, split into atom-level tokens."""

from __future__ import annotations

import re
from typing import Protocol

import selfies
from rdkit import Chem

from gmkit_molecules.chemistry import canonical, quietly
from gmkit_molecules.selfies_reader import UnknownTokenError, read
from gmkit_molecules.selfies_writer import write
from gmkit_molecules.valence import selfies_constraints

# Schwaller et al., Molecular Transformer, ACS Cent. Sci. 5 (2019) 1572, with what RDKit also
# writes: ring closures above 99 and dative bonds.
_SMILES = re.compile(
    r"\[[^\]]+\]|Br|Cl|[BCNOSPFI]|[bcnosp]|->|<-|[().=#\-\\/:~*$]|%\(\d+\)|%\d\d|\d"
)
_SELFIES = re.compile(r"\[[^\[\]]*\]|\.")

# Molecules that SELFIES keeps without exception, checked on 101,800 of them (70,000 of MOSES,
# 27,640 of ZINC, 4,172 of NCI): no stereo, charges, isotopes or fragments, and short enough for
# its ring and branch indices.
_PLAIN = re.compile(r"(?:Cl|Br|[BCNOPSFIbcnops]|\[nH\]|[-=#()0-9]|%[0-9]{2}){1,1000}")


class NotationError(ValueError):
    """A molecule that the notation cannot hold; the text says why, for the reject file."""


class Notation(Protocol):
    """A way to write a molecule down as a sequence of tokens."""

    name: str

    def from_smiles(self, smiles: str) -> str:
        """The text for a SMILES that RDKit reads, of the same atoms in the same order. Raises
        NotationError."""

    def to_smiles(self, text: str) -> str:
        """SMILES for any text made of tokens; ``""`` when it means nothing. Never raises."""

    def tokens(self, text: str) -> list[str]:
        """Atom-level tokens; joined they are ``text`` again. Raises NotationError otherwise."""


class Smiles:
    """SMILES as they are: a sequence of tokens need not be a molecule."""

    name = "smiles"

    def from_smiles(self, smiles: str) -> str:
        """Unchanged."""
        return smiles

    def to_smiles(self, text: str) -> str:
        """Unchanged, whether or not it is a molecule."""
        return text

    def tokens(self, text: str) -> list[str]:
        """Bracket atoms, two-letter halogens, bonds, branches, ring closures."""
        return _split(_SMILES, text)


class Kekule(Smiles):
    """SMILES without aromatic atoms: rings of single and double bonds, ``C1=CC=CC=C1``.

    What atoms can bind then decides what may follow, atom by atom, so a decoder that is held to
    the grammar (``gmkit_molecules.smiles_grammar``) hardly writes anything that is no molecule; an
    aromatic ring has a Kekulé form or not, and that shows only when it is closed.
    """

    name = "kekule"

    def from_smiles(self, smiles: str) -> str:
        """The same atoms in the same order. RDKit writes no ring closure of a double bond."""
        molecule = Chem.MolFromSmiles(smiles)
        Chem.Kekulize(molecule, clearAromaticFlags=True)
        text: str = Chem.MolToSmiles(molecule, kekuleSmiles=True, canonical=False)
        return text


class Selfies:
    """SELFIES (Krenn et al., Mach. Learn.: Sci. Technol. 1 (2020) 045024).

    Every sequence of tokens means a molecule, or nothing at all. That needs valence limits for
    all atoms: see ``gmkit_molecules.valence``. Aromatic rings are written in Kekulé form.
    """

    name = "selfies"

    def from_smiles(self, smiles: str) -> str:
        """SELFIES, checked to lead back to the same canonical SMILES.

        The check costs more than the translation; ``_PLAIN`` ones are spared it.
        """
        text = write(smiles)
        if text is None:
            text = _library_encoder(smiles)
        if not _PLAIN.fullmatch(smiles):
            with quietly():
                found = canonical(self.to_smiles(text))
            if found != smiles and found != canonical(smiles):
                raise NotationError("SELFIES does not keep this molecule")
        return text

    def to_smiles(self, text: str) -> str:
        """The decoder's SMILES in Kekulé form, not canonical."""
        try:
            smiles = read(text)
        except (UnknownTokenError, RecursionError):  # hostile tokens; a model's own never get here
            return ""
        return _library_decoder(text) if smiles is None else smiles

    def tokens(self, text: str) -> list[str]:
        """One per bracket, and the dot between fragments."""
        return _split(_SELFIES, text)


def notation(name: str) -> Notation:
    """The notation of that name, ``"smiles"``, ``"kekule"`` or ``"selfies"``."""
    kinds: dict[str, type[Notation]] = {"selfies": Selfies, "smiles": Smiles, "kekule": Kekule}
    return kinds[name]()


def _split(pattern: re.Pattern[str], text: str) -> list[str]:
    tokens = pattern.findall(text)
    if sum(map(len, tokens)) != len(text):
        raise NotationError(f"{text[:60]!r} has characters outside every token")
    return tokens


def _library_encoder(smiles: str) -> str:
    """SELFIES by the library, or its reason to refuse. Raises NotationError."""
    with selfies_constraints():
        try:
            text: str = selfies.encoder(smiles)
        except selfies.EncoderError as error:
            raise NotationError(_reason(error)) from None
        except Exception as error:  # the library's parser also lets KeyError & co. through
            raise NotationError(f"SELFIES cannot write this molecule: {error!r}") from None
    return text


def _library_decoder(text: str) -> str:
    """SMILES by the library; ``""`` for a text that is not made of tokens."""
    with selfies_constraints():
        try:
            smiles: str = selfies.decoder(text)
        except Exception:
            return ""
    return smiles


_BONDS = re.compile(r"\[(\S+?) with (\d+) bond\(s\) - a max\. of (-?\d+)")


def _reason(error: Exception) -> str:
    """The library's message over many lines as one, without the SMILES."""
    atoms = {
        f"{atom} with {bonds} bonds, at most {most} allowed"
        for atom, bonds, most in _BONDS.findall(str(error))
    }
    if atoms:
        return f"SELFIES cannot write this molecule: {'; '.join(sorted(atoms))}"
    return f"SELFIES cannot write this molecule: {str(error).splitlines()[0]}"
