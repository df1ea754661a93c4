"""What fitting keeps of a stream of token sequences: bounded, mergeable, order-independent."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol

from gmkit.codecs.vocab import TokenVocabulary
from gmkit.errors import DataError

SAMPLE = 20_000
"""Distinct sequences on which merges are learned."""
LONGEST = 100_000
"""Distinct sequences kept to find the greatest length: exact for data with no more."""
_RARE = 10
"""A merge has to occur in about this many sequences of the sample, or in 0.1 % of them."""


class Encodes(Protocol):
    """A vocabulary, as far as lengths need one."""

    def encode(self, sequences: list[Sequence[str]]) -> list[list[int]]:
        """Ids of each sequence of atom tokens."""
        ...


class Smallest:
    """The ``size`` distinct items with the smallest keys among all that were added."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.dropped = False
        """Whether there were more than ``size`` distinct items."""
        self._heap: list[tuple[int, str]] = []  # keys negated: the root is the next to go
        self._kept: set[str] = set()

    def add(self, key: int, item: str) -> None:
        """Offer ``item``; equal items must come with equal keys."""
        if item in self._kept:
            return
        entry = (-key, item)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        else:
            self.dropped = True
            if entry < self._heap[0]:
                return
            self._kept.discard(heapq.heapreplace(self._heap, entry)[1])
        self._kept.add(item)

    def update(self, other: Smallest) -> None:
        """Add all items of ``other``."""
        for key, item in other._heap:
            self.add(-key, item)
        self.dropped |= other.dropped

    def items(self) -> list[str]:
        """The items, smallest key first."""
        return [item for _, item in sorted(self._heap, reverse=True)]


class SequenceSketch:
    """Atom tokens, a uniform sample and the longest of many sequences.

    Sequences are texts that ``split`` cuts into atom tokens. Two sketches merge to exactly the
    sketch of both parts together, in whatever order and batches they came.
    """

    def __init__(self, sample: int = SAMPLE, longest: int = LONGEST) -> None:
        self.atoms: set[str] = set()
        self.longest_atoms = 0
        self._sample = Smallest(sample)
        self._longest = Smallest(longest)

    def add(self, text: str, tokens: Sequence[str]) -> None:
        """One sequence, as text and as its atom tokens."""
        self.atoms.update(tokens)
        number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        self._sample.add(number, text)
        self._longest.add(((1 << 32) - len(tokens) << 64) | number, text)
        self.longest_atoms = max(self.longest_atoms, len(tokens))

    def merge(self, other: SequenceSketch) -> SequenceSketch:
        """The sketch of both; neither part is changed."""
        both = SequenceSketch(self._sample.size, self._longest.size)
        for part in (self, other):
            both.atoms |= part.atoms
            both.longest_atoms = max(both.longest_atoms, part.longest_atoms)
            both._sample.update(part._sample)
            both._longest.update(part._longest)
        return both

    def sample(self) -> list[str]:
        """A uniform sample of the distinct sequences, all of them where there are few."""
        return self._sample.items()

    def vocabulary(self, merges: int, split: Callable[[str], list[str]]) -> TokenVocabulary:
        """Atom tokens and up to ``merges`` pairs learned on the sample. Raises DataError."""
        if not self.atoms:
            raise DataError("there is no usable record to learn from")
        sample = [split(text) for text in self._sample.items()]
        rare = max(_RARE, len(sample) // 1000)
        return TokenVocabulary.learn(self.atoms, sample, merges=merges, min_frequency=rare)

    def length(self, vocabulary: Encodes, split: Callable[[str], Sequence[str]]) -> int:
        """The greatest number of ``vocabulary``'s tokens in any sequence that was added.

        Merging only shortens, so no sequence below the kept ones can be longer than the
        shortest kept one has atoms; where some were dropped the answer is that bound at least.
        """
        longest, texts = 0, self._longest.items()
        for start in range(0, len(texts), 4096):
            sequences = [split(text) for text in texts[start : start + 4096]]
            if len(sequences[0]) <= longest:
                return longest  # the rest has no more atoms than the longest has tokens
            longest = max(longest, *map(len, vocabulary.encode(sequences)))
        if self._longest.dropped:
            longest = max(longest, len(split(texts[-1])))
        return longest

    def lengths(self, vocabulary: Encodes, split: Callable[[str], Sequence[str]]) -> Counter[int]:
        """Number of ``vocabulary``'s tokens → how many sequences of the sample have as many."""
        found: Counter[int] = Counter()
        texts = self._sample.items()
        for start in range(0, len(texts), 4096):
            sequences = [split(text) for text in texts[start : start + 4096]]
            found.update(map(len, vocabulary.encode(sequences)))
        return found
