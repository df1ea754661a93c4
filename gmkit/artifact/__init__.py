"""Runs and checkpoints on disk: folders whose every byte is accounted for by a manifest."""
