"""The molecules codec: SMILES ⇄ tokens of SELFIES or SMILES, merged by byte pairs.

Nothing here imports torch until tensors are asked for, so ``prepare`` runs in light workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rdkit import Chem

from gmkit.codecs.codec import Batch, Codec, CodecState, Prepared, Reject
from gmkit.codecs.conditions import Conditions
from gmkit.codecs.sequences import length_counts, text_column
from gmkit.codecs.sketch import SequenceSketch
from gmkit.errors import ArtifactError, ConfigError, DataError, did_you_mean
from gmkit_molecules.chemistry import explain, parse, quietly
from gmkit_molecules.notation import NotationError, Smiles, notation

if TYPE_CHECKING:
    import numpy as np

    from gmkit.codecs.vocab import TokenVocabulary
    from gmkit.fields import Space
    from gmkit.fields.grammar import Grammar

COLUMN = "smiles"
TOKENS = "tokens"
"""Name of the one field beside the conditions."""
_MOST = 100_000  # tokens of a sequence; more only in a hostile file
_FACTS = {"config", "vocabulary", "length", "lengths", "conditions"}


class MoleculeConfig(BaseModel):
    """``codec.*`` options of molecules."""

    model_config = ConfigDict(extra="forbid")

    notation: Literal["selfies", "smiles", "kekule"] = "selfies"
    """``selfies``: every sample is a molecule. ``smiles``: what the model must learn itself.
    ``kekule``: SMILES with double bonds in place of aromatic atoms."""
    grammar: bool = True
    """Hold a decoder that writes SMILES to what can still become a molecule: branches and rings
    that close, valences that suffice."""
    tokens: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Byte-pair tokens learned on top of the atom-level ones; 0 for atom level alone."""
    max_length: Annotated[int, Field(ge=1, le=_MOST)] | None = None
    """Longest molecule accepted, in atom-level tokens; longer ones are rejected."""
    condition: list[str] = []
    """What samples can be asked for: columns of the data, or properties that are computed where
    the data has no such column (qed, logp, weight, …: see ``gmkit_molecules.properties``)."""


class Learned(NamedTuple):
    """What fitting found."""

    vocabulary: TokenVocabulary
    length: int
    """Of the token field, the closing 0 included."""
    lengths: list[int]
    """How many molecules (of a sample) have 0, 1, … ``length`` tokens."""


class MoleculeCodec(Codec):
    """One field ``tokens``: a sequence of token ids, closed and filled up by 0; and conditions."""

    Config = MoleculeConfig
    varies = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._notation = notation(self.config.notation)
        self._text = f"gmkit:{self.config.notation}"
        self._sketch: SequenceSketch | None = None
        self._fitted: Learned | None = None
        self._conditions = Conditions(self.config.condition)
        if COLUMN in self.config.condition:
            raise ConfigError(
                f"{COLUMN!r} is what the model makes, so it cannot be its condition",
                hint="Name another column, or a property such as qed.",
            )

    @property
    def conditions(self) -> Conditions:
        """Columns of the data and computed properties."""
        return self._conditions

    # ------------------------------------------------------------ records

    def prepare(self, records: pa.RecordBatch, first_row: int = 0) -> Prepared:
        """Canonical SMILES, with the notation's text beside them in a column of its own, and
        properties that are conditions in theirs.

        Salts, isotopes, charges and stereo are kept, and so are all other columns. Raises
        DataError when there is no text column ``smiles``, or no such condition.
        """
        rejects, kept, smiles, texts = [], [], [], []
        self._check_conditions(records)
        with quietly():
            for row, value in enumerate(text_column(records, COLUMN, "SMILES")):
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
        columns.update(self._computed(smiles, columns))
        usable = self._conditions.prepare(pa.RecordBatch.from_pydict(columns))
        numbered = [r._replace(row=first_row + kept[r.row]) for r in usable.rejects]
        together = sorted([*rejects, *numbered], key=lambda reject: reject.row)
        return Prepared(usable.records, together)

    def _check_conditions(self, records: pa.RecordBatch) -> None:
        """Raise DataError for a condition that is neither a column nor a property."""
        absent = [name for name in self.config.condition if name not in records.schema.names]
        if not absent:
            return
        from gmkit_molecules.properties import PROPERTIES

        for name in absent:
            if name not in PROPERTIES:
                raise DataError(
                    f"no column {name!r} for the condition, nor is it a property of molecules",
                    hint=did_you_mean(name, {*records.schema.names, *PROPERTIES}),
                )

    def _computed(self, smiles: list[str], columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Property → its values, of those conditions that the data has no column for."""
        names = [name for name in self.config.condition if name not in columns]
        if not names:
            return {}
        from gmkit_molecules.properties import properties

        with quietly():
            values = properties([Chem.MolFromSmiles(text) for text in smiles], names)
        return {name: pa.array(value) for name, value in values.items()}

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
        """The texts of prepared records."""
        return records.column(self._text).to_pylist()  # type: ignore[no-any-return]

    def _prepared(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Prepared records of prepared or raw ones. Raises DataError for what ``prepare``
        rejects."""
        if {self._text, *self.config.condition} <= set(records.schema.names):
            return records
        prepared = self.prepare(records)
        if prepared.rejects:
            reject = prepared.rejects[0]
            raise DataError(reject.reason, row=reject.row, column=reject.column)
        return prepared.records

    # ------------------------------------------------------------ learning

    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Gather tokens, lengths and a sample for the byte pairs; memory is bounded."""
        sketch, split = SequenceSketch(), self._notation.tokens
        conditions = Conditions(self.config.condition)
        for batch in map(self._prepared, batches):
            conditions.add(batch)
            for text in self._texts(batch):
                sketch.add(text, split(text))
        self._sketch, self._fitted, self._conditions = sketch, None, conditions
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
        both._conditions = self._conditions.merge(other._conditions)
        return both

    def _learned(self) -> Learned:
        """What fitting found, worked out when it is first needed."""
        if self._fitted is None:
            if self._sketch is None:
                raise ConfigError("the molecules codec is not fitted")
            split = self._notation.tokens
            vocabulary = self._sketch.vocabulary(self.config.tokens, split)
            length = self._sketch.length(vocabulary, split) + 1
            counts = self._sketch.lengths(vocabulary, split)
            self._fitted = Learned(vocabulary, length, [counts[n] for n in range(length + 1)])
        return self._fitted

    # ------------------------------------------------------------ tensors

    @property
    def space(self) -> Space:
        """One sequence of categories, ended by class 0, of lengths as they are in the data."""
        from gmkit.fields import Categorical

        learned = self._learned()
        field = Categorical(
            size=learned.vocabulary.size,
            shape=(learned.length,),
            layout="sequence",
            end=0,
            length_shares=tuple(learned.lengths),
            grammar=self._grammar(learned.vocabulary),
        )
        return self._conditions.joined({TOKENS: field})

    def vary(self, records: pa.RecordBatch, rng: np.random.Generator) -> pa.RecordBatch:
        """Molecules written from another atom on, in another order: randomised SMILES (Arús-Pous
        et al. 2019). One with a token or a length that was not seen stays canonical."""
        smiles, texts = records.column(COLUMN).to_pylist(), self._texts(records)
        seeds = rng.integers(0, 2**31, len(smiles)).tolist()
        with quietly():
            others = [self._other(*pair) for pair in zip(smiles, seeds, strict=True)]
        kept = [other or text for other, text in zip(others, texts, strict=True)]
        place = records.schema.get_field_index(self._text)
        return records.set_column(place, self._text, pa.array(kept, pa.string()))

    def _other(self, smiles: str, seed: int) -> str | None:
        """The notation's text for the molecule, from an order of atoms drawn by the seed; None
        where it cannot be encoded."""
        learned = self._learned()
        molecule = Chem.MolFromSmiles(smiles)
        try:
            text = self._notation.from_smiles(Chem.MolToRandomSmilesVect(molecule, 1, seed)[0])
            tokens = self._notation.tokens(text)
        except NotationError:
            return None
        if not frozenset(learned.vocabulary.atoms).issuperset(tokens):
            return None
        (ids,) = learned.vocabulary.encode([tokens])
        return text if len(ids) < learned.length else None

    def _grammar(self, vocabulary: TokenVocabulary) -> Grammar | None:
        """Rules for SMILES; whatever SELFIES say is a molecule."""
        if self._selfies or not self.config.grammar:
            return None
        from gmkit_molecules.smiles_grammar import grammar_of

        return grammar_of(tuple(vocabulary.texts))

    def encode(self, records: pa.RecordBatch) -> Batch:
        """``tokens`` (B, L), int16 or for a large vocabulary int32, and the conditions."""
        import torch

        learned, records = self._learned(), self._prepared(records)
        sequences = map(self._notation.tokens, self._texts(records))
        ids = learned.vocabulary.encode_padded(sequences, learned.length, column=COLUMN)
        return {TOKENS: torch.from_numpy(ids), **self._conditions.encode(records)}

    def decode(self, batch: Batch) -> pa.RecordBatch:
        """SMILES as the notation gives them: not canonical, and ``""`` for a sequence that
        means nothing (it counts as invalid). Conditions stand beside them, as they were asked
        for: what a sample's property really is remains to be computed."""
        texts = self._learned().vocabulary.decode(batch[TOKENS].cpu().numpy())
        smiles = pa.array(map(self._notation.to_smiles, texts), pa.string())
        return pa.RecordBatch.from_pydict({COLUMN: smiles, **self._conditions.decode(batch)})

    def partial(self, text: str, *, gaps: bool = False) -> tuple[Batch, Batch]:
        """A SMILES that the molecule begins with, whose last atom is bonded on; with ``gaps`` one
        with a ``*`` for what is to be filled in, which is turned to the end. Raises ConfigError for
        what is neither, is too long, or has an atom that the training molecules had not."""
        import torch

        from gmkit.fields import GOES_ON

        learned = self._learned()
        (ids,) = self._ids(self._opening(text) if gaps else self._beginning(text), learned)
        if not 0 < len(ids) < learned.length:
            raise ConfigError(
                f"{text!r} has {len(ids)} tokens; this model writes 1 to {learned.length - 1}",
                hint="Give a smaller part, or train on larger molecules.",
            )
        tokens = torch.zeros(1, learned.length, dtype=torch.int64)
        tokens[0, : len(ids)] = torch.tensor(ids)
        known = torch.arange(learned.length)[None] < len(ids)
        if gaps:
            tokens[0, len(ids)] = GOES_ON
        return {TOKENS: tokens}, {TOKENS: known}

    def _opening(self, text: str) -> list[str]:
        """Tokens up to the star."""
        from gmkit_molecules.opening import OPEN, ending_at, opened

        with quietly():
            molecule = opened(text)
            written = molecule and ending_at(molecule, kekule=self.config.notation == "kekule")
        if not written:
            raise ConfigError(
                f"{text!r} is no molecule with one open place",
                hint=f'Put one {OPEN} where something is to hang, as in "c1ccc({OPEN})cc1"; '
                "for several places: gmkit design --scaffold.",
            )
        try:
            whole = self._notation.from_smiles(written) if self._selfies else written
        except NotationError as error:
            raise ConfigError(f"{text!r}: {error}") from None
        return self._notation.tokens(whole)[:-1]  # less what stands for the star

    def _beginning(self, text: str) -> list[str]:
        """Tokens of the beginning of a molecule."""
        from gmkit_molecules.opening import OPEN

        text = text.strip()
        if parse(text + OPEN) is not None:
            return self._opening(text + OPEN)
        try:  # an open ring or branch: only what is SMILES already can be cut there
            tokens = Smiles().tokens(text)
        except NotationError as error:
            raise ConfigError(f"{text!r} begins no SMILES: {error}") from None
        aromatic = any(token[0].islower() for token in tokens)
        if self._selfies or (aromatic and self.config.notation == "kekule"):
            raise ConfigError(
                f"{text!r} is no molecule by itself, so it cannot be written as "
                f"{self.config.notation}",
                hint="Begin with whole rings and branches, as in c1ccccc1C(=O)N.",
            )
        return tokens

    @property
    def _selfies(self) -> bool:
        return bool(self.config.notation == "selfies")

    @staticmethod
    def _ids(tokens: list[str], learned: Learned) -> list[list[int]]:
        try:
            return learned.vocabulary.encode([tokens])
        except DataError as error:
            raise ConfigError(error.message, hint="Write it without, or train on such.") from None

    # ------------------------------------------------------------ storage

    def state(self) -> CodecState:
        """Options, vocabulary, lengths and conditions."""
        learned = self._learned()
        return CodecState(
            {
                "config": self.config.model_dump(),
                "vocabulary": learned.vocabulary.to_json(),
                "length": learned.length,
                "lengths": learned.lengths,
                "conditions": self._conditions.state().facts,
            }
        )

    @classmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError."""
        from gmkit.codecs.vocab import TokenVocabulary

        facts = state.facts
        if not isinstance(facts, dict) or set(facts) != _FACTS:
            raise ArtifactError(f"the molecules codec needs {', '.join(sorted(_FACTS))}")
        if type(facts["length"]) is not int or not 1 <= facts["length"] <= _MOST + 1:
            raise ArtifactError(f"length {facts['length']!r} is not in 1 … {_MOST + 1}")
        if not isinstance(facts["config"], dict):
            raise ArtifactError("the molecules codec's config is not a table")
        try:
            codec = cls(facts["config"])
        except (ValidationError, ConfigError) as error:
            raise ArtifactError(f"the molecules codec's config makes no sense: {error}") from error
        codec._conditions = Conditions.from_state(CodecState(facts["conditions"]))
        if list(codec._conditions.names) != codec.config.condition:
            raise ArtifactError("the molecules codec's conditions are not those of its config")
        lengths = length_counts(facts["lengths"], facts["length"], "molecules")
        vocabulary = TokenVocabulary.from_json(facts["vocabulary"])
        codec._fitted = Learned(vocabulary, facts["length"], lengths)
        return codec
