# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.blenders import Blender
from server.pictures import IncompletePicture, verify

RENDER = """
import json, os
import bpy

scene, folder = bpy.context.scene, os.environ["FOLDER"]
image = scene.render.image_settings
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 48, 36, 100
scene.render.engine, scene.cycles.samples, scene.frame_end = "CYCLES", 1, 2
scene.cycles.use_denoising = False  # Debian's Blender has no denoiser, and fails
scene.view_layers.new("second")
written = {}

def choose(file_format, media_type):
    if hasattr(image, "media_type"):  # 5.0 and newer ask for the kind of file first
        image.media_type = media_type
    image.file_format = file_format

def render(name, **arguments):
    os.mkdir(os.path.join(folder, name))
    scene.render.filepath = os.path.join(folder, name, "f")
    try:
        bpy.ops.render.render(**arguments)
    except RuntimeError as error:  # this build lacks the codec
        print(name, "was not written:", error)
        return
    (written[name],) = (os.path.join(folder, name, file) for file in os.listdir(os.path.join(folder, name)))

for name in json.loads(os.environ["STILLS"]):
    try:
        choose(name, "IMAGE")
    except TypeError as error:
        print(error)
        continue
    render(name, write_still=True)
choose("OPEN_EXR", "IMAGE")
for codec in ("NONE", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB", "HTJ2K"):
    try:
        image.exr_codec = codec
    except TypeError as error:
        print(error)
        continue
    render("EXR " + codec, write_still=True)
choose("OPEN_EXR_MULTILAYER", "MULTI_LAYER_IMAGE")
render("EXR multilayer", write_still=True)
scene.render.use_multiview, image.views_format = True, "MULTIVIEW"
render("EXR multilayer stereo", write_still=True)
scene.render.use_multiview = False
choose("FFMPEG", "VIDEO")
for container, codec in json.loads(os.environ["MOVIES"]).items():
    scene.render.ffmpeg.format, scene.render.ffmpeg.codec = container, codec
    render(container, animation=True)
with open(os.path.join(folder, "written.json"), "w") as file:
    json.dump(written, file)
"""

MUST = ["PNG", "JPEG", "EXR NONE", "EXR RLE", "EXR ZIPS", "EXR ZIP", "EXR PIZ", "EXR PXR24", "EXR multilayer",
        "EXR multilayer stereo", "TIFF", "BMP", "TARGA", "TARGA_RAW"]  # fmt: skip
"""What every Blender writes."""
MAY = ["WEBP", "AVIF", "JPEG2000", "DPX", "CINEON", "IRIS"]
"""What some builds leave out, beside some of OpenEXR's codecs."""
MOVIES = {"MPEG4": "H264", "QUICKTIME": "H264", "MKV": "H264", "AVI": "MPEG4", "OGG": "THEORA", "WEBM": "WEBM"}
NO_LENGTH = ["HDR"]

Rendered = dict[str, Path]


@pytest.fixture(scope="session")
def rendered(
    blender: Blender,
    run_in_blender: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Rendered:
    """One file of every format that this Blender writes, by name."""
    folder = tmp_path_factory.mktemp("rendered")
    stills = [name for name in [*MUST, *MAY, *NO_LENGTH] if not name.startswith("EXR ")]
    run_in_blender(blender, RENDER, FOLDER=str(folder), STILLS=json.dumps(stills), MOVIES=json.dumps(MOVIES))
    return {name: Path(path) for name, path in json.loads((folder / "written.json").read_text()).items()}


def missed_cuts(picture: Path, work: Path, step: int = 1) -> list[int]:
    """The lengths at which a shortened copy of `picture` still passes."""
    copy = work / picture.name
    copy.write_bytes(picture.read_bytes())
    missed = []
    for length in range(picture.stat().st_size - 1, -1, -step):
        os.truncate(copy, length)
        with contextlib.suppress(IncompletePicture):
            verify(copy)
            missed.append(length)
    return missed


@pytest.mark.parametrize("name", MUST)
def test_finds_every_cut_through_what_blender_wrote(name: str, rendered: Rendered, tmp_path: Path) -> None:
    # GIVEN a small picture straight from Blender
    picture = rendered[name]

    # WHEN all of it is there THEN it passes
    verify(picture)

    # WHEN any number of bytes is missing THEN that is found out
    assert missed_cuts(picture, tmp_path, step=1 + picture.stat().st_size // 10_000) == []


def test_finds_every_cut_through_what_only_some_builds_write(rendered: Rendered, tmp_path: Path) -> None:
    # GIVEN the movies and rarer pictures that this Blender writes
    others = rendered.keys() - {*MUST, *NO_LENGTH}
    assert others

    # WHEN one is whole THEN it passes, and cut it does not
    for picture in (rendered[name] for name in sorted(others)):
        verify(picture)
        assert missed_cuts(picture, tmp_path, step=1 + picture.stat().st_size // 3_000) == [], picture


def test_a_format_without_a_length_passes_when_it_holds_anything(rendered: Rendered, tmp_path: Path) -> None:
    verify(rendered["HDR"])
    assert missed_cuts(rendered["HDR"], tmp_path)[-1] == 16


def test_contents_count_and_not_the_extension(rendered: Rendered, tmp_path: Path) -> None:
    # GIVEN an OpenEXR file that the artist's output name calls a PNG, and one without any extension
    for name in ("shot.png", "shot0001"):
        picture = tmp_path / name
        picture.write_bytes(rendered["EXR ZIP"].read_bytes())

        # WHEN it is whole THEN it passes, and cut it does not
        verify(picture)
        os.truncate(picture, picture.stat().st_size - 1)
        with pytest.raises(IncompletePicture, match=rf"^{name} is incomplete \(.*\): render this frame again\.$"):
            verify(picture)


def test_zeros_where_pixels_were_are_found_in_a_png(rendered: Rendered, tmp_path: Path) -> None:
    # GIVEN a PNG whose middle never reached the disk
    data = bytearray(rendered["PNG"].read_bytes())
    middle = data.index(b"IDAT") + 40
    data[middle : middle + 30] = bytes(30)
    picture = tmp_path / "f.png"
    picture.write_bytes(data)

    # WHEN it is verified THEN its checksum gives it away
    with pytest.raises(IncompletePicture, match="checksum"):
        verify(picture)


def test_an_exr_that_was_killed_before_its_table_was_written(rendered: Rendered, tmp_path: Path) -> None:
    # GIVEN an OpenEXR file of full length with zeros in its table of chunks, as Blender leaves it when killed
    data = rendered["EXR NONE"].read_bytes()
    lines = 36
    first = next(at for at in range(len(data)) if struct.unpack_from("<Q", data, at)[0] == at + 8 * lines)
    picture = tmp_path / "f.exr"
    for entry in range(lines):
        picture.write_bytes(data[: first + 8 * entry] + bytes(8) + data[first + 8 * entry + 8 :])

        # WHEN any one entry is missing THEN that is found out
        with pytest.raises(IncompletePicture, match="table of chunks is not filled in"):
            verify(picture)


@pytest.fixture(scope="session")
def openexr() -> Any:
    """The format's reference library."""
    return pytest.importorskip("OpenEXR", reason="OpenEXR is not installed: pip install '.[dev]'")


@pytest.fixture(scope="session")
def numpy(openexr: Any) -> Any:
    return pytest.importorskip("numpy", reason="OpenEXR comes without numpy")


@pytest.fixture(scope="session")
def openexr_files(openexr: Any, numpy: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes OpenEXR files of the kinds that Blender does not write itself."""
    folder = tmp_path_factory.mktemp("openexr")

    def part(name: str, storage: Any, compression: Any) -> Any:
        header = {"type": storage, "compression": compression}
        if storage in (openexr.deepscanline, openexr.deeptile):
            pixels = numpy.empty((30, 40), dtype=object)
            for y, x in numpy.ndindex(pixels.shape):
                pixels[y, x] = numpy.arange((x + y) % 4, dtype="float32")
        else:
            pixels = numpy.random.default_rng(0).random((30, 40), dtype="float32")
        if storage in (openexr.tiledimage, openexr.deeptile):
            header["tiles"] = openexr.TileDescription()
            header["tiles"].xSize, header["tiles"].ySize = 16, 8
        return openexr.Part(header, {"Y": pixels}, name)

    flat, tiled, zipped = openexr.scanlineimage, openexr.tiledimage, openexr.ZIP_COMPRESSION
    kinds = {
        "tiles": [(tiled, zipped)],
        "parts": [(flat, zipped), (flat, openexr.NO_COMPRESSION)],
        "parts, one of tiles": [(flat, zipped), (tiled, zipped)],
        "deep lines": [(openexr.deepscanline, openexr.ZIPS_COMPRESSION)],
        "deep tiles": [(openexr.deeptile, openexr.ZIPS_COMPRESSION)],
    }

    def write(kind: str) -> Path:
        path = folder / f"{kind}.exr"
        openexr.File([part(f"part{n}", *how) for n, how in enumerate(kinds[kind])]).write(str(path))
        return path

    return write


@pytest.mark.parametrize("kind", ["tiles", "parts", "parts, one of tiles", "deep lines", "deep tiles"])
def test_finds_every_cut_through_other_openexr_files(
    kind: str, openexr_files: Callable[[str], Path], tmp_path: Path
) -> None:
    picture = openexr_files(kind)
    verify(picture)
    assert missed_cuts(picture, tmp_path) == []


def test_knows_every_compression_of_openexr(openexr: Any, numpy: Any, tmp_path: Path) -> None:
    # GIVEN pictures taller than the tallest chunk, in each way to compress
    pixels = numpy.random.default_rng(0).random((300, 8), dtype="float32")
    picture = tmp_path / "f.exr"
    for name in [name for name in dir(openexr) if name.endswith("_COMPRESSION")]:
        header = {"type": openexr.scanlineimage, "compression": getattr(openexr, name)}
        openexr.File([openexr.Part(header, {"Y": pixels}, "a")]).write(str(picture))

        # WHEN one is whole THEN it passes, and with a byte missing it does not
        verify(picture)
        os.truncate(picture, picture.stat().st_size - 1)
        with pytest.raises(IncompletePicture):
            verify(picture)


@pytest.mark.parametrize("name", ["f.png", "f.jpg", "f.exr", "f.tga", "f"])
def test_an_empty_file_and_a_missing_one(name: str, tmp_path: Path) -> None:
    picture = tmp_path / name
    with pytest.raises(IncompletePicture, match="cannot be read"):
        verify(picture)
    picture.touch()
    with pytest.raises(IncompletePicture, match=r"is incomplete \(it has 0 bytes\)"):
        verify(picture)


@pytest.mark.parametrize("name", ["f.png", "f.jpg", "f.exr", "f.tga"])
def test_a_file_that_lost_its_beginning(name: str, tmp_path: Path) -> None:
    picture = tmp_path / name
    picture.write_bytes(bytes(4096))
    with pytest.raises(IncompletePicture):
        verify(picture)


MAGICS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x76\x2f\x31\x01\x02\0\0\0", b"\x76\x2f\x31\x01\x02\x10\0\0",
          b"II*\0\x08\0\0\0", b"MM\0*", b"SDPX", b"XPDS", b"\x80\x2a\x5f\xd7", b"\x01\xda", b"BM", b"RIFF",
          b"\0\0\0\x10ftyp", b"\x1a\x45\xdf\xa3", b"OggS", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b""]  # fmt: skip


@given(magic=st.sampled_from(MAGICS), rest=st.binary(max_size=300), suffix=st.sampled_from(["", ".tga", ".exr"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rubbish_passes_or_is_incomplete_and_nothing_else(
    magic: bytes, rest: bytes, suffix: str, tmp_path: Path
) -> None:
    picture = tmp_path / f"f{suffix}"
    picture.write_bytes(magic + rest)
    with contextlib.suppress(IncompletePicture):
        verify(picture)


@given(at=st.integers(0, 700), byte=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@pytest.mark.parametrize("kind", ["tiles", "parts, one of tiles", "deep lines"])
def test_a_damaged_header_is_incomplete_and_nothing_else(
    kind: str, at: int, byte: int, openexr_files: Callable[[str], Path], tmp_path: Path
) -> None:
    picture = tmp_path / "f.exr"
    if not picture.exists():
        picture.write_bytes(openexr_files(kind).read_bytes())
    data = bytearray(picture.read_bytes())
    data[at % len(data)] = byte
    damaged = tmp_path / "damaged.exr"
    damaged.write_bytes(data)
    with contextlib.suppress(IncompletePicture):
        verify(damaged)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited by Linux's means")
def test_a_gigabyte_is_not_loaded(tmp_path: Path) -> None:
    # GIVEN a PNG of one gigabyte, all but its ends a hole on disk
    size = 1 << 30
    picture = tmp_path / "big.png"
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s13sI", 13, b"IHDR", bytes(13), 0xDEADBEEF)
    with picture.open("wb") as file:
        file.write(header + struct.pack(">I4s", size, b"IDAT"))
        file.truncate(len(header) + 8 + size + 4)

    # WHEN a process with far less memory verifies it THEN it comes to a verdict, which is about the picture
    program = """if True:
        import pathlib, resource, sys
        from server.pictures import verify
        resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
        verify(pathlib.Path(sys.argv[1]))
    """
    done = subprocess.run([sys.executable, "-c", program, picture], capture_output=True, text=True, check=False)
    assert "MemoryError" not in done.stderr
    assert "IncompletePicture: big.png is incomplete (the checksum at byte" in done.stderr
