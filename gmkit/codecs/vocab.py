"""A vocabulary for sequences: atom tokens and byte-pair merges of them (Sennrich et al. 2016).

What an atom is (a character, a SMILES atom, a SELFIES bracket) is the codec's business. Here
each one stands as a character of a private-use plane, so that the ``tokenizers`` library can
learn and apply the merges at the speed of Rust.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gmkit.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

END = 0
"""The id that closes a sequence."""

_PLANE = 0xF0000  # supplementary private use plane A: 65,534 characters
_MOST_ATOMS = 65_000
_LONGEST_PIECE = 4096  # atoms in one merged token; more only in a hostile file
_MOST_PIECES = 10_000_000  # atoms in all merged tokens together
_PARALLEL = "TOKENIZERS_PARALLELISM"


class TokenVocabulary:
    """Ids: 0 the end, then the atoms in sorted order, then merged tokens as learned."""

    def __init__(self, atoms: Sequence[str], merges: Sequence[tuple[int, int]] = ()) -> None:
        """``merges``: pairs of ids, each below the id that its merge introduces.

        Raises ValueError for what makes no vocabulary.
        """
        self.atoms = tuple(atoms)
        self.merges = tuple((int(left), int(right)) for left, right in merges)
        if not all(isinstance(atom, str) and atom for atom in self.atoms):
            raise ValueError("an atom token is not a non-empty string")
        if list(self.atoms) != sorted(set(self.atoms)):
            raise ValueError("atom tokens are not sorted and distinct")
        if len(self.atoms) > _MOST_ATOMS:
            raise ValueError(f"{len(self.atoms)} atom tokens, at most {_MOST_ATOMS} are possible")
        self._char = {atom: chr(_PLANE + i) for i, atom in enumerate(self.atoms)}
        self._pieces = _pieces([self._char[atom] for atom in self.atoms], self.merges)

    @classmethod
    def learn(
        cls,
        atoms: Iterable[str],
        sequences: Iterable[Sequence[str]],
        *,
        merges: int,
        min_frequency: int = 2,
    ) -> Self:
        """Up to ``merges`` pairs, each found ``min_frequency`` times at least in ``sequences``.

        Deterministic; the order of ``sequences`` does not matter.
        """
        plain = cls(sorted(set(atoms)))
        if merges == 0:
            return plain
        from tokenizers import Tokenizer, models, trainers

        alphabet = list(plain._char.values())
        trainer = trainers.BpeTrainer(
            vocab_size=len(alphabet) + merges,
            min_frequency=min_frequency,
            initial_alphabet=alphabet,
            show_progress=False,
            special_tokens=[],
            max_token_length=_LONGEST_PIECE,
        )
        tokenizer = Tokenizer(models.BPE())
        tokenizer.train_from_iterator((plain._text(s) for s in sequences), trainer)
        return cls(plain.atoms, _merges_by_id(plain, tokenizer))

    @property
    def size(self) -> int:
        """Number of ids, the end included."""
        return len(self._pieces)

    @property
    def dtype(self) -> type[np.signedinteger[Any]]:
        """The smallest type that ``encode_padded`` can use."""
        return np.int16 if self.size <= np.iinfo(np.int16).max else np.int32

    def encode(
        self, sequences: Iterable[Sequence[str]], *, column: str = "", first_row: int = 0
    ) -> list[list[int]]:
        """Ids of each sequence of atom tokens, without end.

        Raises DataError, naming ``column`` and the row counted from ``first_row``, for an atom
        that is not in the vocabulary.
        """
        texts = []
        for row, sequence in enumerate(sequences, first_row):
            try:
                texts.append(self._text(sequence))
            except KeyError as error:
                raise DataError(
                    f"token {error.args[0]!r} does not occur in the training data",
                    row=row,
                    column=column,
                    hint="Leave the record out, or train on data that has such records.",
                ) from None
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def encode_padded(
        self,
        sequences: Iterable[Sequence[str]],
        length: int,
        *,
        column: str = "",
        first_row: int = 0,
    ) -> NDArray[np.signedinteger[Any]]:
        """Ids (n, length), each row closed and filled up by ``END``.

        Raises DataError as ``encode`` does, and for a sequence that leaves no room for an end.
        """
        rows = self.encode(sequences, column=column, first_row=first_row)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        if (long := np.flatnonzero(lengths >= length)).size:
            raise DataError(
                f"{lengths[long[0]]} tokens, at most {length - 1} were seen in training",
                row=first_row + int(long[0]),
                column=column,
                hint="Leave the record out, or train on data that has such records.",
            )
        ids = np.full((len(rows), length), END, self.dtype)
        ids[np.arange(length) < lengths[:, None]] = np.fromiter(
            chain.from_iterable(rows), self.dtype, int(lengths.sum())
        )
        return ids

    def decode(self, ids: NDArray[np.integer[Any]]) -> list[str]:
        """The text of each row of ``ids`` (n, length), all of 0 … size − 1, up to its first
        end."""
        ends = np.where((ids == END).any(1), (ids == END).argmax(1), ids.shape[1])
        texts = self.texts
        return [
            "".join([texts[i] for i in row[:end]])
            for row, end in zip(ids.tolist(), ends.tolist(), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """JSON-able facts; ``from_json`` restores them."""
        return {"atoms": list(self.atoms), "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def from_json(cls, facts: Any) -> Self:
        """The inverse of ``to_json``. Raises ArtifactError on facts that make no sense."""
        try:
            pairs = [(left, right) for left, right in facts["merges"]]
            if not all(type(i) is int for pair in pairs for i in pair):
                raise ValueError("a merge is not a pair of ids")
            if not isinstance(facts["atoms"], list):
                raise ValueError("the atom tokens are not a list")
            return cls(facts["atoms"], pairs)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the token vocabulary makes no sense: {error}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenVocabulary):
            return NotImplemented
        return self.atoms == other.atoms and self.merges == other.merges

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        """To worker processes go the facts; they build the rest when they need it."""
        built = ("_tokenizer", "texts")
        return {key: value for key, value in vars(self).items() if key not in built}

    def _text(self, sequence: Sequence[str]) -> str:
        return "".join(map(self._char.__getitem__, sequence))

    @cached_property
    def texts(self) -> list[str]:
        """What each id stands for, in the codec's own characters."""
        atoms = self.atoms
        return ["".join(atoms[ord(c) - _PLANE] for c in piece) for piece in self._pieces]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer, models

        pieces = self._pieces
        return Tokenizer(
            models.BPE(
                vocab={piece: i for i, piece in enumerate(pieces) if piece},
                merges=[(pieces[left], pieces[right]) for left, right in self.merges],
            )
        )


def _pieces(chars: list[str], merges: Sequence[tuple[int, int]]) -> list[str]:
    """What each id stands for, in private-use characters. Raises ValueError.

    Two merges may give the same piece, (ab)c and a(bc); the second introduces no id.
    """
    pieces = ["", *chars]
    known, total = set(pieces), 0
    for left, right in merges:
        if not (0 < left < len(pieces) and 0 < right < len(pieces)):
            raise ValueError(f"a merge of ids {left} and {right}, {len(pieces)} are known")
        if len(pieces[left]) + len(pieces[right]) > _LONGEST_PIECE:
            raise ValueError(f"a merged token of over {_LONGEST_PIECE} atoms")
        piece = pieces[left] + pieces[right]
        total += len(piece)
        if total > _MOST_PIECES:
            raise ValueError("merged tokens are too long in total")
        if piece not in known:
            known.add(piece)
            pieces.append(piece)
    return pieces


def _merges_by_id(plain: TokenVocabulary, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """The trained merges as pairs of our ids, in the order learned."""
    import json

    ids = {piece: i for i, piece in enumerate(plain._pieces) if piece}
    merges = []
    for left, right in json.loads(tokenizer.to_str())["model"]["merges"]:
        merges.append((ids[left], ids[right]))
        ids.setdefault(left + right, len(ids) + 1)
    return merges


# ---------------------------------------------------------------- processes

# After a fork the library warns on stderr unless this variable switches its threads on or off.
# "Off" is what a forked child needs; in the parent nothing is left set.

_unset = False


def _before_fork() -> None:
    global _unset
    _unset = _PARALLEL not in os.environ
    if _unset:
        os.environ[_PARALLEL] = "false"


def _after_fork() -> None:
    if _unset:
        os.environ.pop(_PARALLEL, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)
