"""MLflow, through its client alone: the fluent interface would log user, host and script of its own accord."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from radboost import __version__
from radboost.errors import UserError
from radboost.report.tracking.gather import Outcome
from radboost.report.tracking.names import safe_name
from radboost.report.tracking.tracker import Status

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["MlflowRun", "start"]

EXPERIMENT = "radboost"
DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
METRICS_A_CALL, OTHERS_A_CALL = 1000, 100
"""MLflow's own limits of one call."""

# MLflow reports its use to its makers otherwise; of a server that does not answer it asks for minutes.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}

_T = TypeVar("_T")


class MlflowRun:
    """One run; see `Tracker`."""

    def __init__(self, client: MlflowClient, run: str, place: str) -> None:
        self._client, self._run = client, run
        self.place = place
        self.look = f"mlflow ui --backend-store-uri {place}" if "http" not in place[:5] else place

    def log(self, outcome: Outcome) -> None:
        """Log what came of the command."""
        with _unwarned():
            self._log(outcome)

    def _log(self, outcome: Outcome) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in outcome.metrics.items()]
        metrics += [Metric(name, v, now, step) for name, curve in outcome.curves.items() for step, v in curve]
        for some in _batches(metrics, METRICS_A_CALL):
            self._client.log_batch(self._run, metrics=some)
        for params in _batches([Param(safe_name(n), text) for n, text in outcome.settings.items()], OTHERS_A_CALL):
            self._client.log_batch(self._run, params=params)
        for tags in _batches([RunTag(name, text) for name, text in outcome.tags.items()], OTHERS_A_CALL):
            self._client.log_batch(self._run, tags=tags)
        for name, path in outcome.pages.items():
            with tempfile.TemporaryDirectory() as folder:
                # Under our name: the file's own is the user's, and MLflow would keep it.
                copy = Path(folder) / name
                copy.write_bytes(path.read_bytes())
                self._client.log_artifact(self._run, str(copy), "pages")

    def close(self, status: Status) -> None:
        """End the run."""
        with _unwarned():
            self._client.set_terminated(self._run, status.value)


def start(command: str, options: Mapping[str, str], beside: Path, uri: str | None) -> MlflowRun:
    """Open a run; see `radboost.report.tracking.open_tracker`; raises ImportError without the extra."""
    # Before the import, which reads them.
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with _unwarned():
        return _start(command, options, beside.absolute(), uri)


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep back what MLflow's parts warn each other of: nobody at the terminal can do anything about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _start(command: str, options: Mapping[str, str], beside: Path, uri: str | None) -> MlflowRun:
    from mlflow import MlflowClient
    from mlflow.entities import Param, RunTag

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    place = uri or f"sqlite:///{beside / DATABASE}"
    scheme = urlsplit(place).scheme
    if not re.match(r"(sqlite|file|https?|databricks|postgresql|mysql|mssql)", scheme):
        do = "Give sqlite:///FILE, file:FOLDER or a server's http(s)://HOST:PORT"
        raise UserError("is no address that MLflow knows", where="--track-uri", got=_bare(place), do=do)
    if scheme == "file":
        # MLflow has put its file store aside in favour of SQLite, and refuses it without this word.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    _refuse_unwritable(place)
    try:
        client = MlflowClient(tracking_uri=place)
        run = client.create_run(_experiment(client, place), run_name=_name(command))
        key = str(run.info.run_id)
        client.log_batch(key, tags=[RunTag("command", command), RunTag("radboost", __version__)])
        for some in _batches([Param(name, text) for name, text in options.items()], OTHERS_A_CALL):
            client.log_batch(key, params=some)
    except ImportError:
        raise
    except Exception as error:  # what the store behind the client raises is its own: SQLAlchemy's, a server's
        got = _bare(str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
        do = "See that it may be written, or that the server answers"
        raise UserError("MLflow cannot log there", where=_bare(place), got=got, do=do) from error
    return MlflowRun(client, key, _bare(place))


def _experiment(client: MlflowClient, place: str) -> str:
    from mlflow.exceptions import MlflowException

    found: Any = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            # Beside the database: MLflow's own choice is a folder wherever the command happened to be called.
            folder = _database_folder(place)
            return str(client.create_experiment(EXPERIMENT, None if folder is None else (folder / ARTIFACTS).as_uri()))
        except MlflowException:
            # Another command may have made it in between.
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return str(found.experiment_id)


def _database_folder(place: str) -> Path | None:
    """Folder of a local database; None of any other place."""
    if not place.startswith("sqlite:///"):
        return None
    return Path(place.removeprefix("sqlite:///")).absolute().parent


def _refuse_unwritable(place: str) -> None:
    """Refuse a database that cannot be made: MLflow would try ten times, for minutes.

    Raises
    ------
    UserError
        Its folder cannot be made or written.
    """
    folder = _database_folder(place)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("cannot be made", where=folder, got=error.strerror, do="Choose another --track-uri") from error
    if not os.access(folder, os.W_OK):
        raise UserError("may not be written to", where=folder, do="Choose another --track-uri")


def _name(command: str) -> str:
    return f"{command} {datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S')}"


def _batches(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    for begin in range(0, len(items), size):
        yield list(items[begin : begin + size])


def _bare(text: str) -> str:
    """Leave user and password out of an address."""
    return re.sub(r"://[^/@\s]*@", "://", text)
