"""Leave in good order: the first signal lets a piece of work be finished, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

__all__ = ["Patience"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Patience:
    """While the block runs, SIGINT and SIGTERM only ask; whoever works looks at `asked` and leaves where it suits.

    A second signal raises KeyboardInterrupt. Outside the main thread, where Python delivers no
    signals, nothing changes.

    Parameters
    ----------
    tell
        Called once, when the first signal comes.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.asked = False
        self._tell = tell
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Patience:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._tell()
