"""Scores of how unusual records are, and what they are worth: p-values and false discoveries."""

from gmkit.scoring.scorer import Rows, Scorer

__all__ = ["Rows", "Scorer"]
