"""What a measurement is, and how processor time is taken."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One row of the recording."""

    name: str
    """What was measured."""
    value: float
    """The number."""
    unit: str
    """Its unit; empty for a pure number."""
    setting: str
    """On what, and how."""


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """Return a result and the CPU-seconds that it took."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started
