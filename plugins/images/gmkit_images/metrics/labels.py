"""Label accuracy: whether samples show what they were asked to show."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit_images.metrics.features import Images, images

__all__ = ["label_accuracy"]

MOST = 5_000
"""Training images from which other classes than digits are learned."""
_DIGITS = {str(digit) for digit in range(10)}


def label_accuracy(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of the samples in which a classifier sees the class in their column ``label``.

    For digits it is the plugin's own; for other classes a logistic regression on its features,
    fitted on the training images, whose own accuracy the floor shows. No figure where samples or
    training images have no labels, or the latter only one.
    """
    samples, training = images(synthetic), images(real)
    if samples.labels is None or training.labels is None or len(set(training.labels)) < 2:
        return {}
    if not samples.kept:
        return {"label accuracy": float("nan")}
    seen = _digits if set(training.labels) <= _DIGITS and training.are_digits else _others
    told = np.array(samples.labels)
    return {"label accuracy": float((seen(samples, training) == told).mean())}


def _digits(samples: Images, training: Images) -> np.ndarray:
    return np.asarray(samples.digits.argmax(1)).astype(str)


def _others(samples: Images, training: Images) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=200)
    assert training.labels is not None
    model.fit(training.features[:MOST], np.array(training.labels[:MOST]))
    return np.asarray(model.predict(samples.features))
