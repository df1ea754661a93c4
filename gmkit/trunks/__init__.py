"""Trunks: neural shapes chosen by layout and size, and the roles families make of them."""

from gmkit.trunks.trunk import Decoder, Encoder, Trunk, TrunkConfig, build_trunk

__all__ = ["Decoder", "Encoder", "Trunk", "TrunkConfig", "build_trunk"]
