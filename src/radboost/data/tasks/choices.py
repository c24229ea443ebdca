"""What a user chooses of a task when data are indexed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from radboost.data.regions import Patches
from radboost.data.roi.rows import patch_task
from radboost.data.slices.build import choose_series
from radboost.data.task import Task
from radboost.data.tasks import get_task
from radboost.errors import UserError

__all__ = ["Choices", "choose_task"]


@dataclass(frozen=True)
class Choices:
    """Options that make another task of a named one; None leaves what the task says.

    Attributes
    ----------
    patches, size
        Units are patches, see `radboost.data.regions.Patches`; and their side, pixels of the image.
    sees, points
        Of studies of several series, see `radboost.data.volumes.Volumes`.
    neighbours
        Slices to either side that boosters see beside a slice's own features.
    """

    patches: str | None = None
    size: int | None = None
    sees: str | None = None
    points: str | None = None
    neighbours: int | None = None


def choose_task(name: str | None, choices: Choices) -> Task | None:
    """Find a task and make the choices; None without a name.

    Raises
    ------
    UserError
        A choice does not go with the task, or needs one.
    TaskError
        The task is unknown, or a choice is.
    """
    task = None if name is None else get_task(name)
    if choices.patches is not None:
        if task is None:
            raise UserError("--patches needs a task", do="Give --task as well")
        task = patch_task(task, Patches.parse(choices.patches, choices.size))
    elif choices.size is not None:
        raise UserError("--size is the side of patches", do="Give --patches as well; extract has its own --size")
    if choices.sees is not None or choices.points is not None:
        task = choose_series(task, choices.sees, choices.points)
    if choices.neighbours is not None:
        if task is None:
            raise UserError("--neighbours needs a task", do="Give --task as well")
        task = replace(task, slots=replace(task.slots, neighbours=choices.neighbours))
    return task
