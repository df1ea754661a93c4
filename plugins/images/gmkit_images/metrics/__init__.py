"""How good generated images are, in a stated space of features.

Each metric is a function ``(real, synthetic, holdout) -> dict[str, float]`` on the column ``image``
(``gmkit.metrics.Metric``) in a module of its own; what they compute from the same images is shared
through ``features``. A figure's name ends in the space it was taken in: ``digits-64`` are the 64
features of this plugin's digit classifier (``network``), ``inception-2048`` those of InceptionV3.
Figures of different spaces, or of different numbers of images, cannot be compared.
"""
