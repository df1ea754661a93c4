"""Engines: where a pure function over record batches runs."""
