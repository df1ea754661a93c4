"""Codecs: records of a domain ⇄ tensors described by a Space."""

from gmkit.codecs.codec import Batch, Codec, CodecState, Prepared, Reject

__all__ = ["Batch", "Codec", "CodecState", "Prepared", "Reject"]
