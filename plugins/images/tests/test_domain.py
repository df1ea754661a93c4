"""The images domain, its pictures, and what the plugin declares."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import gmkit_images
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gmkit_images.domain import ImagesDomain
from gmkit_images.formats import FORMATS
from gmkit_images.grids import TerminalGrid, picture
from gmkit_images.png import Pixels, read_png, write_png
from gmkit_images.png_file import SHOWN
from PIL import Image
from rich.console import Console

from gmkit.api import API
from gmkit.data.sink import Sink
from gmkit.errors import DataError

Records = Callable[..., pa.RecordBatch]
Noise = Callable[..., Pixels]


def printed(shown: object, **options: object) -> str:
    out = io.StringIO()
    Console(file=out, width=40, **options).print(shown)  # type: ignore[arg-type]
    return out.getvalue()


# ---------------------------------------------------------------- keys and validity


def test_validate(records: Records, noise: Noise) -> None:
    flat = write_png(np.full((4, 4, 1), 9, np.uint8))
    batch = records(write_png(noise(4, 4, 1)), flat, b"junk", None)
    assert ImagesDomain().validate(batch).to_pylist() == [True, False, False, False]
    assert ImagesDomain().validate(batch.slice(0, 0)).to_pylist() == []


def test_keys_are_of_the_pixels(records: Records, noise: Noise) -> None:
    image = noise(2, 8, 1)
    out = io.BytesIO()
    Image.fromarray(image[..., 0]).save(out, "PNG", compress_level=9)
    coloured = write_png(np.repeat(image, 3, axis=-1))
    turned = write_png(image.reshape(8, 2, 1))
    batch = records(write_png(image), out.getvalue(), coloured, turned, b"junk")
    first, *same, other, none = ImagesDomain().keys(batch).to_pylist()
    assert same == [first, first] and other not in (first, None) and none is None


# ---------------------------------------------------------------- pictures


def test_picture_is_a_grid(noise: Noise) -> None:
    images = noise(5, 8, 8, 1)
    drawn = picture(images)
    assert drawn is not None and drawn == picture(images)
    pixels = read_png(drawn)
    assert pixels is not None and pixels.shape == (4 + 2 * 68, 4 + 3 * 68, 1)
    assert np.array_equal(pixels[4:68:8, 4:68:8], images[0])  # enlarged eightfold, unsmoothed
    assert (pixels[72:, 140:] == 255).all()  # the sixth place is empty
    labelled = picture(images, ["7"] * 5)
    assert labelled is not None
    written = read_png(labelled)
    assert written is not None and written.shape == (4 + 2 * 82, 4 + 3 * 68, 1)
    assert (written[68:82, 4:68] == 0).any()
    assert picture(images[:0]) is None


def test_colour_pictures_and_strange_labels(noise: Noise) -> None:
    drawn = picture(noise(1, 100, 100, 3), ["naïve 猫"])
    assert drawn is not None
    pixels = read_png(drawn)
    assert pixels is not None and pixels.shape == (4 + 118, 108, 3)


def test_draw_and_preview_leave_out_what_is_no_image(records: Records, noise: Noise) -> None:
    images = noise(2, 4, 4, 1)
    batch = records(write_png(images[0]), b"junk", write_png(images[1]), label=[1, 2, 3])
    assert ImagesDomain().draw(batch) == picture(images, ["1", "3"])
    text = printed(ImagesDomain().preview(batch), no_color=True)
    assert text.split()[-2:] == ["1", "3"]
    assert "no images" in printed(ImagesDomain().preview(batch.slice(1, 1)))
    assert ImagesDomain().draw(batch.slice(1, 1)) is None


def test_half_blocks() -> None:
    """The upper pixel is the foreground, the lower the background; an odd row stands on black."""
    image = np.array([[[255, 0, 0]], [[0, 255, 0]], [[0, 0, 255]]], np.uint8)[None]
    text = printed(TerminalGrid(image), force_terminal=True, color_system="truecolor")
    first, second = text.splitlines()[:2]
    assert "38;2;255;0;0;48;2;0;255;0m▀" in first
    assert "38;2;0;0;255;48;2;0;0;0m▀" in second


def test_shades_without_colour() -> None:
    image = np.array([[[0], [255]], [[128], [0]]], np.uint8)[None]
    text = printed(TerminalGrid(image, ["x"]), no_color=True)
    assert text.splitlines()[:3] == ["  @@", "++", "x"]


def test_the_grid_fits_the_terminal(noise: Noise) -> None:
    for images in (noise(9, 8, 8, 1), noise(2, 100, 100, 3)):
        for options in ({"no_color": True}, {"force_terminal": True, "color_system": "truecolor"}):
            out = io.StringIO()
            console = Console(file=out, width=40, record=True, **options)  # type: ignore[arg-type]
            console.print(TerminalGrid(images, ["label"] * len(images)))
            lines = console.export_text().splitlines()
            assert max(map(len, lines)) <= 40 and len(lines) > 8


# ---------------------------------------------------------------- writing a picture


def test_samples_are_written_as_a_picture(tmp_path: Path, records: Records, noise: Noise) -> None:
    path = tmp_path / "samples.png"
    batch = records(*map(write_png, noise(3, 4, 4, 1)), b"junk", label=[1, 2, 3, 4])
    with Sink(path, batch.schema, FORMATS) as sink:
        sink.write(batch)
    assert sink.skipped == 1
    assert path.read_bytes() == picture(noise(3, 4, 4, 1), ["1", "2", "3"])
    many = records(*[write_png(noise(4, 4, 1))] * (SHOWN + 7))
    with Sink(path, many.schema, FORMATS) as sink:
        sink.write(many)
        sink.write(many)
    assert sink.skipped == SHOWN + 14
    drawn = read_png(path.read_bytes())
    assert drawn is not None and drawn.shape[:2] == (4 + 32 * 68, 4 + 32 * 68)


def write(path: Path, batch: pa.RecordBatch) -> None:
    with Sink(path, batch.schema, FORMATS) as sink:
        sink.write(batch)


@pytest.mark.parametrize("name", ["a.jpg", "a-idx3-ubyte", "data_batch_1.bin"])
def test_forms_that_are_only_read(tmp_path: Path, records: Records, name: str) -> None:
    with pytest.raises(DataError, match=r"not written"):
        write(tmp_path / name, records(b""))


def test_what_makes_no_picture(tmp_path: Path, records: Records) -> None:
    with pytest.raises(DataError, match="no image to draw"):
        write(tmp_path / "a.png", records(b"junk"))
    with pytest.raises(DataError, match="needs a column 'image'"):
        write(tmp_path / "a.png", pa.RecordBatch.from_pydict({"x": [1]}))
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the plugin


def test_what_is_declared_exists() -> None:
    assert gmkit_images.__gmkit_api__ == f"{API[0]}.{API[1]}"
    infos = [
        *gmkit_images.gmkit_register_domains(),
        *gmkit_images.gmkit_register_datasets(),
        *gmkit_images.gmkit_register_metrics(),
    ]
    for loader in filter(None, (info.loader for info in infos)):
        module, name = loader.split(":")
        assert callable(getattr(import_module(module), name)), loader
    (info,) = gmkit_images.gmkit_register_domains()
    assert {end for end in FORMATS if not end.endswith(".bin")} == set(info.extensions)


def test_declaring_imports_nothing_heavy() -> None:
    code = (
        "import sys, gmkit_images as m\n"
        "m.gmkit_register_domains(); m.gmkit_register_datasets(); m.gmkit_register_metrics()\n"
        "heavy = {'torch', 'PIL', 'pyarrow', 'numpy', 'sklearn', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_preparing_imports_neither_torch_nor_pillow() -> None:
    """Workers start light, and images in our own form need no library."""
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from gmkit_images.codec import ImageCodec\n"
        "from gmkit_images.png import png_column\n"
        "images = np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1)\n"
        "batch = pa.RecordBatch.from_pydict({'image': png_column(images), 'label': [0, 1]})\n"
        "assert len(ImageCodec({}).prepare(batch).records) == 2\n"
        "print(sorted({'torch', 'PIL', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- the command


@pytest.mark.slow
def test_training_on_digits_leaves_a_picture(tmp_path: Path) -> None:
    """From the command line, in a process of its own: three steps, then a picture of sevens."""
    env = {"GMKIT_CACHE": str(tmp_path / "cache"), "GMKIT_WORKERS": "1", "OMP_NUM_THREADS": "1"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GMKIT_")}
    run, code = tmp_path / "run", "from gmkit.cli.main import main; main()"

    def gmkit(*words: str) -> None:
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, env=kept | env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    options = ["training.steps=3", "training.batch_size=16", "trunk.width=8", "trunk.depth=1"]
    sets = [word for option in [*options, "data.limit=300"] for word in ("--set", option)]
    gmkit("train", "--domain", "images", "--model", "vae", "--out", str(run), *sets)
    drawn = read_png((run / "samples.png").read_bytes())
    assert drawn is not None and drawn.shape[:2] == (4 + 8 * 82, 4 + 8 * 68)
    figures = json.loads((run / "evaluation.json").read_text())["figures"]
    assert set(figures) == {"validity", "label accuracy", "frechet/digits-64"}
    assert figures["label accuracy"]["floor"] > 0.95
    sevens = tmp_path / "sevens.parquet"
    gmkit("sample", str(run), "-n", "9", "--where", "label=7", "--out", str(sevens))
    assert pq.read_table(sevens)["label"].to_pylist() == [7] * 9
