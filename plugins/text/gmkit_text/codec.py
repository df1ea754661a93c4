"""The text codec: documents → windows of text → rows of token ids, and back.

Nothing here imports torch until tensors are asked for, so ``prepare`` runs in light workers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gmkit.codecs.codec import Batch, Codec, CodecState, Prepared, Reject
from gmkit.codecs.conditions import Conditions
from gmkit.codecs.sequences import length_counts, text_column
from gmkit.codecs.sketch import SequenceSketch
from gmkit.errors import ArtifactError, ConfigError, DataError
from gmkit_text.alphabets import Alphabet, Bytes, Characters, Pairs, alphabet_from_json
from gmkit_text.windows import sections, windows

if TYPE_CHECKING:
    from gmkit.fields import Space

COLUMN = "text"
TOKENS = "tokens"
"""Name of the one field beside the conditions."""
GAP = re.compile("__+")
"""What marks unknown characters."""
SECTION = "gmkit:section"
"""Column of prepared records: which windows belong together."""
_MOST = 65_536  # tokens of a window; more only in a hostile file
_FACTS = {"config", "alphabet", "length", "lengths", "rare", "conditions"}


class TextConfig(BaseModel):
    """``codec.*`` options of text."""

    model_config = ConfigDict(extra="forbid")

    tokens: Literal["characters", "bytes"] | Annotated[int, Field(ge=1, le=100_000)] = "characters"
    """``characters``, ``bytes`` of UTF-8, or how many byte-pair tokens to learn on top of the
    characters."""
    window: Annotated[int, Field(ge=4, le=_MOST)] = 128
    """Characters (with ``bytes``: bytes) of a record; longer documents are cut into several."""
    alphabet: Annotated[int, Field(ge=1, le=50_000)] = 1000
    """Most characters told apart, the most frequent ones; the others become ``�``."""
    condition: list[str] = []
    """Columns of the data that samples can be asked for."""


class Learned(NamedTuple):
    """What fitting found."""

    alphabet: Alphabet
    length: int
    """Of the token field."""
    lengths: list[int]
    """How many windows (byte pairs: of a sample) have 0, 1, … ``length`` tokens."""
    rare: int
    """Occurrences of characters that are not in the alphabet."""


class TextCodec(Codec):
    """One field ``tokens``: a sequence of token ids, closed by 0 where it is short; conditions."""

    Config = TextConfig
    splits: ClassVar[bool] = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._seen: _Seen | None = None
        self._fitted: Learned | None = None
        self._conditions = Conditions(self.config.condition)
        if COLUMN in self.config.condition:
            raise ConfigError(
                f"{COLUMN!r} is what the model makes, so it cannot be its condition",
                hint="Name another column.",
            )

    @property
    def conditions(self) -> Conditions:
        """Columns of the data."""
        return self._conditions

    # ------------------------------------------------------------ records

    def prepare(self, records: pa.RecordBatch, first_row: int = 0) -> Prepared:
        """Documents as windows, each with the columns of its document and its section.

        Set aside with the reason: missing and empty texts, and records without a value of a
        condition. Raises DataError when there is no text column ``text``, or no such condition.
        """
        usable = self._conditions.prepare(records, first_row)
        if SECTION in records.schema.names:  # windows already
            return usable
        rejects, kept, pieces, names = list(usable.rejects), [], [], []
        gone = {reject.row - first_row for reject in usable.rejects}
        origin = [row for row in range(len(records)) if row not in gone]
        for row, text in enumerate(text_column(usable.records, COLUMN, "the text")):
            if not text:
                reason = "is missing" if text is None else "is empty"
                rejects.append(Reject(first_row + origin[row], COLUMN, "", reason))
                continue
            parts = windows(text, self.config.window, in_bytes=self.config.tokens == "bytes")
            pieces += parts
            names += sections(parts)
            kept += [row] * len(parts)
        rows, documents = pa.array(kept, pa.int64()), usable.records
        columns = {
            # a document beside each of its windows would be its square
            name: pa.array(pieces, pa.string()) if name == COLUMN else documents[name].take(rows)
            for name in documents.schema.names
        }
        columns[SECTION] = pa.array(names, pa.string())
        return Prepared(
            pa.RecordBatch.from_pydict(columns), sorted(rejects, key=lambda reject: reject.row)
        )

    def _prepared(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Windows of prepared or raw records. Raises DataError for what ``prepare`` rejects."""
        prepared = self.prepare(records)
        if prepared.rejects:
            reject = prepared.rejects[0]
            raise DataError(reject.reason, row=reject.row, column=reject.column)
        return prepared.records

    # ------------------------------------------------------------ learning

    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Gather characters, lengths and for byte pairs a sample; memory is bounded."""
        seen = _Seen(pairs=isinstance(self.config.tokens, int))
        conditions = Conditions(self.config.condition)
        for batch in map(self._prepared, batches):
            conditions.add(batch)
            seen.add(batch.column(COLUMN).to_pylist())
        self._seen, self._fitted, self._conditions = seen, None, conditions
        return self

    def merge(self, other: Self) -> Self:
        """The codec of both parts. Raises ConfigError when one is not fresh from ``fit``, or
        they differ in their options."""
        if self._seen is None or other._seen is None:
            raise ConfigError("only codecs fresh from fit can be merged")
        if self.config != other.config:
            raise ConfigError(f"codecs of different options: {self.config} and {other.config}")
        both = type(self)(self.config.model_dump())
        both._seen = self._seen.merge(other._seen)
        both._conditions = self._conditions.merge(other._conditions)
        return both

    def _learned(self) -> Learned:
        """What fitting found, worked out when it is first needed."""
        if self._fitted is None:
            if self._seen is None:
                raise ConfigError("the text codec is not fitted")
            self._fitted = self._seen.learned(self.config)
        return self._fitted

    @property
    def alphabet(self) -> Alphabet:
        """The fitted tokens."""
        return self._learned().alphabet

    def notes(self) -> list[str]:
        """What became of rare characters."""
        rare = self._learned().rare
        if not rare:
            return []
        return [
            f"{rare:,} rare characters, beyond the {self.config.alphabet:,} most frequent, are "
            "read as �: --set codec.alphabet=N tells more apart, --set codec.tokens=bytes all."
        ]

    # ------------------------------------------------------------ tensors

    @property
    def space(self) -> Space:
        """One sequence of categories of lengths as they are in the data."""
        from gmkit.fields import Categorical

        learned = self._learned()
        field = Categorical(
            size=learned.alphabet.size,
            shape=(learned.length,),
            layout="sequence",
            end=0,
            length_shares=tuple(learned.lengths),
        )
        return self._conditions.joined({TOKENS: field})

    def encode(self, records: pa.RecordBatch) -> Batch:
        """``tokens`` (B, L), a row for each window, int16 or for a large alphabet int32; and the
        conditions."""
        import torch

        learned, records = self._learned(), self._prepared(records)
        ids = learned.alphabet.rows(records.column(COLUMN).to_pylist(), learned.length)
        return {TOKENS: torch.from_numpy(ids), **self._conditions.encode(records)}

    def decode(self, batch: Batch) -> pa.RecordBatch:
        """Text, and the conditions where the batch has them."""
        texts = self._learned().alphabet.decode(batch[TOKENS].cpu().numpy())
        column = pa.array(texts, pa.string())
        return pa.RecordBatch.from_pydict({COLUMN: column, **self._conditions.decode(batch)})

    def partial(self, text: str, *, gaps: bool = False) -> tuple[Batch, Batch]:
        """The beginning of a window; with ``gaps`` a whole one, a run of underscores standing for
        as many characters (bytes)."""
        import torch

        learned = self._learned()
        unknown = sorted(learned.alphabet.unknown(GAP.sub("", text) if gaps else text))
        if unknown:
            raise ConfigError(
                f"the training text has no {', '.join(map(repr, unknown))}",
                hint="Write the prompt without, or train with --set codec.tokens=bytes.",
            )
        if gaps and learned.alphabet.kind == Pairs.kind:
            raise ConfigError(
                "gaps need a model of characters or bytes; this one's tokens are byte pairs",
                hint="Train with --set codec.tokens=characters, or give a --prompt.",
            )
        ids = torch.tensor(learned.alphabet.split(text), dtype=torch.int64)
        if not 0 < len(ids) <= learned.length:
            raise ConfigError(
                f"a prompt of {len(ids)} tokens; this model writes 1 to {learned.length}",
                hint="Give another prompt, or train with a longer --set codec.window=N.",
            )
        tokens = torch.zeros(1, learned.length, dtype=torch.int64)
        known = torch.zeros(1, learned.length, dtype=torch.bool)
        tokens[0, : len(ids)], known[0, : len(ids)] = ids, True
        if gaps:
            known[0, len(ids) :] = True  # it ends there
            for gap in GAP.finditer(text):
                start = len(learned.alphabet.split(text[: gap.start()]))
                known[0, start : start + len(gap[0])] = False
                tokens[0, start : start + len(gap[0])] = ids[0]  # any but an end
        return {TOKENS: tokens}, {TOKENS: known}

    # ------------------------------------------------------------ storage

    def state(self) -> CodecState:
        """Options, alphabet, lengths and conditions."""
        learned = self._learned()
        return CodecState(
            {
                "config": self.config.model_dump(),
                "alphabet": learned.alphabet.to_json(),
                "length": learned.length,
                "lengths": learned.lengths,
                "rare": learned.rare,
                "conditions": self._conditions.state().facts,
            }
        )

    @classmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError."""
        facts = state.facts
        if not isinstance(facts, dict) or set(facts) != _FACTS:
            raise ArtifactError(f"the text codec needs {', '.join(sorted(_FACTS))}")
        for name, low, high in (("length", 1, _MOST), ("rare", 0, 2**53)):
            if type(facts[name]) is not int or not low <= facts[name] <= high:
                raise ArtifactError(f"{name} {facts[name]!r} is not in {low} … {high}")
        if not isinstance(facts["config"], dict):
            raise ArtifactError("the text codec's config is not a table")
        try:
            codec = cls(facts["config"])
        except (ValidationError, ConfigError) as error:
            raise ArtifactError(f"the text codec's config makes no sense: {error}") from error
        codec._conditions = Conditions.from_state(CodecState(facts["conditions"]))
        if list(codec._conditions.names) != codec.config.condition:
            raise ArtifactError("the text codec's conditions are not those of its config")
        lengths = length_counts(facts["lengths"], facts["length"], "windows")
        alphabet = alphabet_from_json(facts["alphabet"])
        codec._fitted = Learned(alphabet, facts["length"], lengths, facts["rare"])
        return codec


class _Seen:
    """What fitting keeps of windows: bounded, mergeable, independent of their order."""

    def __init__(self, *, pairs: bool) -> None:
        self.characters: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.byte_lengths: Counter[int] = Counter()
        self.sketch = SequenceSketch() if pairs else None
        """Of windows as texts, from which byte pairs are learned."""

    def add(self, texts: list[str]) -> None:
        """Some windows."""
        self.characters.update("".join(texts))
        self.lengths.update(map(len, texts))
        self.byte_lengths.update(len(text.encode()) for text in texts)
        if self.sketch is not None:
            for text in texts:
                self.sketch.add(text, text)

    def merge(self, other: _Seen) -> _Seen:
        """What was seen by both."""
        both = _Seen(pairs=self.sketch is not None)
        both.characters = self.characters + other.characters
        both.lengths = self.lengths + other.lengths
        both.byte_lengths = self.byte_lengths + other.byte_lengths
        if self.sketch is not None and other.sketch is not None:
            both.sketch = self.sketch.merge(other.sketch)
        return both

    def learned(self, config: TextConfig) -> Learned:
        """The alphabet and the lengths. Raises DataError without any text."""
        if not self.characters:
            raise DataError("there is no usable record to learn from")
        if config.tokens == "bytes":
            return _counted(Bytes(), self.byte_lengths, 0)
        by_count = sorted(self.characters, key=lambda c: (-self.characters[c], c))
        kept = by_count[: config.alphabet]
        rare = self.characters.total() - sum(self.characters[c] for c in kept)
        if isinstance(config.tokens, str) or self.sketch is None:
            return _counted(Characters(kept), self.lengths, rare)
        alphabet = Pairs.learn(kept, self.sketch.sample(), config.tokens)
        counts = self.sketch.lengths(alphabet, str)
        return _counted(alphabet, counts, rare, self.sketch.length(alphabet, str))


def _counted(alphabet: Alphabet, counts: Counter[int], rare: int, least: int = 0) -> Learned:
    """With the field as long as the longest window."""
    length = max(*counts, least)
    return Learned(alphabet, length, [counts[n] for n in range(length + 1)], rare)
