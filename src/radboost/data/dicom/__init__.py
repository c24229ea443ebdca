"""DICOM files: the one door to pydicom. Headers, frames, how they want to be shown, and a writer beside them."""

from radboost.data.dicom.frame import MIDDLE, Frame, Source, open_frame, read_frame
from radboost.data.dicom.header import Header, NotAnImage, classify, read_header
from radboost.data.dicom.kinds import Kind
from radboost.data.dicom.presentation import DISPLAY_MAX, Lut, Presentation, Window, display
from radboost.data.dicom.write import DicomImage, write_dicom

__all__ = [
    "DISPLAY_MAX",
    "MIDDLE",
    "DicomImage",
    "Frame",
    "Header",
    "Kind",
    "Lut",
    "NotAnImage",
    "Presentation",
    "Source",
    "Window",
    "classify",
    "display",
    "open_frame",
    "read_frame",
    "read_header",
    "write_dicom",
]
