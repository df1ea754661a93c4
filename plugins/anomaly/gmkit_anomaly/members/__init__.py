"""Scorers that learn by themselves, from records of any Space."""
