"""How good generated texts are: words, statistics of characters, diversity, copying.

Each metric is a function ``(real, synthetic, holdout) -> dict[str, float]`` on the column ``text``
(``gmkit.metrics.Metric``) in a module of its own. Most depend on how much text there is: compare
figures of the same number of samples.
"""
