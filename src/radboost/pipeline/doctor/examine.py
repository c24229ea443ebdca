"""Which probes make a report, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from radboost import __version__
from radboost.data.probe import Probe, State
from radboost.data.progress import Progress, Silent
from radboost.errors import UserError
from radboost.pipeline.doctor.libraries import Wanted, declared, probe_python, probe_version
from radboost.pipeline.doctor.steps import Step, run_apart

__all__ = ["DoctorConfig", "Report", "examine"]

FORMAT = 1
"""Of the JSON."""


@dataclass(frozen=True)
class DoctorConfig:
    """What is looked at.

    Attributes
    ----------
    path
        Folder whose disk is looked at.
    backbone
        timm model that is looked for in the hub's cache.
    hub
        Whether the hub is asked if it answers.
    ray
        Address of a Ray cluster that is asked; None for none.
    quick
        Leave out what must import torch and the other large libraries: they are judged by their versions.
    """

    path: Path = Path()
    backbone: str = ""
    hub: bool = False
    ray: str | None = None
    quick: bool = False


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes
    ----------
    probes
        In the order in which they are shown.
    """

    probes: tuple[Probe, ...]

    @property
    def works(self) -> bool:
        """Whether nothing that is needed is broken."""
        return not any(probe.needed and probe.state is State.broken for probe in self.probes)

    def to_dict(self) -> dict[str, object]:
        """Give it as JSON-able values, without name of user or machine and without folders."""
        probes = [probe.to_dict() for probe in self.probes]
        return {"kind": "doctor", "format": FORMAT, "radboost": __version__, "works": self.works, "probes": probes}


def examine(config: DoctorConfig, progress: Progress | None = None) -> Report:
    """Look at the installation and the machine.

    Parameters
    ----------
    config
        What to look at.
    progress
        Advanced by one a step.

    Raises
    ------
    UserError
        `path` is no folder.
    """
    if not config.path.is_dir():
        raise UserError("is no folder", where=config.path, do="Give an existing one to --path")
    bar = progress or Silent()
    found = probe_python()
    wanted, trouble = _declared()
    found += trouble
    if config.quick:
        found += [probe_version(each) for each in wanted]
    steps = [*([] if config.quick else _imports(wanted)), *_rest(config)]
    bar.start("look", len(steps))
    for probes in run_apart(steps):
        found += probes
        bar.advance()
    return Report(tuple(found))


def _declared() -> tuple[list[Wanted], list[Probe]]:
    try:
        return declared(), []
    except (metadata.PackageNotFoundError, ImportError) as error:
        detail = f"what it needs is not known: {type(error).__name__}: {error}"
        do = "Install it: pip install . in its folder"
        return [], [Probe("libraries", "radboost", State.broken, detail, do, needed=True)]


def _imports(wanted: Sequence[Wanted]) -> Iterator[Step]:
    for each in wanted:
        area = f"extra {each.extra}" if each.extra else "libraries"
        function = "radboost.pipeline.doctor.libraries:probe_import"
        yield Step(area, each.name, function, (each,), needed=not each.extra)


def _rest(config: DoctorConfig) -> Iterator[Step]:
    yield Step("codecs", "all", "radboost.data.codecs:probe_codecs", needed=True)
    if not config.quick:
        yield Step("GPU", "CUDA", "radboost.nets.probe:probe_gpu")
        yield Step("GPU", "nvImageCodec, --decode cuda", "radboost.data.codecs:probe_device")
    yield Step("machine", "cores and memory", "radboost.engines.machine:probe_machine")
    name = "current folder" if config.path == Path() else str(config.path)
    yield Step("machine", f"disk, {name}", "radboost.engines.machine:probe_disk", (config.path, name))
    if not config.quick:
        cache = "radboost.extractor.backbone.probe:probe_cache"
        yield Step("pretrained weights", "hub cache", cache, (config.backbone,))
    if config.hub:
        yield Step("pretrained weights", "hub", "radboost.extractor.backbone.probe:probe_hub", needed=True)
    if config.ray is not None:
        yield Step("Ray", config.ray, "radboost.engines.probe:probe_ray", (config.ray,), needed=True)
