"""What the cells of every chapter share: one set-up, claims that can fail, agreement, live source.

A chapter begins with `chapter = setup("12", cpu_seconds=60)` before anything imports torch, and
ends with `chapter.finish()`. In between, a sentence that states a fact stands beside a `claim`, two
programs for the same mathematics are joined by `same`, and `show` prints the code that runs.
"""

import inspect
import os
import sys
import textwrap
import time
from dataclasses import dataclass
from typing import Any

LONGEST_SHOWN = 30
BUDGET_FACTOR = 3


def is_static() -> bool:
    """Whether outputs are being stored or tested (`LABKIT_STATIC=1`) instead of read live."""
    return os.environ.get("LABKIT_STATIC", "") == "1"


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter in progress, with the processor time it promised to need."""

    number: str
    """Part digit and chapter digit, such as "12"."""
    cpu_seconds: float
    """Declared need of processor time on a laptop, in seconds."""
    started: float
    """`time.process_time()` at set-up, in seconds."""

    def finish(self) -> None:
        """Say that the chapter kept its promise; raise RuntimeError above three times of it."""
        used = time.process_time() - self.started
        bound = BUDGET_FACTOR * self.cpu_seconds
        if used > bound:
            raise RuntimeError(
                f"chapter {self.number} promised {self.cpu_seconds:g} CPU-seconds and used "
                f"{used:.0f}, more than {BUDGET_FACTOR} times that: make it lighter or promise more"
            )
        if path := os.environ.get("LABKIT_TIMES"):  # of whoever executes the notebook
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{self.number},{used:.1f}\n")
        print(
            f"Chapter {self.number} ran within {BUDGET_FACTOR} × its {self.cpu_seconds:g} "
            "CPU-seconds."
        )


def setup(number: str, *, cpu_seconds: float) -> Chapter:
    """Choose the threads for this process and start the chapter's clock.

    One thread while outputs are stored or tested, so that sums round alike on every run; all cores
    otherwise, waiting passively: threads that spin on two shared cores are many times slower.

    Raises RuntimeError if torch is already imported: the choice would come too late.
    """
    policy = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    if is_static():
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        policy |= dict.fromkeys(names, "1") | {"TQDM_DISABLE": "1"}
    chosen = all(os.environ.get(name) == value for name, value in policy.items())
    if "torch" in sys.modules and not chosen:
        raise RuntimeError(
            "torch is already imported, so its threads can no longer be chosen: "
            "restart the kernel and run the set-up cell first"
        )
    os.environ.update(policy)
    return Chapter(number=number, cpu_seconds=cpu_seconds, started=time.process_time())


def claim(text: str, condition: Any) -> None:
    """Print a sentence that has just been checked; raise AssertionError if it is not true.

    >>> claim("two and two make four", 2 + 2 == 4)
    ✓ two and two make four
    """
    if not bool(condition):
        raise AssertionError(
            f"not true here: {text}. If you changed something above, you have found out what the "
            "claim depends on; if you did not, please report it"
        )
    print(f"✓ {text}")


@dataclass(frozen=True)
class Difference:
    """How far two arrays are apart."""

    largest: float
    """The largest absolute difference; 0.0 when exactly equal, inf when shapes or text differ."""
    where: str
    """A sentence that names the worst element and both values; empty when exactly equal."""

    def within(self, tolerance: float) -> bool:
        """Whether no element is further off than `tolerance`."""
        return self.largest <= tolerance


def compare(mine: Any, theirs: Any) -> Difference:
    """Find the worst element between two arrays, tensors, numbers, strings or nested lists."""
    import numpy as np

    if _is_plain(mine) or _is_plain(theirs):
        try:
            equal = type(mine) is type(theirs) and bool(mine == theirs)
        except ValueError:  # a table with arrays in it, which == cannot answer
            equal = False
        return Difference(0.0, "") if equal else Difference(float("inf"), f"{mine!r} ≠ {theirs!r}")
    try:
        a, b = _as_array(mine), _as_array(theirs)
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises the last
        return Difference(float("inf"), f"not an array of numbers: {error}")
    if a.shape != b.shape:
        return Difference(float("inf"), f"shape {a.shape} ≠ shape {b.shape}")
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    if equal.all():
        return Difference(0.0, "")
    with np.errstate(invalid="ignore"):
        gap = np.where(equal, 0.0, np.abs(a - b))
    gap = np.where(np.isnan(gap), np.inf, gap)
    worst = np.unravel_index(int(gap.argmax()), gap.shape)
    place = f" at {tuple(int(i) for i in worst)}" if worst else ""
    return Difference(float(gap[worst]), _unequal(float(a[worst]), float(b[worst])) + place)


def _unequal(a: float, b: float) -> str:
    """Write two numbers with as many digits as it takes to see that they differ."""
    short = f"{a:.6g}", f"{b:.6g}"
    return " ≠ ".join(short) if short[0] != short[1] else f"{a!r} ≠ {b!r}"


def _is_plain(value: Any) -> bool:
    """Whether a value is compared with == instead of number by number."""
    if isinstance(value, (list, tuple)):
        return any(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, bytes, dict, set))


def _as_array(value: Any) -> Any:
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected numbers, got {array.dtype}")
    return array.astype(np.float64)


def same(mine: Any, theirs: Any, within: float = 1e-6) -> None:
    """Print that two results agree, and how closely; raise AssertionError with the worst element.

    Only the tolerance that was asked for is printed, never the difference that was met, because
    the last digits differ between machines. `within=0` asks for exact equality.

    >>> same([1.0, 2.0], [1.0, 2.0 + 1e-9])
    same: within 1e-06 everywhere
    """
    difference = compare(mine, theirs)
    if not difference.within(within):
        raise AssertionError(
            f"not the same: {difference.where}; largest difference {difference.largest:.3g}, "
            f"allowed {within:g}"
        )
    print("same: exactly" if within == 0 else f"same: within {within:g} everywhere")


def show(thing: Any) -> None:
    """Display the source of a function or class as it runs now.

    Raises ValueError above 30 lines: what is longer cannot be read in passing, so show a part.
    """
    from IPython.display import display

    source = textwrap.dedent(inspect.getsource(thing)).rstrip()
    lines = source.count("\n") + 1
    if lines > LONGEST_SHOWN:
        raise ValueError(
            f"{thing.__qualname__} has {lines} lines, and at most {LONGEST_SHOWN} are shown at "
            "once: show one of its methods, or a helper it calls"
        )
    where = f"{thing.__module__}.{thing.__qualname__}"
    bundle = {"text/markdown": f"`{where}`\n```python\n{source}\n```", "text/plain": source}
    display(bundle, raw=True)
