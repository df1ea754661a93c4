"""Settings of all tests here."""

from __future__ import annotations

from hypothesis import settings

# The first call of some functions builds tables, and machines are shared: no time limits.
settings.register_profile("molecules", deadline=None)
settings.load_profile("molecules")
