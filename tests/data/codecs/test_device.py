"""Decoding on a GPU, with nvImageCodec played by imagecodecs: what is asked of it, and what it may not change."""

from __future__ import annotations

import sys
import types

import imagecodecs
import numpy as np
import pytest

from radboost.data.codecs import DeviceDecoder, FrameSpec, decode, device, encode
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.pool import Done, Failed
from radboost.data.render import render_each
from radboost.data.threads import Threads
from radboost.errors import PixelError, UserError

J2K, HTJ2K, LOSSLESS = (f"1.2.840.10008.1.2.4.{end}" for end in ("90", "201", "70"))


class Library(types.ModuleType):
    """As much of nvImageCodec as is used; counts the frames it is asked for."""

    def __init__(self, *, gpu: bool = True) -> None:
        super().__init__("nvidia.nvimgcodec")
        library, self.asked = self, 0

        class Decoder:
            def __init__(self, backends):
                if not gpu:
                    raise RuntimeError("CUDA Runtime failure: '#35'")

            def decode(self, data, params):
                library.asked += 1
                assert params["allow_any_depth"]
                if data == b"damaged":
                    raise RuntimeError("bad stream")
                if data == b"unknown":
                    return None
                lossless = data[:2] == b"\xff\xd8"
                pixels = (imagecodecs.ljpeg_decode if lossless else imagecodecs.jpeg2k_decode)(data)
                return types.SimpleNamespace(cpu=lambda: pixels[..., None])

        self.Decoder = Decoder
        self.Backend = lambda kind: kind
        self.BackendKind = types.SimpleNamespace(GPU_ONLY="gpu")
        self.ColorSpec = types.SimpleNamespace(UNCHANGED="unchanged")
        self.DecodeParams = lambda **settings: settings


@pytest.fixture
def library(monkeypatch):
    played = Library()
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", played)
    return played


SPEC = FrameSpec(40, 32, bits_stored=12, high_bit=11)
PIXELS = np.random.default_rng(0).integers(0, 4096, (40, 32)).astype(np.uint16)


@pytest.mark.parametrize("signed", [False, True])
def test_a_frame_is_what_the_cpu_makes_of_it(library, signed):
    spec = FrameSpec(40, 32, bits_stored=12, high_bit=11, signed=signed)
    pixels = PIXELS.astype(np.int16) - 2048 if signed else PIXELS
    data = encode("JPEG2000Lossless", pixels, 12)
    np.testing.assert_array_equal(DeviceDecoder().decode(J2K, data, spec), decode(J2K, data, spec))
    assert library.asked == 1


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_other_syntaxes_are_none_of_its_business(library, syntax):
    assert DeviceDecoder().decode(syntax, b"anything", SPEC) is None
    assert library.asked == 0


@pytest.mark.parametrize(("version", "asked"), [("13.0.1", 0), ("12.4.0", 0), ("13.0.2.28", 1), ("13.1.0", 1)])
def test_jpeg_lossless_is_left_to_the_cpu_below_a_version(library, monkeypatch, version, asked):
    monkeypatch.setattr(device.metadata, "version", lambda name: version)
    data = encode("JPEGLosslessSV1", PIXELS, 12)
    found = DeviceDecoder().decode(LOSSLESS, data, SPEC)
    assert library.asked == asked
    assert (found is not None) == bool(asked)


@pytest.mark.parametrize("data", [b"damaged", b"unknown"])
def test_what_it_gives_up_on_is_asked_of_the_cpu(library, data):
    assert DeviceDecoder().decode(HTJ2K, data, SPEC) is None
    assert DeviceDecoder().decode(LOSSLESS, data, SPEC) is None


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    with pytest.raises(UserError, match=r"radboost\[cuda\]"):
        DeviceDecoder()


def test_without_a_gpu_one_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", Library(gpu=False))
    with pytest.raises(UserError, match="no GPU that nvImageCodec can use"):
        DeviceDecoder()


def test_crops_come_through_threads_in_order(library, tmp_path):
    policy = PixelPolicy.of("frame", 16, full_decode=True)
    jobs = []
    for number in range(6):
        path = tmp_path / f"{number}.dcm"
        syntax = ("JPEG2000Lossless", "ExplicitVRLittleEndian")[number % 2]
        write_dicom(path, DicomImage(np.roll(PIXELS, number), 12, transfer_syntax=syntax))
        jobs.append((CropJob(str(path)),))
    jobs.append((CropJob(str(tmp_path / "gone.dcm")),))
    decoder, seen = DeviceDecoder(), []

    def make(job, out):
        return render_each(job, policy, out, decoder)

    with Threads(2, (1, *policy.shape), ahead=3) as threads:
        seen.extend(item.pixels[0].copy() if isinstance(item, Done) else item for item in threads.map(make, jobs))
    assert library.asked == 3
    assert isinstance(seen[-1], Failed)
    for job, pixels in zip(jobs, seen[:-1], strict=False):
        alone = np.empty((1, *policy.shape), np.uint16)
        render_each(job, policy, alone)
        np.testing.assert_array_equal(pixels, alone[0])


def test_the_users_mistake_ends_the_run(tmp_path):
    def refuse(job, out):
        raise UserError("no")

    def bad(job, out):
        raise PixelError("bad file")

    with Threads(1, (1,), ahead=2) as threads:
        assert [item.reason for item in threads.map(bad, [1, 2])] == ["bad file", "bad file"]
        with pytest.raises(UserError):
            list(threads.map(refuse, [1, 2]))
