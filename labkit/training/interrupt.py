"""Ctrl-C and SIGTERM that wait until a step is done and saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and has saved; the message says how to go on."""


@contextmanager
def postponed(active: bool) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C or SIGTERM came; a second one acts at once.

    Does nothing unless `active`, nor outside the main thread, where Python allows no handler.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    if not active or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    former = [signal.signal(number, note) for number in signals]
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in zip(signals, former, strict=True):
            signal.signal(number, handler)
