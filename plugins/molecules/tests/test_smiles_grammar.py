"""The grammar of SMILES: it refuses nothing real, and little of what it lets through is broken."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.datasets import screening
from gmkit_molecules.smiles_grammar import SmilesGrammar, grammar_of
from gmkit_molecules.smiles_profile import AROMATIC, bonds_left
from rdkit import Chem, rdBase

from gmkit.families.vae import VAE, VAEConfig
from gmkit.trunks import TrunkConfig


@pytest.fixture(scope="module")
def coded() -> tuple[MoleculeCodec, torch.Tensor]:
    """Byte pairs of the screening molecules, some with charges, salts and stereo."""
    records = pa.RecordBatch.from_pydict({"smiles": next(iter(screening()))["smiles"][:3000]})
    codec = MoleculeCodec({"notation": "smiles", "tokens": 128})
    prepared = codec.prepare(records).records
    return codec.fit([prepared]), codec.encode(prepared)["tokens"].long()


def rules(codec: MoleculeCodec) -> SmilesGrammar:
    grammar = codec.space.fields["tokens"].grammar
    assert isinstance(grammar, SmilesGrammar)
    return grammar


def spelled(text: str, *more: str) -> tuple[SmilesGrammar, list[int]]:
    """A grammar of single symbols, and the classes of a text."""
    symbols = ["", *"CNOFScno()=#123.", "[nH]", "[N+]", "[O-]", *more]
    found, rest = [], text
    while rest:
        longest = max((s for s in symbols if s and rest.startswith(s)), key=len)
        found.append(symbols.index(longest))
        rest = rest[len(longest) :]
    return grammar_of(tuple(symbols)), found


def legal(text: str, *more: str) -> bool:
    """Whether each symbol, and the end, may follow those before."""
    grammar, classes = spelled(text, *more)
    state = grammar.begin(1)
    for number in [*classes, 0]:
        chosen = torch.tensor([number])
        if not bool(grammar.allowed(state, chosen[:, None])):
            return False
        state = grammar.advance(state, chosen)
    return True


def test_real_molecules_are_allowed(coded):
    codec, tokens = coded
    grammar, refused = rules(codec), torch.zeros(len(tokens), dtype=torch.bool)
    state, over = grammar.begin(len(tokens)), refused.clone()
    for chosen in tokens.T:
        refused |= ~grammar.allowed(state, chosen[:, None])[:, 0] & ~over
        over |= chosen == 0
        state = grammar.advance(state, chosen)
    assert float(refused.float().mean()) < 0.002


@pytest.mark.parametrize(
    "text",
    [
        "C",
        "CC(=O)O",
        "c1ccccc1",
        "C1CC1",
        "FC(F)(F)c1c[nH]cn1",
        "C[N+](C)(C)CC(=O)[O-]",
        "CCO.CN",
        "O=c1cc[nH]cc1",
        "CS(=O)(=O)N1CCC2(CC1)OCCO2",
        "c1ccc2ccccc2c1",
        "N#Cc1ccccc1",
    ],
)
def test_allowed(text):
    assert Chem.MolFromSmiles(text) is not None
    assert legal(text)


@pytest.mark.parametrize(
    "text",
    [
        "C(",
        "C)",
        "C1CC",
        "C=",
        "FC(F)F(C)C",
        "C=F",
        "N#N=C",
        "O(C)(C)C",
        "C()C",
        "(C)",
        "=C",
        "C1C1",
        "C1(CC)C1",
        "C12CC12",
        "C12C(C12)",
        "C1C#N",
        "CC1C=O",
        "c(C)C",
        "C(C",
        "CC=",
        "C=(C)C",
        "CF1CC1",
        "C(.C)C",
        "c1(C)(C)cccc1",
    ],
)
def test_refused(text):
    assert not legal(text)


def test_merged_tokens_do_what_their_symbols_do():
    for text in ("CC(=O)Nc1ccc(F)cc1", "FC(F)(F)C(=O)O"):
        for begin in range(len(text)):
            for end in range(begin + 2, len(text) + 1, 3):
                part = text[begin:end]
                assert legal(text, part), part
    assert not legal("OC(=O)(=O)C", "(=O)")
    assert not legal("CF(=O)", "(=O)")
    assert not legal("C)=O", ")=O")


def test_bonds_left():
    found = {a: bonds_left(a) for a in ("C", "[CH2-]", "[NH3+]", "[O-]", "Cl", "[C@@H]", "*")}
    assert found == {"C": 4, "[CH2-]": 1, "[NH3+]": 1, "[O-]": 1, "Cl": 1, "[C@@H]": 3, "*": 8}
    assert [bonds_left(a) - AROMATIC for a in ("c", "n", "o", "[nH]", "[n+]")] == [3, 3, 2, 2, 3]


def test_an_untrained_model_writes_what_parses(coded):
    """Drawn at random under the rules; without them next to nothing parses."""
    codec, _ = coded
    torch.manual_seed(0)
    shares = {}
    for name, space in (
        ("held", codec.space),
        ("free", MoleculeCodec({"notation": "smiles", "tokens": 128, "grammar": False})),
    ):
        if isinstance(space, MoleculeCodec):
            space._fitted = codec._learned()
            space = space.space
        family = VAE(space, VAEConfig(latent=4), TrunkConfig(width=16, depth=1)).eval()
        drawn = family.sample(1500, None, torch.Generator().manual_seed(1))
        texts = codec.decode(drawn)["smiles"].to_pylist()
        ended = [t for t, row in zip(texts, drawn["tokens"], strict=True) if row[-1] == 0 and t]
        with rdBase.BlockLogs():
            good = [t for t in ended if Chem.MolFromSmiles(t, sanitize=False) is not None]
        shares[name] = len(good) / max(1, len(ended))
    assert shares["held"] > 0.85 > 0.3 > shares["free"]


def test_broken_rules_in_what_is_given_do_no_harm():
    grammar, classes = spelled(")))C(((F(F)F)1=")
    state = grammar.begin(1)
    for number in classes:
        state = grammar.advance(state, torch.tensor([number]))
        grammar.allowed(state, torch.arange(19)[None])
