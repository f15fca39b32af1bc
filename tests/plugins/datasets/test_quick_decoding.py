"""The quick decoder gives Pillow's bits, or leaves it to Pillow."""

import zlib

import numpy as np
import pytest
import torch  # noqa: F401 - without it everything goes to Pillow
from PIL import Image

from harness_plugins.datasets import quick_decoding
from harness_plugins.datasets.image_rows import decode
from harness_plugins.datasets.quick_decoding import COMPARED, QuickDecoder, is_plain


def smooth(generator, shape=(37, 50)):
    coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)


def variants(encoded):
    generator = np.random.default_rng(3)
    picture = smooth(generator)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = {
        "png": encoded(picture, "PNG"),
        "grey png": encoded(picture.convert("L"), "PNG"),
        "jpeg": encoded(picture, "JPEG", quality=90),
        "jpeg 4:4:4": encoded(picture, "JPEG", quality=75, subsampling=0),
        "jpeg 4:2:0": encoded(picture, "JPEG", quality=50, subsampling=2),
        "progressive jpeg": encoded(picture, "JPEG", progressive=True),
        "grey jpeg": encoded(picture.convert("L"), "JPEG"),
    }
    other = {
        "palette png": encoded(picture.quantize(16), "PNG"),
        "16-bit png": encoded(Image.fromarray(np.arange(60, dtype=np.uint16).reshape(6, 10) * 900), "PNG"),
        "alpha png": encoded(picture.convert("RGBA"), "PNG"),
        "turned png": encoded(picture, "PNG", exif=exif),
        "turned jpeg": encoded(picture, "JPEG", exif=exif),
        "cmyk jpeg": encoded(picture.convert("CMYK"), "JPEG"),
        "webp": encoded(picture, "WEBP"),
        "bmp": encoded(picture, "BMP"),
    }
    return plain, other


def test_pixels_are_pillows_whatever_the_format(encoded):
    plain, other = variants(encoded)
    decoder = QuickDecoder()
    for _ in range(COMPARED):
        decoder.decode(plain["png"])
    assert decoder._compared == COMPARED
    for name, data in {**plain, **other}.items():
        assert is_plain(data) == (name in plain), name
        assert np.array_equal(decoder.decode(data), decode(data, None)), name
        assert np.array_equal(decoder.decode({"bytes": data}), decode(data, None)), name
    assert decoder._compared == COMPARED


def test_damage_is_said_in_pillows_words(encoded):
    plain, _ = variants(encoded)
    decoder = QuickDecoder()
    for name in ("png", "jpeg", "progressive jpeg"):
        for data in (plain[name][: len(plain[name]) // 2], plain[name][:20], b"", None):
            with pytest.raises(ValueError) as expected:
                decode(data, None)
            with pytest.raises(ValueError) as found:
                decoder.decode(data)
            assert str(found.value) == str(expected.value)


def test_where_the_two_differ_pillow_decodes_all(encoded, monkeypatch):
    plain, _ = variants(encoded)
    decoder = QuickDecoder()
    wrong = np.zeros((3, 37, 50), np.uint8)
    monkeypatch.setattr(QuickDecoder, "_decode_quickly", lambda self, data: wrong)
    for _ in range(COMPARED + 2):
        assert np.array_equal(decoder.decode(plain["jpeg"]), decode(plain["jpeg"], None))
    assert decoder._compared == -1


def test_a_process_without_torch_imports_none(encoded, monkeypatch):
    plain, _ = variants(encoded)
    modules = {name: module for name, module in quick_decoding.sys.modules.items() if name != "torch"}
    monkeypatch.setattr(quick_decoding, "sys", type("Sys", (), {"modules": modules}))
    monkeypatch.setattr(QuickDecoder, "_decode_quickly", lambda self, data: pytest.fail("torch was used"))
    assert np.array_equal(QuickDecoder().decode(plain["png"]), decode(plain["png"], None))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_an_image_that_says_it_is_huge_is_left_to_pillow(encoded, format):
    """Of 3.6e9 pixels, in a small file: torchvision would end the process, Pillow refuses it."""
    data = bytearray(encoded(Image.new("RGB", (30, 20)), format))
    assert is_plain(bytes(data))
    if format == "PNG":
        data[16:24] = (60_000).to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    else:
        place = data.index((20).to_bytes(2, "big") + (30).to_bytes(2, "big"))
        data[place : place + 4] = (60_000).to_bytes(2, "big") * 2
    assert not is_plain(bytes(data))
    with pytest.raises(ValueError, match="exceeds limit of"):
        QuickDecoder().decode(bytes(data))
