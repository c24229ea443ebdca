from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.render import render
from radboost.errors import PixelError


def make(path, pixels, **changes):
    write_dicom(path, DicomImage(pixels, **({"bits_stored": 16} | changes)))
    return CropJob(str(path))


def crop(job, policy):
    out = np.full(policy.shape, 12345, np.uint16)
    return out, render(job, policy, out)


def breast(rows=320, columns=256):
    picture = np.zeros((rows, columns), np.float32)
    cv2.ellipse(picture, (0, rows // 2), (columns // 2, rows // 3), 0, -90, 90, 40000, -1)
    return cv2.GaussianBlur(picture, (0, 0), 3).astype(np.uint16)


def test_the_ratio_is_kept_and_the_rest_is_black(tmp_path):
    job = make(tmp_path / "a.dcm", np.tile(np.arange(0, 60000, 500, np.uint16), (60, 1)))
    out, info = crop(job, PixelPolicy(64))
    assert info.box == (0, 0, 120, 60)
    inside = out[0, 16:48]
    assert inside.min(axis=0)[1:].min() > 0
    assert out[0, :16].max() == out[0, 48:].max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 3), (512, 512)])
def test_any_shape_becomes_a_crop(tmp_path, shape):
    # Every pixel of the output is written: a slot of the pool still holds the crop before.
    pixels = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    for kind in ("frame", "breast"):
        out, info = crop(make(tmp_path / "a.dcm", pixels), PixelPolicy(32, kind, mirror=True))
        assert not (out == 12345).any()
        left, top, right, bottom = info.box
        assert 0 <= left < right <= shape[1]
        assert 0 <= top < bottom <= shape[0]


def test_monochrome1_and_its_inverse_give_the_same_crop(tmp_path):
    pixels = breast()
    policy = PixelPolicy(128, "breast", mirror=True)
    plain, _ = crop(make(tmp_path / "a.dcm", pixels), policy)
    inverted, _ = crop(make(tmp_path / "b.dcm", 65535 - pixels, photometric="MONOCHROME1"), policy)
    # Min-max of both frames maps the same tissue to the same values.
    np.testing.assert_allclose(plain.astype(int), inverted.astype(int), atol=2)


def test_left_and_right_breasts_become_alike_and_the_flip_is_recorded(tmp_path):
    policy = PixelPolicy(128, "breast", mirror=True)
    # An odd offset of the sampled columns would move the mirrored box; this width is a multiple of the stride.
    left, one = crop(make(tmp_path / "a.dcm", breast()), policy)
    right, other = crop(make(tmp_path / "b.dcm", np.ascontiguousarray(breast()[:, ::-1])), policy)
    assert (one.mirrored, other.mirrored) == (False, True)
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.99
    assert left[0, :, 0].max() > 0  # tissue touches the left edge


def test_windows_become_channels(tmp_path):
    hounsfield = np.tile(np.arange(-100, 156, dtype=np.int16), (256, 1))
    job = make(tmp_path / "a.dcm", hounsfield, windows=((0, 2000),))
    out, info = crop(job, PixelPolicy(256, windows=((40, 80), (80, 200), (40, 400))))
    assert info.shown == "given"
    middle = out[:, 128]
    assert [int((channel > 0).argmax()) for channel in middle] == [101, 81, 0]
    # Outside its window a channel is saturated, and a narrower window is steeper.
    assert (middle[0, :100] == 0).all()
    assert (middle[0, 180:] == 65535).all()
    assert middle[0, 140] > middle[2, 140] * 0.9


def test_the_given_box_is_cut_out_and_clipped_to_the_frame(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (50, 40)).astype(np.uint16)
    pixels[0, :2] = 0, 65535  # spans the range, so that min-max keeps values as they are
    job = make(tmp_path / "a.dcm", pixels)
    out, _ = crop(CropJob(job.path, box=(8, 10, 24, 26)), PixelPolicy(16, "box"))
    np.testing.assert_array_equal(out[0], pixels[10:26, 8:24])
    assert crop(CropJob(job.path, box=(-5, -5, 24, 26)), PixelPolicy(16, "box"))[1].box == (0, 0, 24, 26)
    with pytest.raises(PixelError, match="outside"):
        crop(CropJob(job.path, box=(40, 0, 60, 20)), PixelPolicy(16, "box"))
    with pytest.raises(PixelError, match="needs a box"):
        crop(job, PixelPolicy(16, "box"))


def test_a_part_is_shown_on_the_scale_of_its_frame(tmp_path):
    # Stretching each patch to its own range would make fat as bright as a calcification.
    pixels = np.full((40, 40), 1000, np.uint16)
    pixels[0, :2] = 0, 4000
    job = make(tmp_path / "a.dcm", pixels)
    out, _ = crop(CropJob(job.path, box=(10, 10, 20, 20)), PixelPolicy(10, "box"))
    assert np.unique(out).tolist() == [round(65535 / 4)]


def test_shrinking_averages_so_that_fine_texture_does_not_alias(tmp_path):
    checker = (np.indices((256, 256)).sum(axis=0) % 2 * 65535).astype(np.uint16)
    out, _ = crop(make(tmp_path / "a.dcm", checker), PixelPolicy(64))
    assert np.abs(out.astype(int) - 32768).max() <= 1


def test_raster_images_keep_their_values(tmp_path):
    image = np.full((32, 32), 100, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    out, info = crop(CropJob(str(tmp_path / "a.png")), PixelPolicy(32))
    assert np.unique(out).tolist() == [25700]
    assert info.shown == "as stored"
    with pytest.raises(PixelError, match="no rescaled units"):
        crop(CropJob(str(tmp_path / "a.png")), PixelPolicy(32, windows=((40, 80),)))


def test_a_stray_file_is_named_as_such(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(PixelError, match="neither DICOM nor"):
        crop(CropJob(str(tmp_path / "notes.txt")), PixelPolicy(32))


def test_the_fingerprint_names_every_field_and_survives_json():
    policy = PixelPolicy(64, "breast", ((40.0, 80.0),), mirror=True)
    recorded = policy.as_dict()
    assert json.loads(json.dumps(recorded)) == recorded
    assert {"size", "crop", "windows", "mirror", "interpolation", "depth", "j2k", "padding", "version"} <= set(recorded)
    changes = [{"size": 65}, {"crop": "breast"}, {"windows": ((1, 2),)}, {"mirror": True}, {"full_decode": True}]
    kinds = [json.dumps(p.as_dict(), sort_keys=True) for p in (PixelPolicy(), *(PixelPolicy(**c) for c in changes))]
    assert len(set(kinds)) == 6


@pytest.mark.parametrize("wrong", [{"size": 0}, {"crop": "heart"}, {"windows": ((40, 0),)}])
def test_a_policy_that_no_crop_can_follow_is_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        PixelPolicy(**wrong)


def test_out_must_be_what_the_policy_says(tmp_path):
    job = make(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16))
    with pytest.raises(ValueError, match="uint16"):
        render(job, PixelPolicy(32), np.empty((1, 32, 31), np.uint16))


def psnr(found, reference):
    """Decibels over what is not black in the reference: background alike flatters."""
    tissue = reference > 0.02 * 65535
    return 10 * np.log10(65535**2 / np.mean((found[tissue].astype(float) - reference[tissue]) ** 2))


@pytest.mark.parametrize(
    ("name", "size", "times"), [("MG1_J2KI", 1024, 1), ("MG1_J2KI", 512, 2), ("MG1_J2KI", 224, 3), ("RG2_J2KR", 512, 1)]
)
def test_a_halved_mammogram_is_the_full_one_to_42_decibels(shared_data, name, size, times):
    job = CropJob(str(shared_data / "mg" / f"{name}.dcm"))
    small, info = crop(job, PixelPolicy(size))
    full, whole = crop(job, PixelPolicy(size, full_decode=True))
    assert (info.reduce, whole.reduce) == (times, 0)
    assert psnr(small, full) >= 42


@pytest.fixture(scope="module")
def textured():
    """A breast with the power-law texture of tissue, 12 bit."""
    rng = np.random.default_rng(4)
    rows, columns = 1024, 832
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]
    spectrum = np.fft.rfft2(rng.normal(size=(rows, columns))) / (np.hypot(fy, fx) + 2 / rows) ** 1.6
    texture = np.fft.irfft2(spectrum, s=(rows, columns))
    texture = (texture - texture.min()) / np.ptp(texture)
    tissue = cv2.resize(breast(), (columns, rows)) / 40000
    return ((1200 + 2400 * texture) * tissue + rng.normal(40, 6, tissue.shape)).clip(0, 4095).astype(np.uint16)


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "HTJ2KLossless"])
@pytest.mark.parametrize("signed", [False, True])
def test_both_wavelet_syntaxes_are_halved_and_the_box_stays_in_full_pixels(tmp_path, textured, syntax, signed):
    pixels = textured.astype(np.int16) - 2048 if signed else textured
    window = ((0 if signed else 2048, 4096),)
    image = {"bits_stored": 12, "transfer_syntax": syntax, "windows": window}
    job = make(tmp_path / "a.dcm", pixels, **image)
    policy = {"size": 160, "crop": "breast", "mirror": True}
    small, info = crop(job, PixelPolicy(**policy))
    full, whole = crop(job, PixelPolicy(**policy, full_decode=True))
    assert (info.reduce, whole.reduce) == (1, 0)
    assert np.abs(np.subtract(info.box, whole.box)).max() <= 8  # one pixel of the picture in which it is looked for
    left, top, right, bottom = whole.box
    same = CropJob(job.path, box=(left, top, right, bottom))
    small, _ = crop(same, PixelPolicy(160, "box"))
    full, _ = crop(same, PixelPolicy(160, "box", full_decode=True))
    assert psnr(small, full) >= 42


@pytest.mark.parametrize("change", [{"windows": ()}, {"attributes": {"PixelPaddingValue": 4000}}])
def test_what_averages_would_falsify_is_decoded_in_full(tmp_path, textured, change):
    image = {"bits_stored": 12, "transfer_syntax": "JPEG2000Lossless", "windows": ((2048, 4096),)} | change
    small, info = crop(make(tmp_path / "a.dcm", textured, **image), PixelPolicy(64))
    full, _ = crop(make(tmp_path / "a.dcm", textured, **image), PixelPolicy(64, full_decode=True))
    assert info.reduce == 0
    np.testing.assert_array_equal(small, full)


def test_other_syntaxes_are_never_halved(tmp_path, textured):
    job = make(tmp_path / "a.dcm", textured, bits_stored=12, transfer_syntax="JPEGLosslessSV1", windows=((2048, 4096),))
    assert crop(job, PixelPolicy(64))[1].reduce == 0


def test_a_box_in_millimetres_is_that_box_in_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (60, 80)).astype(np.uint16)
    # Rows lie 0.5 mm apart and columns 0.25 mm: mixing them up would cut out another part.
    job = make(tmp_path / "a.dcm", pixels, attributes={"ImagerPixelSpacing": [0.5, 0.25]})
    in_pixels, _ = crop(CropJob(job.path, box=(8, 10, 48, 30)), PixelPolicy(16, "box"))
    in_mm, info = crop(CropJob(job.path, box=(2, 5, 12, 15), unit="mm"), PixelPolicy(16, "box"))
    assert info.box == (8, 10, 48, 30)
    np.testing.assert_array_equal(in_pixels, in_mm)
    bare = make(tmp_path / "b.dcm", pixels)
    with pytest.raises(PixelError, match="no pixel spacing"):
        crop(CropJob(bare.path, box=(2, 5, 12, 15), unit="mm"), PixelPolicy(16, "box"))


def test_the_chest_wall_is_recorded_where_it_was_looked_for(tmp_path):
    left = make(tmp_path / "a.dcm", breast())
    right = make(tmp_path / "b.dcm", np.ascontiguousarray(breast()[:, ::-1]))
    policy = PixelPolicy(64, "breast", mirror=True)
    assert [crop(job, policy)[1].chest_wall for job in (left, right)] == ["left", "right"]
    assert crop(right, PixelPolicy(64))[1].chest_wall == ""
