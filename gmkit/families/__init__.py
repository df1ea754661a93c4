"""Families of generative models, each whole in one file with its formulas and sources."""

from gmkit.families.family import Family, Step

__all__ = ["Family", "Step"]
