from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing
from pydicom.sequence import Sequence

from radboost.data.dicom import DicomImage, Lut, Presentation, Window, display, read_frame, write_dicom

RNG = np.random.default_rng(5)
SIGNED = RNG.integers(-2048, 2048, (30, 40)).astype(np.int16)
UNSIGNED = RNG.integers(0, 4096, (30, 40)).astype(np.uint16)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("pixels", [SIGNED, UNSIGNED], ids=["signed", "unsigned"])
def test_windows_match_the_reference_implementation(function, pixels):
    # The reference maps to the range of the stored values; ours to 0..65535. Apart from that they are the same.
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.BitsStored = "MONOCHROME2", 16
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = 2.0, -500.0
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 300.0, 900.0, function
    reference = apply_windowing(apply_modality_lut(pixels, dataset), dataset)
    low = (-32768 if dataset.PixelRepresentation else 0) * 2.0 - 500
    expected = (reference - low) / (65535 * 2.0) * 65535
    shown = display(pixels, Presentation(2.0, -500.0, windows=(Window(300, 900, function),)), (0, 1))
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6


def test_tables_match_the_reference_implementation():
    entries = np.sort(RNG.integers(0, 4096, 1000)).astype(np.uint16)
    item, dataset = Dataset(), Dataset()
    item.add_new("LUTDescriptor", "SS", [1000, -200, 12])
    item.add_new("LUTData", "US", entries.tolist())
    dataset.VOILUTSequence = Sequence([item])
    shown = display(SIGNED, Presentation(voi=Lut(-200, 12, entries.tobytes())), (0, 1))
    expected = apply_voi(SIGNED, dataset) * (65535 / 4095)
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32])
def test_the_table_and_the_direct_way_agree(dtype):
    # Up to 16 bits a table is looked up by bit pattern, above that values are mapped one by one.
    values = np.arange(-100, 100, dtype=np.int64)
    values = values[values >= np.iinfo(dtype).min] if np.dtype(dtype).kind != "f" else values
    presentation = Presentation(1.5, 3.0, windows=(Window(20, 101),), inverted=True, padding=(7, 9))
    shown = display(values.astype(dtype)[None], presentation, (0, 1))
    direct = display(values.astype(np.float64)[None], presentation, (0, 1))
    np.testing.assert_array_equal(shown, direct)


def test_a_table_wins_over_windows_and_the_first_usable_window_over_others():
    table = Lut(0, 8, np.arange(256, dtype="<u2").tobytes())
    windows = (Window(0, 0), Window(5, 10), Window(50, 100))
    assert Presentation(voi=table, windows=windows).rule()[0] == "voi lut"
    assert Presentation(windows=windows).rule() == ("window", Window(5, 10))
    assert Presentation(windows=windows[:1]).rule()[0] == "min-max"
    assert Presentation(voi=table).rule(Window(40, 80)) == ("given", Window(40, 80))


def test_inversion_follows_the_window():
    # Inverting stored values first would use the window on the wrong end: tissue would be clipped away.
    ramp = np.arange(4096, dtype=np.uint16)[None]
    window = Presentation(windows=(Window(1000, 400, "LINEAR_EXACT"),))
    inverted = Presentation(windows=window.windows, inverted=True)
    np.testing.assert_array_equal(display(ramp, inverted, (0, 1)), 65535 - display(ramp, window, (0, 1)))
    assert display(ramp, inverted, (0, 1))[0, 0] == 65535


def test_padding_is_black_whatever_the_polarity():
    pixels = np.array([[0, 100, 200]], np.uint16)
    for inverted in (False, True):
        shown = display(pixels, Presentation(windows=(Window(100, 200),), inverted=inverted, padding=(0, 0)), (0, 1))
        assert shown[0, 0] == 0
        assert shown[0, 1] > 0


def test_without_table_or_window_the_frame_spans_black_to_white_without_its_padding(tmp_path):
    pixels = np.array([[0, 1000, 2000, 3000]], np.uint16)
    write_dicom(tmp_path / "a.dcm", DicomImage(pixels, 12, attributes={"PixelPaddingValue": 0}))
    frame = read_frame(tmp_path / "a.dcm")
    shown = display(frame.pixels, frame.presentation, frame.extent())
    np.testing.assert_array_equal(shown, [[0, 0, 32768, 65535]])


def test_a_negative_slope_reverses_order_but_not_the_window():
    shown = display(UNSIGNED, Presentation(slope=-1.0, windows=(Window(-2000, 4000),)), (0, 1))
    order = np.argsort(UNSIGNED, axis=None)
    assert (np.diff(shown.ravel()[order].astype(int)) <= 0).all()
    assert shown.max() > 60000


def test_a_constant_frame_is_black():
    assert display(np.full((3, 3), 7, np.int16), Presentation(), (7.0, 7.0)).max() == 0


def test_a_float_frame_with_missing_values_is_shown():
    shown = display(np.array([[0.0, np.nan, 1.0]]), Presentation(), (0.0, 1.0))
    np.testing.assert_array_equal(shown, [[0, 0, 65535]])
