"""TensorBoard's event files, written record by record: its usual writers put the machine's name into the file's."""

from __future__ import annotations

import re
import shutil
import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from radboost import __version__
from radboost.errors import UserError
from radboost.report.tracking.gather import PAGES, Outcome
from radboost.report.tracking.tracker import Status

__all__ = ["TensorBoardRun", "start"]

FOLDER = "tensorboard"
FILE = "events.out.tfevents.0"
_PNG = b"\x89PNG\r\n\x1a\n"


class TensorBoardRun:
    """One run; see `Tracker`."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._file = (folder / FILE).open("wb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self.place, self.look = str(folder), f"tensorboard --logdir {logs}"

    def begin(self, command: str, options: Mapping[str, str]) -> None:
        """Log what was asked for: as text, and where runs are compared by their settings."""
        told = {"command": command, "radboost": __version__, **options}
        self._text("settings", _table(told))
        self._summary(hparams_pb(told, trial_id=self._folder.name, start_time_secs=time.time()))

    def log(self, outcome: Outcome) -> None:
        """Log what came of the command."""
        for name, value in outcome.metrics.items():
            self._summary(Summary(value=[Summary.Value(tag=name, simple_value=value)]))
        for name, curve in outcome.curves.items():
            for step, value in curve:
                self._summary(Summary(value=[Summary.Value(tag=name, simple_value=value)]), step)
        if outcome.tags:
            self._text("result", _table({**outcome.tags, **outcome.settings}))
        pages = self._folder / "pages"
        for name, path in outcome.pages.items():
            pages.mkdir(exist_ok=True)
            shutil.copyfile(path, pages / name)
            self._picture(name, path.read_bytes())
        held = [name for name in outcome.pages if Path(name).suffix in PAGES]
        if held:
            # TensorBoard shows no HTML: the page lies beside the events, to be opened in a browser.
            self._text("pages", "\n".join(f"- pages/{name}" for name in held))

    def close(self, status: Status) -> None:
        """End the run."""
        words = {Status.FINISHED: "STATUS_SUCCESS", Status.FAILED: "STATUS_FAILURE"}
        ended = api_pb2.Status.Value(words.get(status, "STATUS_UNKNOWN"))
        content = plugin_data_pb2.HParamsPluginData(
            session_end_info=plugin_data_pb2.SessionEndInfo(status=ended, end_time_secs=time.time())
        )
        value = Summary.Value(tag="_hparams_/session_end_info")
        value.metadata.plugin_data.plugin_name = "hparams"
        value.metadata.plugin_data.content = content.SerializeToString()
        self._summary(Summary(value=[value]))
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()

    def _summary(self, summary: Summary, step: int = 0) -> None:
        self._write(Event(summary=summary, step=step))

    def _text(self, tag: str, text: str) -> None:
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=_SHAPE)
        metadata = create_summary_metadata(display_name="", description="")
        self._summary(Summary(value=[Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor)]))

    def _picture(self, name: str, data: bytes) -> None:
        if not data.startswith(_PNG):
            return
        # The first chunk of a PNG gives its size (PNG specification, 11.2.2).
        width, height = struct.unpack(">II", data[16:24])
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=data)
        self._summary(Summary(value=[Summary.Value(tag=Path(name).stem, image=image)]))


_SHAPE = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])


def start(command: str, options: Mapping[str, str], beside: Path, uri: str | None) -> TensorBoardRun:
    """Open a run; see `radboost.report.tracking.open_tracker`."""
    logs = beside / FOLDER if uri is None else _folder(uri)
    stem = f"{command}-{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        folder = next(
            logs / f"{stem}{end}" for end in ("", *(f"-{k}" for k in range(2, 1000))) if _made(logs, stem + end)
        )
        opened = TensorBoardRun(folder, logs)
        opened.begin(command, options)
    except OSError as error:
        raise UserError("cannot be written", where=logs, got=error.strerror, do="Choose another --track-uri") from error
    return opened


def _made(logs: Path, name: str) -> bool:
    """Make a folder for a run; False where another run of the same second has it."""
    try:
        (logs / name).mkdir()
    except FileExistsError:
        return False
    return True


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if re.match(r"[a-z]{2,}:", uri):
        do = "TensorBoard reads folders: give one"
        raise UserError("is no folder", where="--track-uri", got=parts.scheme, do=do)
    return Path(uri)


def _table(rows: Mapping[str, str]) -> str:
    """Rows as a Markdown table, in which a bar or a line's end of a value would make cells of its own."""
    lines = [f"| {name} | {_cell(text)} |" for name, text in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
