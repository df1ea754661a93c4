"""The grid trunks: convolutions over one or two dimensions.

The bottom level has half of ``trunk.width`` as its channels, and half of ``trunk.depth`` as its
blocks. Channels by level on 28 × 28 pixels, parameters, and seconds of one core of an AVX2
processor forward and backward at batch 64:

    size    denoiser, 28 – 14 – 7          generator with critic, 28 – 14 – 7 – 4
    tiny    16  32  64   0.3 M  0.24 s       8  16  32  64   0.2 M  0.13 s for a step of both
    small   32  64 128   1.2 M  0.7 s       16  32  64 128   1.3 M  0.4 s
    base    64 128 256   8.9 M              32  64 128 256    10 M

Measured on MNIST, denoising loss on held-out digits after 80 s of one core at width 128, one run
each: blocks at full resolution .057, pixels read in patches of 2 × 2 .060, full resolution thin (8
channels) with half of the blocks .067, patches with a further level of 4 × 4 .068. After 60 s:
patches without attention .062, with it at the 7 × 7 level .069. So pixels are not patched below
64 × 64, the U-Net stops at 7 × 7 and nothing attends.

Activations are channels-last: contiguous ones took 1.07 to 1.23 times as long (U-Net 1.07 – 1.12,
encoder 1.07 – 1.2, critic 1.1 – 1.2, decoder 1.12). Weights stay as they are: converting them too
gained nothing.
"""

from __future__ import annotations

from gmkit.trunks.pyramid import GridCritic, GridDecoder, GridEncoder
from gmkit.trunks.trunk import Trunk
from gmkit.trunks.unet import GridDenoiser


class GridTrunk(Trunk):
    """Roles of convolutional networks, in the dimensions of the space's layout."""

    def encoder(self, out_dim: int) -> GridEncoder:
        """Down the pyramid."""
        return GridEncoder(self.space, self.config, out_dim)

    def decoder(self, in_dim: int) -> GridDecoder:
        """Up the pyramid."""
        return GridDecoder(self.space, self.config, in_dim)

    def generator(self, in_dim: int) -> GridDecoder:
        """Up the pyramid."""
        return GridDecoder(self.space, self.config, in_dim)

    def critic(self, out_dim: int) -> GridCritic:
        """Down the pyramid without norms."""
        return GridCritic(self.space, self.config, out_dim)

    def denoiser(self) -> GridDenoiser:
        """U-Net."""
        return GridDenoiser(self.space, self.config)
