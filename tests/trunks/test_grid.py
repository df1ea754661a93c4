"""The grid trunks: levels of any size, patches, neighbourhoods, memory format, what is refused."""

from __future__ import annotations

import pytest
import torch

from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig, build_trunk
from gmkit.trunks.conv import ConvBlock, norm
from gmkit.trunks.levels import plan
from gmkit.trunks.patches import from_patches, to_patches

SIZES = [(1,), (3,), (16,), (17,), (700,), (1, 1), (2, 5), (7, 7), (8, 8), (28, 28), (31, 16)]
SMALL = TrunkConfig(width=16, depth=1)


def space_of(size, channels=2, **options):
    layout = "grid1d" if len(size) == 1 else "grid2d"
    return Space({"x": Real(shape=(channels, *size), layout=layout)}, **options)


@pytest.mark.parametrize("size", SIZES)
def test_every_role_works_at_every_size(size):
    space = space_of(size)
    trunk = build_trunk(space, SMALL)
    batch = {"x": torch.randn(3, 2, *size)}
    latent = trunk.encoder(4)(batch)
    assert latent.shape == (3, 4)
    full = (3, 2, *size, 2)
    assert trunk.decoder(4)(latent, {})["x"].shape == full
    assert trunk.generator(4)(latent, {})["x"].shape == full
    assert trunk.critic(5)(space.embed(batch)).shape == (3, 5)
    assert trunk.denoiser()(batch, torch.rand(3), {})["x"].shape == full


@pytest.mark.parametrize("bottom", [2, 3.5])
@pytest.mark.parametrize("size", [*SIZES, (128, 128), (16_000,), (4, 64)])
def test_levels_shrink_to_few_positions_and_keep_every_one(size, bottom):
    shape = plan(space_of(size), size, TrunkConfig(size="small"), share=4, bottom=bottom)
    rows, columns = (1, *size)[-2:]
    strides = [shape.patch, *(level.stride for level in shape.levels[1:])]
    for level, (p, q) in zip(shape.levels, strides, strict=True):
        rows, columns = -(-rows // p), -(-columns // q)
        assert level.size == (rows, columns)
    assert max(shape.bottom.size) <= bottom * (4 if len(size) == 1 else 2)
    assert max(shape.finest.size) <= (4096 if len(size) == 1 else 64)


def test_channels_reach_half_the_width_at_the_bottom():
    def channels(size, share):
        shape = plan(space_of(size), size, TrunkConfig(size="small"), share=share, bottom=2)
        return [level.channels for level in shape.levels]

    assert channels((28, 28), 8) == [32, 64, 128]
    assert channels((28, 28), 16) == [32, 64, 128]
    assert channels((8, 8), 16) == [64, 128]
    assert channels((1, 1), 8) == [128]
    assert channels((8000,), 16) == [16, 32, 64, 128, 128]


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (1, 4), (3, 2)])
def test_patches_are_undone(patch):
    planes = torch.randn(2, 3, 7, 9)
    cut = to_patches(planes, patch)
    assert cut.shape == (2, 3 * patch[0] * patch[1], -(-7 // patch[0]), -(-9 // patch[1]))
    assert cut.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(from_patches(cut, patch)[:, :, :7, :9], planes)
    # a patch lies at its own place: position (1, 1) holds the elements from there on
    p, q = patch
    assert torch.equal(cut[:, :, 1, 1], planes[:, :, p : 2 * p, q : 2 * q].flatten(1))


def test_fields_and_channels_keep_their_places(make):
    """With weights that copy, each field comes back as it went in."""
    from gmkit.trunks.levels import Level, Plan
    from gmkit.trunks.patches import PatchInput, PatchOutput

    fields = {
        "a": Real(shape=(2, 4, 6), layout="grid2d"),
        "b": Categorical(size=3, shape=(1, 4, 6), layout="grid2d"),
    }
    shape = Plan((2, 2), (3, 3), (Level((2, 3), 20, (1, 1)),))
    read, write = PatchInput(fields, shape), PatchOutput(fields, shape)
    with torch.no_grad():
        for layer in (read.conv, write.conv):
            layer.weight.zero_()
            layer.bias.zero_()
        read.conv.weight[range(20), range(20), 1, 1] = 1
        for plane in range(2):  # location of channel c of field a: output plane 2c
            for place in range(4):
                write.conv.weight[8 * plane + place, 4 * plane + place, 1, 1] = 1
        write.conv.weight[range(16, 28), range(8, 20), 1, 1] = 1
    batch = {"a": torch.randn(5, 2, 4, 6), "b": torch.randint(0, 3, (5, 1, 4, 6))}
    found = write(read(batch))
    assert torch.allclose(found["a"][..., 0], batch["a"])
    assert torch.equal(found["a"][..., 1], torch.zeros(5, 2, 4, 6))
    assert torch.equal(found["b"].argmax(-1), batch["b"])
    assert torch.allclose(
        read.embedded({n: f.embed(batch[n]) for n, f in fields.items()}), read(batch)
    )


def test_near_elements_matter_more_than_far_ones(make, build):
    """Gradients of one answer fall off with the distance of what it looks at."""
    roles, awake = build
    denoiser = awake(roles(space_of((28, 28), channels=1)).denoiser(), scale=0.05)
    value = torch.randn(8, 1, 28, 28, requires_grad=True)
    denoiser({"x": value}, torch.full((8,), 0.5), {})["x"][:, 0, 14, 14, 0].sum().backward()
    pull = value.grad.abs().mean((0, 1))
    assert float(pull[12:17, 12:17].mean()) > 5 * float(pull[:4].mean()) > 0


def test_a_fresh_denoiser_answers_zero_and_its_blocks_are_the_identity():
    denoiser = build_trunk(space_of((8, 8)), SMALL).denoiser()
    answer = denoiser({"x": torch.randn(2, 2, 8, 8)}, torch.rand(2), {})["x"]
    assert torch.equal(answer, torch.zeros_like(answer))
    block, x = ConvBlock(8, (3, 3), 16), torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x, torch.randn(2, 16)), x)


@pytest.mark.parametrize("channels", range(8, 264, 8))
def test_norms_have_groups_of_eight_channels_or_more(channels):
    layer = norm(channels)
    assert channels % layer.num_groups == 0
    assert channels // layer.num_groups >= 8 and layer.num_groups <= 8


def test_records_stay_channels_last_through_a_network():
    seen = []
    denoiser = build_trunk(space_of((28, 28)), SMALL).denoiser()
    for layer in denoiser.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(
                lambda _, inputs, __: seen.append(
                    inputs[0].is_contiguous(memory_format=torch.channels_last)
                )
            )
    denoiser({"x": torch.randn(3, 2, 28, 28)}, torch.rand(3), {})
    assert len(seen) > 10 and all(seen)


@pytest.mark.parametrize("size", [(7, 6), (24,)])
def test_an_autoencoder_learns_its_records(size):
    torch.manual_seed(0)
    space = space_of(size, channels=1)
    trunk = build_trunk(space, TrunkConfig(width=32, depth=1))
    encoder, decoder = trunk.encoder(8), trunk.decoder(8)
    batch = {"x": torch.randn(8, 1, *size, generator=torch.Generator().manual_seed(1))}
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=5e-3)
    for _ in range(50):
        error = (decoder(encoder(batch), {})["x"][..., 0] - batch["x"]).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert float(error.detach()) < 0.6  # 1 for an answer that ignores the record


def test_grids_of_different_sizes_are_refused():
    uneven = Space({n: Real(shape=(1, 4, k), layout="grid2d") for n, k in (("a", 3), ("b", 4))})
    with pytest.raises(ValueError, match=r"need the same size, not .*'a': \(4, 3\)"):
        build_trunk(uneven, SMALL).denoiser()


def test_a_sequence_beside_a_grid_is_refused():
    word = Categorical(size=5, shape=(8,), layout="sequence", end=0)
    mixed = Space({"x": Real(shape=(1, 4, 4), layout="grid2d"), "word": word})
    for role in ("denoiser", "encoder", "critic"):
        with pytest.raises(ValueError, match="'word' is a sequence beside a grid2d: make it"):
            arguments = () if role == "denoiser" else (4,)
            getattr(build_trunk(mixed, SMALL), role)(*arguments)
