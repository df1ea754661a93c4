"""Data sets of molecules: what they are, whose they are, where they lie.

Sizes and SHA-256 of the fetched ones are those of the Git LFS pointers at the pinned commit
(MOSES, the same files as in its 0.3.1 wheel) and of several independent records of the pinned
file (ZINC-250k).
"""

from __future__ import annotations

from gmkit.api import DatasetInfo

_MOSES = (
    "https://media.githubusercontent.com/media/molecularsets/moses/"
    "b94468cab4590ced03a98c26a35d3c1e0647d9c9/moses/dataset/data/"
)
_MOSES_LICENCE = "MIT (MOSES); molecules from ZINC Clean Leads, free to use"
_MOSES_CITATION = "Polykovskiy et al., Molecular Sets, Front. Pharmacol. 11 (2020) 565644"

DATASETS: list[DatasetInfo] = [
    DatasetInfo(
        name="screening",
        summary="10,000 drug-like screening molecules, inside RDKit",
        domain="molecules",
        licence="distributed with RDKit (BSD-3-Clause)",
        loader="gmkit_molecules.datasets:screening",
        column="smiles",
        rows=10_000,
        default=True,
        citation="Saubern, Guha and Baell, Mol. Inform. 30 (2011) 847",
    ),
    DatasetInfo(
        name="nci-5k",
        summary="first 4,999 compounds of the NCI open collection, inside RDKit",
        domain="molecules",
        licence="distributed with RDKit (BSD-3-Clause)",
        loader="gmkit_molecules.datasets:nci",
        column="smiles",
        rows=4_999,
        citation="National Cancer Institute, Developmental Therapeutics Program",
    ),
    DatasetInfo(
        name="zinc-250k",
        summary="249,455 drug-like molecules with logP, QED and SA score",
        domain="molecules",
        licence="ZINC: free to use, no redistribution of large parts without permission",
        url=(
            "https://raw.githubusercontent.com/aspuru-guzik-group/chemical_vae/"
            "37b9f96470d4471c0593cffefa448e0a8a184ef6/models/zinc_properties/"
            "250k_rndm_zinc_drugs_clean_3.csv"
        ),
        sha256="35e3f1a52b1badc0697e373d73a18ad773f415936ff992f4c6baa2e067b3e6ae",
        size=22_606_589,
        file="zinc-250k.csv",
        column="smiles",
        rows=249_455,
        citation="Gómez-Bombarelli et al., ACS Cent. Sci. 4 (2018) 268",
    ),
    DatasetInfo(
        name="moses-train",
        summary="MOSES benchmark, 1,584,663 lead-like training molecules",
        domain="molecules",
        licence=_MOSES_LICENCE,
        url=f"{_MOSES}train.csv.gz",
        sha256="786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c",
        size=10_238_967,
        file="moses-train.csv.gz",
        column="SMILES",
        rows=1_584_663,
        citation=_MOSES_CITATION,
    ),
    DatasetInfo(
        name="moses-test",
        summary="MOSES benchmark, 176,074 test molecules",
        domain="molecules",
        licence=_MOSES_LICENCE,
        url=f"{_MOSES}test.csv.gz",
        sha256="f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2",
        size=1_367_572,
        file="moses-test.csv.gz",
        column="SMILES",
        rows=176_074,
        citation=_MOSES_CITATION,
    ),
    DatasetInfo(
        name="moses-test-scaffolds",
        summary="MOSES benchmark, test molecules of scaffolds not in training",
        domain="molecules",
        licence=_MOSES_LICENCE,
        url=f"{_MOSES}test_scaffolds.csv.gz",
        sha256="adffb2192c1bfe31ab0e13154d4af19a37dc18bdbf3cd7b4491e04405128adde",
        size=1_274_114,
        file="moses-test-scaffolds.csv.gz",
        column="SMILES",
        rows=176_225,
        citation=_MOSES_CITATION,
    ),
]
