"""Figures about synthetic rows: fidelity, detection, utility, privacy."""
