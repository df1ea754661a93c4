"""The core's own plugin: its families, fields and trunks come through the same door as others'."""

from __future__ import annotations

from gmkit.api import FamilyInfo, FieldInfo, ScorerInfo, TrunkInfo, hookimpl

__gmkit_api__ = "1.0"


@hookimpl
def gmkit_register_families() -> list[FamilyInfo]:
    return [
        FamilyInfo(
            name="vae",
            summary="Variational autoencoder: likelihood bound, latent code, completion",
            loader="gmkit.families.vae:VAE",
            capabilities=frozenset({"log_prob", "reconstruct", "encode", "complete"}),
        ),
        FamilyInfo(
            name="gan",
            summary="Adversarial network: draws in one pass, and a critic that scores",
            loader="gmkit.families.gan:GAN",
            capabilities=frozenset({"critic"}),
        ),
        FamilyInfo(
            name="diffusion",
            summary="Diffusion: Gaussian on numbers, masked on classes, both on a mix",
            loader="gmkit.families.diffusion:Diffusion",
            capabilities=frozenset({"log_prob", "complete", "denoise_error"}),
        ),
        FamilyInfo(
            name="flow",
            summary="Rectified flow: diffusion along straight paths",
            loader="gmkit.families.diffusion:Diffusion",
            capabilities=frozenset({"log_prob", "complete", "denoise_error"}),
            preset={"objective": "flow", "schedule": "flow", "sampler": "euler"},
        ),
        FamilyInfo(
            name="trees",
            summary="Decision trees one after the other: tables in seconds",
            loader="gmkit.families.trees:Trees",
            capabilities=frozenset({"log_prob", "complete"}),
        ),
        FamilyInfo(
            name="mixture",
            summary="VAE of one latent class, exact posterior, by EM: tables in seconds",
            loader="gmkit.families.mixture:Mixture",
            capabilities=frozenset({"log_prob", "reconstruct", "encode", "complete"}),
        ),
        FamilyInfo(
            name="copula",
            summary="Gaussian copula: exact marginals, one correlation matrix",
            loader="gmkit.families.copula:Copula",
            capabilities=frozenset({"complete"}),
        ),
        FamilyInfo(
            name="smote",
            summary="Between a record and its nearest neighbours: few rows, balance",
            loader="gmkit.families.resampling:Smote",
            capabilities=frozenset({"complete"}),
        ),
        FamilyInfo(
            name="noise",
            summary="Noise on records of the data: the plainest augmentation",
            loader="gmkit.families.resampling:Noise",
            capabilities=frozenset({"complete"}),
        ),
    ]


@hookimpl
def gmkit_register_fields() -> list[FieldInfo]:
    return [
        FieldInfo(
            name="real",
            summary="Real numbers of a fixed shape",
            loader="gmkit.fields.real:Real",
        ),
        FieldInfo(
            name="categorical",
            summary="One of a finite set of values, at each element of a shape",
            loader="gmkit.fields.categorical:Categorical",
        ),
    ]


@hookimpl
def gmkit_register_trunks() -> list[TrunkInfo]:
    return [
        TrunkInfo(
            name="flat",
            summary="Residual multilayer perceptron",
            loader="gmkit.trunks.mlp:FlatTrunk",
        ),
        TrunkInfo(
            name="columns",
            summary="Transformer with a token per field, for flat data",
            loader="gmkit.trunks.columns:ColumnTrunk",
        ),
        TrunkInfo(
            name="sequence",
            summary="Transformer with rotary positions",
            loader="gmkit.trunks.sequence:SequenceTrunk",
        ),
        TrunkInfo(
            name="grid1d",
            summary="Convolutional pyramid and U-Net over one dimension",
            loader="gmkit.trunks.grid:GridTrunk",
        ),
        TrunkInfo(
            name="grid2d",
            summary="Convolutional pyramid and U-Net over two dimensions",
            loader="gmkit.trunks.grid:GridTrunk",
        ),
    ]


@hookimpl
def gmkit_register_scorers() -> list[ScorerInfo]:
    home = "gmkit.scoring.of_families"
    return [
        ScorerInfo(
            name="likelihood",
            summary="a bound of how unlikely a record is",
            loader=f"{home}:Likelihood",
            needs=frozenset({"log_prob"}),
        ),
        ScorerInfo(
            name="reconstruction",
            summary="what is lost on the way through a latent and back",
            loader=f"{home}:Reconstruction",
            needs=frozenset({"reconstruct"}),
        ),
        ScorerInfo(
            name="denoising",
            summary="how hard noise is to take off, over several levels",
            loader=f"{home}:Denoising",
            needs=frozenset({"denoise_error"}),
        ),
        ScorerInfo(
            name="critic",
            summary="how little a critic takes a record for one of the data's",
            loader=f"{home}:Critic",
            needs=frozenset({"critic"}),
        ),
        ScorerInfo(
            name="latent-neighbours",
            summary="distance to the fifth nearest known record in the latent",
            loader=f"{home}:LatentNeighbours",
            needs=frozenset({"encode"}),
        ),
    ]
