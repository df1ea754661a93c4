"""The trunk contract: a neural shape for a layout, in the roles that families need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.fields import Space
from gmkit.fields.space import Params
from gmkit.trunks.inputs import put_known

Size = Literal["auto", "tiny", "small", "base"]
_SIZES: dict[str, tuple[int, int]] = {"tiny": (128, 2), "small": (256, 4), "base": (512, 8)}
_RECORDS = {"tiny": 20_000, "small": 2_000_000}
"""Up to how many records ``auto`` is each size; the largest beyond."""


class TrunkConfig(BaseModel):
    """``trunk.*`` options. ``size`` sets width and depth; either can be given by itself."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    size: Size = Field(
        "auto", description="tiny, small or base: sets width and depth; auto: by the records"
    )
    width: int | None = Field(None, ge=8, multiple_of=8, description="channels; a multiple of 8")
    depth: int | None = Field(None, ge=1, le=64, description="blocks of the decoder or denoiser")
    encoder_depth: int | None = Field(None, ge=1, le=64, description="blocks of the encoder")
    head_width: int = Field(32, ge=8, description="channels of one attention head")
    flat: str = Field("flat", description="trunk of flat data: flat, or columns (a token a field)")

    def settled(self, records: int) -> TrunkConfig:
        """With a definite size, chosen by the number of records where it is ``auto``."""
        if self.size != "auto":
            return self
        fitting = (name for name, most in _RECORDS.items() if records <= most)
        return self.model_copy(update={"size": next(fitting, "base")})

    @property
    def channels(self) -> int:
        """Width in channels."""
        return self.width or self._sized[0]

    @property
    def blocks(self) -> int:
        """Blocks of a decoder."""
        return self.depth or self._sized[1]

    @property
    def _sized(self) -> tuple[int, int]:
        """Width and depth of the size; ``auto`` counts as small until it is settled."""
        return _SIZES["small" if self.size == "auto" else self.size]

    @property
    def encoder_blocks(self) -> int:
        """Blocks of an encoder: half the decoder's, which carries the harder task."""
        return self.encoder_depth or max(1, self.blocks // 2)


class Encoder(nn.Module, ABC):
    """Records → vectors."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """(B, out_dim)."""


class Decoder(nn.Module, ABC):
    """Latent vectors → distribution parameters of every field."""

    @abstractmethod
    def forward(self, latent: Tensor, batch: Batch) -> Params:
        """Parameters given latents (B, in_dim). ``batch`` holds the conditions, and for an
        autoregressive decoder the records themselves: element i sees those before it."""

    space: Space

    @torch.no_grad()
    def generate(
        self,
        latent: Tensor,
        condition: Batch,
        rng: torch.Generator,
        temperature: float = 1.0,
        given: Batch | None = None,
        known: Mapping[str, Tensor] | None = None,
        top_p: float = 1.0,
    ) -> Batch:
        """Draw records. Where the masks ``known`` (name → (B, *shape)) are True, elements are
        taken from ``given`` and the rest is drawn to follow them.

        This one is for elements that are independent given the latent: all are drawn at once.
        """
        params = self.space.narrow(self(latent, condition), top_p, temperature)
        drawn = self.space.sample(params, rng, temperature)
        return put_known(drawn, given, known)


class Generator(nn.Module, ABC):
    """Latent vectors → parameters of every field in one pass, differentiably: a GAN's generator.

    A decoder whose elements are independent given the latent is one as it stands.
    """

    @abstractmethod
    def forward(self, latent: Tensor, batch: Batch) -> Params:
        """Parameters (B, *shape, param_dim), at full length, given latents (B, in_dim). ``batch``
        holds the conditions."""


class Critic(nn.Module, ABC):
    """Embedded records → feature vectors.

    It reads what ``Space.embed`` and ``Space.relax`` give, at full length, so that gradients
    reach a generator. Conditions are not its business: the family joins them to the features.
    """

    @abstractmethod
    def forward(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """(B, out_dim) from name → (B, *shape, embed_dim)."""


class Denoiser(nn.Module, ABC):
    """Noisy records and their times → parameters of every field."""

    @abstractmethod
    def forward(
        self, noisy: Batch, time: Tensor, condition: Batch, drop: Tensor | None = None
    ) -> Params:
        """Parameters (B, *shape, param_dim) for records at ``time`` (B,) ∈ [0, 1]. ``noisy`` holds
        what ``corrupt`` gives; sequences may be trimmed alike. ``drop``: mask (B,) of records
        whose condition is withheld."""


class BlockDenoiser(nn.Module, ABC):
    """Noisy records read block after block: each element sees its own block, in which some are
    masked, and what lies before the block as it is. Blocks of one element are autoregressive."""

    @abstractmethod
    def forward(
        self, noisy: Batch | None, clean: Batch, condition: Batch, drop: Tensor | None = None
    ) -> tuple[Params | None, Params]:
        """Parameters of the clean elements (B, L, param_dim): given their block of ``noisy`` and
        what comes before it, None without ``noisy``; and given only what comes before them."""

    @abstractmethod
    def begin(self, rows: int, condition: Batch, drop: Tensor | None = None) -> Any:
        """The state of a drawing of ``rows`` records before its first block."""

    @abstractmethod
    def answer(self, state: Any, noisy: Batch) -> Params:
        """Parameters of the elements of the next block, ``noisy`` (B, K)."""

    @abstractmethod
    def accept(self, state: Any, clean: Batch) -> None:
        """Go on after that block, which is now ``clean`` (B, K)."""

    @abstractmethod
    def keep(self, state: Any, rows: Tensor) -> Any:
        """The state of some of the records only."""


class Trunk(ABC):
    """Makes networks of one shape for a space."""

    def __init__(self, space: Space, config: TrunkConfig) -> None:
        self.space = space
        self.config = config

    @abstractmethod
    def encoder(self, out_dim: int) -> Encoder:
        """A network that reads records and conditions."""

    @abstractmethod
    def decoder(self, in_dim: int) -> Decoder:
        """A network that writes records given latents and conditions."""

    @abstractmethod
    def generator(self, in_dim: int) -> Generator:
        """A network that writes all elements at once, differentiably."""

    @abstractmethod
    def critic(self, out_dim: int) -> Critic:
        """A network that reads embedded records."""

    @abstractmethod
    def denoiser(self) -> Denoiser:
        """A network that reads noisy records and answers for each of their elements."""

    def block_denoiser(self, block: int) -> BlockDenoiser:
        """One that reads them block after block. Raises ConfigError where nothing is in order."""
        raise ConfigError(
            f"blocks need a sequence; these records are {self.space.layout}",
            hint="Leave family.block at 0.",
        )


def build_trunk(space: Space, config: TrunkConfig) -> Trunk:
    """The registered trunk for the space's layout; for flat data the one that ``config`` names.
    Raises PluginError when there is none."""
    from gmkit.plugins import registry

    known = registry()
    name = config.flat if space.layout == "flat" else space.layout
    trunk: Trunk = known.load(known.get("trunk", name))(space, config)
    return trunk
