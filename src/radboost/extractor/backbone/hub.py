"""Pretrained weights: the local cache first, the network only when it answers."""

from __future__ import annotations

import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from radboost.errors import WeightsError

__all__ = ["with_pretrained"]

T = TypeVar("T")
PATIENCE_S = 3.0

_FAILURES = (OSError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, urllib.error.URLError)


def with_pretrained(name: str, build: Callable[[], T]) -> T:
    """Build a network whose weights come through the hub.

    Parameters
    ----------
    name
        The backbone, for the message.
    build
        Builds it; called with the hub offline, then, where that does not do and the hub answers, online.

    Raises
    ------
    WeightsError
        The weights are neither cached nor to be had.
    """
    try:
        with _offline():
            return build()
    except _FAILURES as error:
        reason: Exception = error
    # Without this probe the hub's client goes on asking a dead network for the better part of a minute.
    if not constants.HF_HUB_OFFLINE and _answers(str(constants.ENDPOINT)):
        try:
            return build()
        except _FAILURES as error:
            reason = error
    raise WeightsError(
        "pretrained weights are neither in the hub cache nor to be had from the network",
        where=name,
        got=str(reason).splitlines()[0][:160] if str(reason) else type(reason).__name__,
        do="Give --checkpoint FILE, fill the hub cache on a machine with a network and copy it here, "
        "or take untrained weights with --random-init SEED",
    ) from reason


@contextmanager
def _offline() -> Iterator[None]:
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers(endpoint: str) -> bool:
    if urllib.request.getproxies():
        return True  # only the proxy can tell
    address = urllib.parse.urlsplit(endpoint)
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=PATIENCE_S):
            return True
    except OSError:
        return False
