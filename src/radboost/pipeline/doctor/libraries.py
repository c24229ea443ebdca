"""The libraries that radboost declares: versions, whether they are within the declared range, whether they import."""

from __future__ import annotations

import importlib
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from radboost import __version__
from radboost.data.probe import Probe, State

__all__ = ["ADDS", "Wanted", "declared", "probe_import", "probe_python", "probe_version"]

AREA = "libraries"
PACKAGE = "radboost"

MODULES: Mapping[str, str] = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "python-gdcm": "gdcm",
    "mlflow-skinny": "mlflow",
    "nvidia-nvimgcodec-cu13": "nvidia.nvimgcodec",
    "nvidia-nvjpeg2k-cu13": "",
}
"""Modules that are named otherwise than their distribution; empty for one that is no Python module."""

ADDS: Mapping[str, str] = {
    "gdcm": "a second decoder for frames that the first one gives up on",
    "cuda": "JPEG 2000 and HTJ2K decoded on an NVIDIA GPU: extract --decode cuda",
    "transformers": "radiology's own backbones: extract --backbone transformers:ORG/NAME",
    "ray": "several machines, or all GPUs of one: extract and fit-boost --engine ray",
    "train": "networks of your own: radboost train",
    "tune": "a search for settings of trees: fit-boost --tune",
    "catboost": "a third boosting library: fit-boost --learner catboost",
    "tensorboard": "--track tensorboard: settings, numbers and pages of any command",
    "mlflow": "--track mlflow: settings, numbers and pages of any command",
}
"""What each extra of pyproject.toml adds."""

DEVELOPERS = "dev"
_EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")


@dataclass(frozen=True)
class Wanted:
    """One declared library.

    Attributes
    ----------
    name
        Of its distribution.
    pin
        Versions that are asked for, as ``>=2.4``; empty for any.
    extra
        The extra that asks for it; empty where radboost itself does.
    """

    name: str
    pin: str
    extra: str = ""

    @property
    def module(self) -> str:
        """What is imported; empty for a library that is no module."""
        return MODULES.get(self.name, self.name.replace("-", "_"))


def declared(lines: Sequence[str] | None = None) -> list[Wanted]:
    """List the libraries that radboost asks for on this system, its own first, then each extra's.

    Parameters
    ----------
    lines
        Requirements as package metadata has them; those of the installed radboost if not given.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        radboost was not installed, only found on the path.
    ImportError
        ``packaging``, which reads declarations, is absent.
    """
    from packaging.requirements import Requirement

    all_lines = (metadata.requires(PACKAGE) or []) if lines is None else lines
    requirements = [Requirement(line) for line in all_lines]
    marked = [_EXTRA.search(str(each.marker or "")) for each in requirements]
    found: list[Wanted] = []
    for each, mark in zip(requirements, marked, strict=True):
        extra = mark.group(1) if mark else ""
        if extra != DEVELOPERS and (each.marker is None or each.marker.evaluate({"extra": extra})):
            found.append(Wanted(each.name.lower(), str(each.specifier), extra))
    return sorted(found, key=lambda each: each.extra != "")


def probe_python() -> list[Probe]:
    """Name radboost, Python and the system."""
    return [
        Probe(AREA, PACKAGE, State.works, __version__, needed=True),
        Probe(AREA, "python", State.works, f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
    ]


def probe_version(wanted: Wanted) -> Probe:
    """Tell a library's version and whether it is in the declared range, without importing it."""
    from packaging.specifiers import SpecifierSet

    area = f"extra {wanted.extra}" if wanted.extra else AREA
    needed = not wanted.extra
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        if needed:
            detail, do = f"not installed, {wanted.pin or 'any version'} is needed", "pip install radboost again"
            return Probe(area, wanted.name, State.broken, detail, do, needed=True)
        adds = ADDS.get(wanted.extra, "")
        do = f"pip install 'radboost[{wanted.extra}]'" + (f" adds {adds}" if adds else "")
        return Probe(area, wanted.name, State.absent, "not installed", do)
    if not SpecifierSet(wanted.pin).contains(version, prereleases=True):
        do = f"pip install '{wanted.name}{wanted.pin}'"
        return Probe(area, wanted.name, State.note, f"{version}, outside the declared {wanted.pin}", do, needed=needed)
    inside = f", within {wanted.pin}" if wanted.pin else ""
    return Probe(area, wanted.name, State.works, f"{version}{inside}", needed=needed)


def probe_import(wanted: Wanted) -> list[Probe]:
    """Tell a library's version, and import it where it is installed.

    Whatever the import raises is the finding: a library built for another machine raises OSError as well as
    ImportError, and one that does not fit another may raise anything.
    """
    found = probe_version(wanted)
    if found.state in (State.absent, State.broken) or not wanted.module:
        return [found]
    try:
        module = importlib.import_module(wanted.module)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
        do = f"Install it anew: pip install --force-reinstall '{wanted.name}{wanted.pin}'"
        detail = f"{found.detail}, but cannot be imported: {_without_home(reason)}"
        return [Probe(found.area, wanted.name, State.broken, detail, do, needed=found.needed)]
    return [found] if _is_its_own(module) else [_shadowed(found, wanted)]


def _is_its_own(module: object) -> bool:
    """Whether what was imported is the library: an empty folder of its name on the path imports as well."""
    return getattr(module, "__file__", None) is not None


def _shadowed(found: Probe, wanted: Wanted) -> Probe:
    detail = f"{found.detail}, but a folder named {wanted.module} hides it"
    return Probe(found.area, wanted.name, State.broken, detail, "Rename that folder", needed=found.needed)


def _without_home(text: str) -> str:
    """Leave the folders out of a loader's message: they name the user, and the file's own name says enough."""
    return " ".join(_last_part(word) for word in text.split(" "))


def _last_part(word: str) -> str:
    return word if word.count("/") + word.count("\\") < 2 else word.replace("\\", "/").rsplit("/", 1)[-1]
