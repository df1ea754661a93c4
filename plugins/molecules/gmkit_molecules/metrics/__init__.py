"""How good generated molecules are: the figures of MOSES, and ``likeness``.

Polykovskiy et al., Molecular Sets (MOSES), Frontiers in Pharmacology 11, 565644 (2020). Each
metric is a function ``(real, synthetic, holdout) -> dict[str, float]`` on the column ``smiles``
(``gmkit.metrics.Metric``) in a module of its own; what they compute from the same molecules is
shared through ``features``.
"""
