"""The codec: what it accepts, what it makes of it, and that it comes back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from gmkit_images.codec import ImageCodec
from gmkit_images.contents import contents
from gmkit_images.decoding import ImageError
from gmkit_images.levels import Grid
from gmkit_images.normalising import binarise
from gmkit_images.png import Pixels, png_column, read_png, write_png
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydantic import ValidationError

from gmkit.codecs import CodecState
from gmkit.errors import ArtifactError, ConfigError, DataError

Records = Callable[..., pa.RecordBatch]
Noise = Callable[..., Pixels]
Save = Callable[..., bytes]


def fitted(batch: pa.RecordBatch, **config: Any) -> tuple[ImageCodec, pa.RecordBatch]:
    codec = ImageCodec(config)
    prepared = codec.prepare(batch)
    assert prepared.rejects == []
    return codec.fit([prepared.records]), prepared.records


def pixels_of(batch: pa.RecordBatch) -> list[Pixels | None]:
    return [read_png(value) for value in batch["image"].to_pylist()]


# ---------------------------------------------------------------- round trips


CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(2, 9),
        "channels": st.sampled_from([1, 3, "auto"]),
        "binarise": st.sampled_from(["", "static", "threshold"]),
        "layout": st.sampled_from(["grid2d", "flat"]),
        "likelihood": st.sampled_from(["auto", "logistic", "gaussian", "bernoulli"]),
    },
)
IMAGE = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape)
)


@settings(max_examples=30)
@given(CONFIGS, st.lists(IMAGE, min_size=1, max_size=4))
def test_any_images_under_any_options(config: dict[str, Any], images: list[np.ndarray]) -> None:
    """``prepare`` twice changes nothing, what is encoded is of the space, and it comes back where
    nothing was scaled or coloured to fit its neighbours."""
    raw = pa.RecordBatch.from_pydict({"image": pa.array(map(write_png, images), pa.binary())})
    codec, records = fitted(raw, **config)
    assert codec.prepare(records).records.equals(records)
    batch = codec.encode(records)
    space = codec.space
    space.check({name: value.to(space.fields[name].dtype) for name, value in batch.items()})
    again = codec.decode(batch)
    for before, after in zip(pixels_of(records), pixels_of(again), strict=True):
        assert before is not None and after is not None
        if before.shape == after.shape:
            assert np.array_equal(before, after)
    assert torch.equal(codec.encode(again)["pixels"], batch["pixels"])


@settings(max_examples=30)
@given(CONFIGS, st.lists(IMAGE, min_size=2, max_size=5), st.integers(1, 4))
def test_merging_any(config: dict[str, Any], images: list[np.ndarray], cut: int) -> None:
    raw = pa.RecordBatch.from_pydict({"image": pa.array(map(write_png, images), pa.binary())})
    whole, records = fitted(raw, **config)
    parts = [part for part in (records.slice(0, cut), records.slice(cut)) if len(part)]
    merged, *others = [ImageCodec(config).fit([part]) for part in parts]
    for other in others:
        merged = other.merge(merged)
    assert merged.state() == whole.state()


def test_levels_are_those_of_the_data(records: Records) -> None:
    for bins in (2, 3, 5, 17, 52, 256):
        levels = np.flatnonzero(Grid(bins).exact).astype(np.uint8)
        image = np.resize(levels, (16, 16, 1))
        codec, prepared = fitted(records(write_png(image)))
        field = codec.space.fields["pixels"]
        assert field.bins == bins
        values = codec.encode(prepared)["pixels"].float()
        assert float(values.min()) == field.bounds[0] and float(values.max()) == field.bounds[1]
        assert len(values.unique()) == bins
        (back,) = pixels_of(codec.decode({"pixels": values}))
        assert np.array_equal(back, image)


@pytest.mark.parametrize("bins", [2, 17, 256])
def test_half_precision_only_where_it_is_exact(bins: int) -> None:
    grid = Grid(bins)
    exact = np.linspace(*grid.bounds, bins)
    assert grid.values.dtype == np.float16
    assert np.abs(np.unique(grid.values).astype(np.float64) - exact).max() < 1e-12


def test_other_levels_are_kept_in_full_precision() -> None:
    assert Grid(52).values.dtype == np.float32


def test_decode_takes_what_is_out_of_bounds(records: Records, noise: Noise) -> None:
    codec, _ = fitted(records(write_png(noise(8, 8, 1))))
    value = torch.tensor([-9.0, 9.0, float("nan"), float("inf")]).repeat(16).reshape(1, 1, 8, 8)
    (image,) = pixels_of(codec.decode({"pixels": value}))
    assert image is not None and image.reshape(-1)[:4].tolist() == [0, 255, 0, 255]


def test_bernoulli_for_black_and_white(records: Records) -> None:
    image = np.array([[[0], [255]], [[255], [0]]], np.uint8)
    field = fitted(records(write_png(image)))[0].space.fields["pixels"]
    assert (field.likelihood, field.bins) == ("bernoulli", 2)
    field = fitted(records(write_png(image)), likelihood="gaussian")[0].space.fields["pixels"]
    assert field.likelihood == "gaussian"


# ---------------------------------------------------------------- normalising


def test_images_of_several_sizes_take_the_largest(records: Records, noise: Noise) -> None:
    raw = records(write_png(noise(10, 6, 1)), write_png(noise(9, 9, 1)))
    codec, prepared = fitted(raw)
    assert [image.shape for image in pixels_of(prepared)] == [(6, 6, 1), (9, 9, 1)]
    assert codec.space.fields["pixels"].shape == (1, 9, 9)
    assert codec.space.fields["pixels"].bins == 256


def test_the_centre_is_kept(records: Records) -> None:
    wide = np.zeros((4, 8, 1), np.uint8)
    wide[:, 2:6] = 200
    _, prepared = fitted(records(write_png(wide)))
    assert (pixels_of(prepared)[0] == 200).all()


def test_large_images_are_scaled_to_64(records: Records, saved: Save) -> None:
    codec, _ = fitted(records(saved(Image.linear_gradient("L"))))
    assert codec.space.fields["pixels"].shape == (1, 64, 64)


def test_colour_is_learned(records: Records, noise: Noise) -> None:
    grey, colour = noise(4, 4, 1), noise(4, 4, 3)
    as_rgb = np.repeat(grey, 3, axis=-1)
    codec, prepared = fitted(records(write_png(as_rgb)))
    assert codec.space.fields["pixels"].shape[0] == 1
    assert np.array_equal(pixels_of(prepared)[0], grey)
    codec, prepared = fitted(records(write_png(grey), write_png(colour)))
    assert codec.space.fields["pixels"].shape[0] == 3
    back = pixels_of(codec.decode(codec.encode(prepared)))
    assert np.array_equal(back[0], as_rgb) and np.array_equal(back[1], colour)
    assert fitted(records(write_png(colour)), channels=1)[0].space.fields["pixels"].shape[0] == 1


@pytest.mark.parametrize("kind", ["static", "threshold"])
def test_scaled_images_are_black_and_white_too(records: Records, noise: Noise, kind: str) -> None:
    raw = records(write_png(noise(5, 5, 1)), write_png(noise(9, 9, 1)))
    codec, prepared = fitted(raw, binarise=kind)
    assert codec.encode(prepared)["pixels"].unique().tolist() == [-1, 1]
    assert codec.space.fields["pixels"].likelihood == "bernoulli"


def test_static_binarisation_is_a_fixed_fair_draw(noise: Noise) -> None:
    image = np.full((100, 100, 1), 64, np.uint8)
    drawn = binarise(image, "static")
    assert set(np.unique(drawn)) == {0, 255}
    assert abs((drawn > 0).mean() - 64 / 255) < 0.02
    assert np.array_equal(binarise(image, "static"), drawn)
    assert np.array_equal(binarise(drawn, "static"), drawn)
    assert not np.array_equal(binarise(image.T.copy() + 1, "static"), drawn)
    assert binarise(np.array([127, 128], np.uint8), "threshold").tolist() == [0, 255]


# ---------------------------------------------------------------- what is accepted


def test_broken_images_are_told_by_row_and_name(records: Records, noise: Noise) -> None:
    good = write_png(noise(4, 4, 1))
    raw = records(good, b"junk", None, good, file=["a.png", "b.png", "c.png", "d.png"])
    prepared = ImageCodec({}).prepare(raw, 10)
    assert [(r.row, r.column, r.value) for r in prepared.rejects] == [
        (11, "image", "b.png"),
        (12, "image", "c.png"),
    ]
    assert "not an image" in prepared.rejects[0].reason
    assert prepared.rejects[1].reason == "is missing"
    assert prepared.records["file"].to_pylist() == ["a.png", "d.png"]
    with pytest.raises(DataError, match="not an image") as caught:
        ImageCodec({}).fit([prepared.records]).encode(raw)
    assert caught.value.row == 1


def test_nothing_usable(records: Records) -> None:
    prepared = ImageCodec({}).prepare(records(b"x", b""))
    assert len(prepared.records) == 0 and len(prepared.rejects) == 2


def test_hugging_face_structs(noise: Noise) -> None:
    png = write_png(noise(4, 4, 3))
    column = pa.array(
        [{"bytes": png, "path": "a.png"}, {"bytes": None, "path": "b.png"}, None],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    prepared = ImageCodec({}).prepare(pa.RecordBatch.from_pydict({"image": column}))
    assert prepared.records["image"].to_pylist() == [png]
    assert [(r.row, r.value) for r in prepared.rejects] == [(1, "b.png"), (2, "")]


def tensors(noise: Noise) -> dict[str, tuple[pa.Array, pa.Field, Pixels]]:
    grey, colour = noise(2, 4, 4, 1), noise(2, 4, 4, 3)
    flat = pa.list_(pa.uint8(), 16)
    fixed = pa.fixed_shape_tensor(pa.uint8(), (4, 4))
    planes = pa.fixed_shape_tensor(pa.uint8(), (3, 4, 4))
    told = {"shape": "4,4"}
    nested = pa.array(grey[..., 0].tolist(), pa.list_(pa.list_(pa.int64())))
    plain = pa.array(grey.reshape(2, 16).tolist(), pa.list_(pa.uint8()))
    stored = colour.transpose(0, 3, 1, 2).reshape(2, 48)
    squares = pa.array(list(colour.reshape(2, 48)), pa.list_(pa.uint8(), 48))
    lists = pa.array(list(grey.reshape(2, 16)), flat)
    return {
        "fixed list": (lists, pa.field("image", flat), grey),
        "fixed list of colours": (squares, pa.field("image", squares.type), colour),
        "tensor": (
            pa.ExtensionArray.from_storage(fixed, lists), pa.field("image", fixed), grey,
        ),
        "planes": (
            pa.ExtensionArray.from_storage(
                planes, pa.array(list(stored), pa.list_(pa.uint8(), 48))
            ),
            pa.field("image", planes),
            colour,
        ),
        "list with its shape": (
            plain, pa.field("image", plain.type, metadata=told), grey,
        ),
        "list with height and width": (
            plain, pa.field("image", plain.type, metadata={"height": "4", "width": "4"}), grey,
        ),
        "nested": (nested, pa.field("image", nested.type), grey),
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        "fixed list",
        "fixed list of colours",
        "tensor",
        "planes",
        "list with its shape",
        "list with height and width",
        "nested",
    ],
)
def test_tensors(kind: str, noise: Noise) -> None:
    column, field, expected = tensors(noise)[kind]
    batch = pa.RecordBatch.from_arrays([column], schema=pa.schema([field]))
    codec, prepared = fitted(batch)
    assert all(map(np.array_equal, pixels_of(prepared), expected))
    assert torch.equal(codec.encode(batch)["pixels"], codec.encode(prepared)["pixels"])


def test_missing_tensors() -> None:
    column = pa.array([[1, 2, 3, 4], None, [1, None, 3, 4]], pa.list_(pa.uint8(), 4))
    found = contents(column, pa.field("image", column.type))
    assert isinstance(found[0], np.ndarray) and found[0].shape == (2, 2, 1)
    told = [str(item) for item in found[1:]]
    assert told == ["is missing", "values that are missing or no integers"]
    whole = pa.array([None, [1, 2, 3, 4]], pa.list_(pa.uint8(), 4))
    found = contents(whole, pa.field("image", whole.type))
    assert isinstance(found[0], ImageError) and found[1].reshape(-1).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1, 2, 3, 4, 5], "5 values, which do not make a square image"),
        ([0, 1, 2, 256], "values outside 0 … 255"),
        ([0, 1, 2, -1], "values outside 0 … 255"),
    ],
)
def test_lists_that_are_no_images(value: list[int], reason: str) -> None:
    column = pa.array([value], pa.list_(pa.int64()))
    prepared = ImageCodec({}).prepare(pa.RecordBatch.from_pydict({"image": column}))
    assert prepared.rejects[0].reason == reason


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.list_(pa.float32())])
def test_columns_that_are_no_images(kind: pa.DataType) -> None:
    batch = pa.RecordBatch.from_pydict({"image": pa.array([None], kind)})
    with pytest.raises(DataError, match=f"holds {kind}, not images".replace("[", r"\[")):
        ImageCodec({}).prepare(batch)
    with pytest.raises(DataError, match="no column 'image' among other"):
        ImageCodec({}).prepare(batch.rename_columns(["other"]))


def test_a_shape_that_cannot_be_read() -> None:
    column = pa.array([[1, 2, 3, 4]], pa.list_(pa.uint8()))
    field = pa.field("image", column.type, metadata={"shape": "big"})
    with pytest.raises(DataError, match="metadata with shape 'big'"):
        contents(column, field)


# ---------------------------------------------------------------- conditions


def labelled(records: Records, noise: Noise, labels: Any) -> pa.RecordBatch:
    return records(*map(write_png, noise(len(labels), 4, 4, 1)), label=labels)


def test_labels_are_the_condition(records: Records, noise: Noise) -> None:
    codec, prepared = fitted(labelled(records, noise, [3, 7, 3]))
    assert codec.space.condition is not None and codec.conditions.names == ("label",)
    batch = codec.encode(prepared)
    assert batch["label"].tolist() == [0, 1, 0]
    assert codec.decode(batch)["label"].to_pylist() == [3, 7, 3]
    assert codec.decode({"pixels": batch["pixels"]}).schema.names == ["image"]


@pytest.mark.parametrize(
    "labels",
    [["a", "a"], list(range(100)), [f"a caption {n}" for n in range(1001)], [1.5, 2.5], [[1], [2]]],
)
def test_columns_that_tell_nothing_are_no_condition(
    records: Records, noise: Noise, labels: Any
) -> None:
    codec, _ = fitted(labelled(records, noise, labels))
    assert codec.space.condition is None and not codec.conditions


def test_conditions_by_name(records: Records, noise: Noise) -> None:
    raw = records(*map(write_png, noise(2, 4, 4, 1)), label=[0, 1], age=[1.0, 2.0])
    assert fitted(raw, condition=[])[0].space.condition is None
    codec, _ = fitted(raw, condition=["age"])
    assert codec.space.condition is not None and codec.space.condition.names == ("age",)
    with pytest.raises(DataError, match="no column 'sex'"):
        ImageCodec({"condition": ["sex"]}).prepare(raw)


def test_records_without_a_label_are_set_aside(records: Records, noise: Noise) -> None:
    raw = records(b"junk", *map(write_png, noise(3, 4, 4, 1)), label=[0, None, 1, 2])
    prepared = ImageCodec({}).prepare(raw, 5)
    assert [(r.row, r.column) for r in prepared.rejects] == [(5, "image"), (6, "label")]
    assert prepared.records["label"].to_pylist() == [1, 2]


# ---------------------------------------------------------------- state


def test_only_fresh_codecs_merge(records: Records, noise: Noise) -> None:
    codec, prepared = fitted(records(write_png(noise(4, 4, 1))))
    stored = ImageCodec.from_state(codec.state())
    for one, other in ((codec, stored), (stored, codec)):
        with pytest.raises(ConfigError, match="fresh from fit"):
            one.merge(other)
    with pytest.raises(ConfigError, match="different options"):
        codec.merge(ImageCodec({"size": 4}).fit([prepared]))
    with pytest.raises(ConfigError, match="not fitted"):
        ImageCodec({}).space  # noqa: B018
    with pytest.raises(ConfigError, match="not fitted"):
        ImageCodec({}).fit([]).space  # noqa: B018


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("side", 0),
        ("side", 10**6),
        ("side", True),
        ("bins", 1),
        ("bins", "2"),
        ("channels", 2),
        ("config", {"size": "big"}),
        ("config", []),
        ("conditions", {"columns": [{}]}),
    ],
)
def test_states_that_make_no_sense(records: Records, noise: Noise, name: str, value: Any) -> None:
    state = fitted(records(write_png(noise(4, 4, 1))))[0].state()
    with pytest.raises(ArtifactError):
        ImageCodec.from_state(CodecState({**state.facts, name: value}))
    facts = dict(state.facts)
    del facts[name]
    with pytest.raises(ArtifactError, match="needs bins, channels, conditions, config, side"):
        ImageCodec.from_state(CodecState(facts))


@pytest.mark.parametrize("config", [{"size": 1}, {"channels": 2}, {"binarise": "x"}, {"x": 1}])
def test_options_that_are_wrong(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ImageCodec(config)


def test_codecs_go_to_worker_processes() -> None:
    codec = pickle.loads(pickle.dumps(ImageCodec({"size": 8})))  # noqa: S301
    assert codec.config.size == 8


def test_speed_of_decoding() -> None:
    """2,000 images of 28 × 28 take less than a second, on a slow and busy machine."""
    import time

    images = np.random.default_rng(0).integers(0, 256, (2000, 28, 28, 1), np.uint8)
    raw = pa.RecordBatch.from_arrays([png_column(images)], ["image"])
    codec, prepared = fitted(raw)
    batch = codec.encode(prepared)
    began = time.process_time()
    codec.decode(batch)
    assert time.process_time() - began < 1
