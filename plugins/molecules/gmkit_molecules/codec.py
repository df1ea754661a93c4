"""The molecules codec: SMILES ⇄ tokens of SELFIES or SMILES, merged by byte pairs.

Nothing here imports torch until tensors are asked for, so ``prepare`` runs in light workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rdkit import Chem

from gmkit.codecs.codec import Batch, Codec, CodecState, Prepared, Reject
from gmkit.codecs.sketch import SequenceSketch
from gmkit.errors import ArtifactError, ConfigError, DataError
from gmkit_molecules.chemistry import explain, parse, quietly
from gmkit_molecules.notation import NotationError, notation

if TYPE_CHECKING:
    from gmkit.codecs.vocab import TokenVocabulary
    from gmkit.fields import Space

COLUMN = "smiles"
TOKENS = "tokens"
"""Name of the one field."""
_MOST = 100_000  # tokens of a sequence; more only in a hostile file


class MoleculeConfig(BaseModel):
    """``codec.*`` options of molecules."""

    model_config = ConfigDict(extra="forbid")

    notation: Literal["selfies", "smiles"] = "selfies"
    """``selfies``: every sample is a molecule. ``smiles``: what the model must learn itself."""
    tokens: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Byte-pair tokens learned on top of the atom-level ones; 0 for atom level alone."""
    max_length: Annotated[int, Field(ge=1, le=_MOST)] | None = None
    """Longest molecule accepted, in atom-level tokens; longer ones are rejected."""


class MoleculeCodec(Codec):
    """One field ``tokens``: a sequence of token ids, closed and filled up by 0."""

    Config = MoleculeConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._notation = notation(self.config.notation)
        self._text = f"gmkit:{self.config.notation}"
        self._sketch: SequenceSketch | None = None
        self._fitted: tuple[TokenVocabulary, int] | None = None

    # ------------------------------------------------------------ records

    def prepare(self, records: pa.RecordBatch, first_row: int = 0) -> Prepared:
        """Canonical SMILES, with the notation's text beside them in a column of its own.

        Salts, isotopes, charges and stereo are kept, and so are all other columns. Raises
        DataError when there is no text column ``smiles``.
        """
        rejects, kept, smiles, texts = [], [], [], []
        with quietly():
            for row, value in enumerate(_strings(records)):
                try:
                    canonical, text = self._translate(value)
                except NotationError as error:
                    rejects.append(Reject(first_row + row, COLUMN, value or "", str(error)))
                else:
                    kept.append(row)
                    smiles.append(canonical)
                    texts.append(text)
        if rejects:
            records = records.take(pa.array(kept, pa.int64()))
        columns = dict(zip(records.schema.names, records.columns, strict=True))
        columns[COLUMN] = pa.array(smiles, pa.string())
        columns[self._text] = pa.array(texts, pa.string())
        return Prepared(pa.RecordBatch.from_pydict(columns), rejects)

    def _translate(self, value: str | None) -> tuple[str, str]:
        """Canonical SMILES and its text. Raises NotationError with the reason to reject it."""
        molecule = None if value is None else parse(value)
        if molecule is None:
            raise NotationError(explain(value))
        canonical = Chem.MolToSmiles(molecule)
        text = self._notation.from_smiles(canonical)
        length = len(self._notation.tokens(text))
        if self.config.max_length is not None and length > self.config.max_length:
            raise NotationError(f"{length} tokens, more than max_length {self.config.max_length}")
        return canonical, text

    def _texts(self, records: pa.RecordBatch) -> list[str]:
        """The texts of prepared or raw records. Raises DataError for what ``prepare`` rejects."""
        if self._text not in records.schema.names:
            prepared = self.prepare(records)
            if prepared.rejects:
                reject = prepared.rejects[0]
                raise DataError(reject.reason, row=reject.row, column=COLUMN)
            records = prepared.records
        return records.column(self._text).to_pylist()  # type: ignore[no-any-return]

    # ------------------------------------------------------------ learning

    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Gather tokens, lengths and a sample for the byte pairs; memory is bounded."""
        sketch, split = SequenceSketch(), self._notation.tokens
        for batch in batches:
            for text in self._texts(batch):
                sketch.add(text, split(text))
        self._sketch, self._fitted = sketch, None
        return self

    def merge(self, other: Self) -> Self:
        """The codec of both parts. Raises ConfigError when one is not fresh from ``fit``, or
        they differ in their options."""
        if self._sketch is None or other._sketch is None:
            raise ConfigError("only codecs fresh from fit can be merged")
        if self.config != other.config:
            raise ConfigError(f"codecs of different options: {self.config} and {other.config}")
        both = type(self)(self.config.model_dump())
        both._sketch = self._sketch.merge(other._sketch)
        return both

    def _vocabulary(self) -> tuple[TokenVocabulary, int]:
        """What was learned: the vocabulary and the length of the token field."""
        if self._fitted is None:
            if self._sketch is None:
                raise ConfigError("the molecules codec is not fitted")
            split = self._notation.tokens
            vocabulary = self._sketch.vocabulary(self.config.tokens, split)
            self._fitted = vocabulary, self._sketch.length(vocabulary, split) + 1
        return self._fitted

    # ------------------------------------------------------------ tensors

    @property
    def space(self) -> Space:
        """One sequence of categories, ended by class 0."""
        from gmkit.fields import Categorical, Space

        vocabulary, length = self._vocabulary()
        field = Categorical(size=vocabulary.size, shape=(length,), layout="sequence", end=0)
        return Space({TOKENS: field})

    def encode(self, records: pa.RecordBatch) -> Batch:
        """``tokens`` (B, L), int16 or for a large vocabulary int32."""
        import torch

        vocabulary, length = self._vocabulary()
        sequences = map(self._notation.tokens, self._texts(records))
        ids = vocabulary.encode_padded(sequences, length, column=COLUMN)
        return {TOKENS: torch.from_numpy(ids)}

    def decode(self, batch: Batch) -> pa.RecordBatch:
        """SMILES as the notation gives them: not canonical, and ``""`` for a sequence that
        means nothing (it counts as invalid)."""
        vocabulary, _ = self._vocabulary()
        texts = vocabulary.decode(batch[TOKENS].cpu().numpy())
        smiles = list(map(self._notation.to_smiles, texts))
        return pa.RecordBatch.from_pydict({COLUMN: pa.array(smiles, pa.string())})

    # ------------------------------------------------------------ storage

    def state(self) -> CodecState:
        """Options, vocabulary and length."""
        vocabulary, length = self._vocabulary()
        return CodecState(
            {
                "config": self.config.model_dump(),
                "vocabulary": vocabulary.to_json(),
                "length": length,
            }
        )

    @classmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError."""
        from gmkit.codecs.vocab import TokenVocabulary

        facts = state.facts
        if not isinstance(facts, dict) or set(facts) != {"config", "vocabulary", "length"}:
            raise ArtifactError("the molecules codec needs config, vocabulary and length")
        if type(facts["length"]) is not int or not 1 <= facts["length"] <= _MOST + 1:
            raise ArtifactError(f"length {facts['length']!r} is not in 1 … {_MOST + 1}")
        if not isinstance(facts["config"], dict):
            raise ArtifactError("the molecules codec's config is not a table")
        try:
            codec = cls(facts["config"])
        except ValidationError as error:
            raise ArtifactError(f"the molecules codec's config makes no sense: {error}") from error
        codec._fitted = TokenVocabulary.from_json(facts["vocabulary"]), facts["length"]
        return codec


def _strings(records: pa.RecordBatch) -> Iterator[str | None]:
    """The column ``smiles`` as strings. Raises DataError when it is missing or no text."""
    if COLUMN not in records.schema.names:
        raise DataError(
            f"no column {COLUMN!r} among {', '.join(records.schema.names) or 'none'}",
            hint="Name the column that holds SMILES: --column NAME.",
        )
    column = records.column(COLUMN)
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise DataError(
            f"holds {kind}, not text",
            column=COLUMN,
            hint="Name the column that holds SMILES: --column NAME.",
        )
    return iter(column.to_pylist())
