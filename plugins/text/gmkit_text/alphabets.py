"""What a token is: a character, a byte, or characters merged by byte pairs.

Each alphabet turns windows into rows of ids and back. Id 0 closes a row and fills it up.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gmkit.codecs.vocab import END, TokenVocabulary
from gmkit.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.signedinteger[Any]]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for every character that is not in the alphabet."""
PIECE = re.compile(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]+|_+|\s+")
"""What merges do not cross: words, numbers, punctuation (each with the blank before it), blanks."""
_MOST = 60_000
"""Characters of an alphabet."""


class Alphabet(ABC):
    """Text ⇄ ids."""

    kind: ClassVar[str]
    size: int
    """Number of ids, the end included."""

    @abstractmethod
    def split(self, text: str) -> list[int]:
        """Ids of one text, without end."""

    @abstractmethod
    def rows(self, texts: Sequence[str], length: int) -> Ids:
        """Ids (n, length), filled up by ``END``. Raises DataError for a longer text."""

    @abstractmethod
    def decode(self, ids: Ids) -> list[str]:
        """The text of each row up to its first end. Never raises on ids of 0 … size − 1."""

    @abstractmethod
    def unknown(self, text: str) -> set[str]:
        """The characters of ``text`` that are not in the alphabet."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """JSON-able facts for ``alphabet_from_json``."""

    def _filled(self, ids: NDArray[Any], lengths: NDArray[np.int64], length: int) -> Ids:
        """Rows of the ids of all texts one after the other. Raises DataError."""
        long = np.flatnonzero(lengths > length)
        if long.size:
            raise DataError(
                f"{lengths[long[0]]} tokens, at most {length} were seen in training",
                row=int(long[0]),
                column="text",
                hint="Cut the text shorter, or train with a longer --set codec.window=N.",
            )
        rows = np.full((len(lengths), length), END, _narrow(self.size))
        rows[np.arange(length) < lengths[:, None]] = ids
        return rows


class Characters(Alphabet):
    """Id 1 is the unknown character, then the known ones in order."""

    kind = "characters"

    def __init__(self, characters: Iterable[str]) -> None:
        """Raises ValueError for what is no single character, or too many."""
        self.characters = sorted(set(characters) - {UNKNOWN})
        if any(not _is_character(c) for c in self.characters) or len(self.characters) > _MOST:
            raise ValueError(f"not up to {_MOST} single characters")
        self.size = len(self.characters) + 2
        self._codes = _codepoints("".join(self.characters))
        self._by_id = np.concatenate([_codepoints("\0" + UNKNOWN), self._codes])

    def split(self, text: str) -> list[int]:
        """One id a character."""
        ids: list[int] = self._ids(text).tolist()
        return ids

    def rows(self, texts: Sequence[str], length: int) -> Ids:
        """One id a character."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        return self._filled(self._ids("".join(texts)), lengths, length)

    def _ids(self, text: str) -> NDArray[np.int64]:
        codes = _codepoints(text)
        if not len(self._codes):
            return np.ones(len(codes), np.int64)
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return np.where(self._codes[places] == codes, places + 2, 1)

    def decode(self, ids: Ids) -> list[str]:
        """Unknown ones as ``UNKNOWN``."""
        ends = _ends(ids)
        kept = np.arange(ids.shape[1]) < ends[:, None]
        text = self._by_id[ids[kept]].astype("<u4").tobytes().decode("utf-32-le")
        stops = np.cumsum(ends).tolist()
        return [text[a:b] for a, b in zip([0, *stops[:-1]], stops, strict=True)] if stops else []

    def unknown(self, text: str) -> set[str]:
        """Those never seen, or too rare."""
        return set(text) - set(self.characters)

    def to_json(self) -> dict[str, Any]:
        """The characters."""
        return {"kind": self.kind, "characters": self.characters}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ValueError."""
        if not isinstance(facts["characters"], list):
            raise ValueError("the characters are not a list")
        return cls(facts["characters"])


class Bytes(Alphabet):
    """The 256 bytes of UTF-8, shifted by one: every text, with nothing to learn."""

    kind = "bytes"
    size = 257

    def split(self, text: str) -> list[int]:
        """One id a byte."""
        return [byte + 1 for byte in text.encode()]

    def rows(self, texts: Sequence[str], length: int) -> Ids:
        """One id a byte."""
        raw = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, raw), np.int64, len(raw))
        ids = np.frombuffer(b"".join(raw), np.uint8).astype(np.int16) + 1
        return self._filled(ids, lengths, length)

    def decode(self, ids: Ids) -> list[str]:
        """What is no UTF-8 becomes ``UNKNOWN``."""
        raw = (ids - 1).clip(min=0).astype(np.uint8)
        rows = zip(raw, _ends(ids).tolist(), strict=True)
        return [row[:end].tobytes().decode(errors="replace") for row, end in rows]

    def unknown(self, text: str) -> set[str]:
        """None."""
        return set()

    def to_json(self) -> dict[str, Any]:
        """No more than its kind."""
        return {"kind": self.kind}


class Pairs(Alphabet):
    """Characters and merges of them within a word, learned from the data (Sennrich et al. 2016)."""

    kind = "pairs"

    def __init__(self, vocabulary: TokenVocabulary) -> None:
        """``vocabulary`` of characters, ``UNKNOWN`` among them. Raises ValueError."""
        if UNKNOWN not in vocabulary.atoms or any(not _is_character(a) for a in vocabulary.atoms):
            raise ValueError("the vocabulary is not one of characters and the unknown one")
        self.vocabulary = vocabulary
        self.size = vocabulary.size
        self._atoms = set(vocabulary.atoms)
        self._known: dict[str, list[int]] = {}

    @classmethod
    def learn(cls, characters: Iterable[str], texts: Iterable[str], merges: int) -> Self:
        """Up to ``merges`` pairs that are frequent in ``texts``; their order does not matter."""
        atoms = {*characters, UNKNOWN}
        strange = re.compile(f"[^{re.escape(''.join(sorted(atoms)))}]")
        words = (PIECE.findall(strange.sub(UNKNOWN, text)) for text in texts)
        return cls(
            TokenVocabulary.learn(atoms, chain.from_iterable(words), merges=merges, min_frequency=2)
        )

    def encode(self, texts: Iterable[Sequence[str]]) -> list[list[int]]:
        """Ids of each text."""
        return [self.split("".join(text)) for text in texts]

    def split(self, text: str) -> list[int]:
        """Ids of its words, one after the other."""
        words = PIECE.findall(text)
        new = sorted({word for word in words if word not in self._known})
        if new:
            if len(self._known) > 200_000:
                self._known, new = {}, sorted(set(words))
            spelt = ([c if c in self._atoms else UNKNOWN for c in word] for word in new)
            self._known.update(zip(new, self.vocabulary.encode(spelt), strict=True))
        return [i for word in words for i in self._known[word]]

    def rows(self, texts: Sequence[str], length: int) -> Ids:
        """Row by row; words are looked up once they are known."""
        rows = [self.split(text) for text in texts]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        return self._filled(ids, lengths, length)

    def decode(self, ids: Ids) -> list[str]:
        """Tokens side by side."""
        return self.vocabulary.decode(ids)

    def unknown(self, text: str) -> set[str]:
        """Those never seen, or too rare."""
        return set(text) - self._atoms

    def to_json(self) -> dict[str, Any]:
        """The vocabulary's facts."""
        return {"kind": self.kind, "vocabulary": self.vocabulary.to_json()}

    def __getstate__(self) -> dict[str, Any]:
        """Without the words looked up so far."""
        return {**vars(self), "_known": {}}


def alphabet_from_json(facts: Any) -> Alphabet:
    """The inverse of ``Alphabet.to_json``. Raises ArtifactError."""
    try:
        kind = facts["kind"]
        if kind == Characters.kind:
            return Characters.from_json(facts)
        if kind == Bytes.kind:
            return Bytes()
        if kind == Pairs.kind:
            return Pairs(TokenVocabulary.from_json(facts["vocabulary"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the text codec's alphabet makes no sense: {error}") from error
    raise ArtifactError(f"the text codec knows no alphabet of kind {kind!r}")


def _is_character(value: Any) -> bool:
    """One Unicode character that UTF-8 can write."""
    return isinstance(value, str) and len(value) == 1 and not "\ud800" <= value <= "\udfff"


def _codepoints(text: str) -> NDArray[np.int64]:
    return np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.int64)


def _ends(ids: Ids) -> NDArray[np.int64]:
    """(n,) place of each row's first end, or its length."""
    closed = ids == END
    found = np.where(closed.any(1), closed.argmax(1), ids.shape[1])
    ends: NDArray[np.int64] = found.astype(np.int64)
    return ends


def _narrow(size: int) -> type[np.signedinteger[Any]]:
    return np.int16 if size <= np.iinfo(np.int16).max else np.int32
