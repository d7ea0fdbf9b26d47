"""What `labkit doctor` says about a machine.

Each check is a pure function from facts to a `Finding`; `examine` gathers the facts from
`workbench.machine`. What would stop a chapter is a `FAIL`; what costs speed, pictures or comfort
is a `WARN`.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from workbench import machine
from workbench.machine import Torch

OLDEST_PYTHON = (3, 11)
GIGABYTE = 10**9
SET_UP_AGAIN = "run `make lab` again, or `pip install -r requirements.lock -e .` in your own one"


class Status(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


OK, WARN, FAIL = Status


@dataclass(frozen=True)
class Finding:
    """What one check looked at, how bad it is, what it found and, unless it is OK, what to do."""

    name: str
    status: Status
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        """Lay the finding out for a terminal."""
        advice = f"\n{'':21}→ {self.advice}." if self.advice else ""
        return f"{self.status.value:<5}{self.name:<16}{self.sentence}.{advice}"


def check_python(version: Sequence[int]) -> Finding:
    """Is Python new enough?"""
    found, oldest = (".".join(map(str, part)) for part in (version[:3], OLDEST_PYTHON))
    if tuple(version[:2]) < OLDEST_PYTHON:
        advice = f"install Python {oldest} or newer and set the course up with it"
        return Finding("Python", FAIL, f"Python {found} is older than {oldest}", advice)
    return Finding("Python", OK, f"Python {found}")


def check_packages(needs: Sequence[str], installed: Mapping[str, str]) -> Finding:
    """Is every package that labkit needs there, in a version it can use?

    `needs` holds requirements such as "numpy>=2.1"; `installed` maps normalised names to versions.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wrong = []
    for need in map(Requirement, needs):
        version = installed.get(canonicalize_name(need.name))
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        if version is None:
            wrong.append(f"{need.name} is missing")
        elif not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{need.name} {version} is not {need.specifier}")
    if wrong:
        return Finding("packages", FAIL, ", ".join(wrong), SET_UP_AGAIN)
    return Finding("packages", OK, f"all {len(needs)} packages that labkit needs are there")


def check_torch(torch: Torch | str, pinned: str | None) -> Finding:
    """Does torch start, compute, and have the version that the stored outputs were made with?

    `torch` is the reason as text where it did not start.
    """
    if isinstance(torch, str):
        return Finding("torch", FAIL, f"torch does not start: {torch}", SET_UP_AGAIN)
    told = f"torch {torch.version}"
    if not torch.works:
        return Finding("torch", FAIL, f"{told} multiplies two matrices wrongly", SET_UP_AGAIN)
    if pinned not in (None, torch.version.partition("+")[0]):
        told = f"{told} works, but the chapters were tested with {pinned}"
        return Finding("torch", WARN, told, SET_UP_AGAIN)
    return Finding("torch", OK, f"{told} works")


def check_threads(torch: Torch | str, processors: float, chosen: str | None) -> Finding:
    """Does torch use as many threads as there are processors to run them?

    `processors` counts what this process may use, quotas included; `chosen` is OMP_NUM_THREADS.
    """
    if isinstance(torch, str):
        sentence = f"{processors:g} processors; torch did not say how many it uses"
        return Finding("threads", WARN, sentence, "mend torch first")
    sentence = f"torch computes with {torch.threads} threads on {processors:g} processors"
    if torch.threads > max(1.0, processors):
        advice = f"set OMP_NUM_THREADS={max(1, int(processors))}: threads that wait for each other "
        return Finding("threads", WARN, sentence, advice + "make training many times slower")
    if chosen and torch.threads < processors / 2:
        advice = f"it was told so by OMP_NUM_THREADS={chosen}; unset that to use them all"
        return Finding("threads", WARN, sentence, advice)
    return Finding("threads", OK, sentence)


def check_disk(free: int) -> Finding:
    """Is there room for data, notebooks and checkpoints? `free` is in bytes."""
    told = f"{free / GIGABYTE:.1f} GB free"
    if free < GIGABYTE // 5:
        return Finding("disk", FAIL, told, "make room: a chapter needs up to 0.2 GB")
    if free < 2 * GIGABYTE:
        return Finding("disk", WARN, told, "make room: the whole course needs up to 2 GB")
    return Finding("disk", OK, told)


def check_cache(folder: Path, problem: str | None) -> Finding:
    """Can datasets be kept? `problem` says why nothing can be written there."""
    if problem:
        advice = "set LABKIT_DATA to a folder that you can write to"
        return Finding("cache folder", FAIL, f"{folder} cannot be used: {problem}", advice)
    return Finding("cache folder", OK, f"datasets are kept in {folder}")


def check_index(answers: Mapping[str, str | None], missing: Sequence[str]) -> Finding:
    """Can the datasets be had, from the package index or from the cache?

    `answers` maps each index's host to what went wrong there (None if it answered); `missing`
    names the datasets that are not cached yet.
    """
    reached = [host for host, problem in answers.items() if problem is None]
    if reached:
        return Finding("package index", OK, f"{reached[0]} answers")
    tried = ", ".join(f"{host} ({problem})" for host, problem in answers.items())
    sentence = f"no package index answers: {tried}" if tried else "pip is set to use no index"
    if missing:
        advice = f"connect this machine or set PIP_INDEX_URL, to fetch {', '.join(missing)}"
        return Finding("package index", FAIL, sentence, advice)
    advice = "nothing, while the datasets stay cached as they are"
    return Finding("package index", WARN, sentence, advice)


def check_fonts(has_chinese: bool) -> Finding:
    """Can pictures show Chinese characters?"""
    if has_chinese:
        return Finding("fonts", OK, "there is a font for Chinese")
    advice = "install one, on Debian or Ubuntu with `sudo apt install fonts-noto-cjk`"
    return Finding("fonts", WARN, "no font for Chinese: pictures will show boxes", advice)


def check_pictures(chromium: str | None, playwright: bool) -> Finding:
    """Can pictures be stored as PNG? Reading the chapters does not need it."""
    if chromium and playwright:
        return Finding("static pictures", OK, f"drawn by {chromium}")
    lacking, command = "Chromium", "on Debian with `sudo apt install chromium`"
    if chromium:
        lacking, command = "playwright", "with `pip install playwright`"
    sentence = f"no {lacking}: `make notebooks` and `make test` cannot draw pictures"
    advice = f"install it {command}; reading needs none of it"
    return Finding("static pictures", WARN, sentence, advice)


def check_gpu(torch: Torch | str, has_driver: bool) -> Finding:
    """Which GPU can be used? None is needed. `has_driver` tells of an NVIDIA card."""
    if isinstance(torch, Torch) and torch.gpus:
        return Finding("GPU", OK, f"CUDA on {', '.join(torch.gpus)}")
    if isinstance(torch, Torch) and torch.mps:
        return Finding("GPU", OK, "Apple GPU, through MPS")
    if has_driver:
        advice = "install a CUDA build of torch to use it; no chapter needs it"
        return Finding("GPU", WARN, "there is an NVIDIA card that torch cannot use", advice)
    return Finding("GPU", OK, "none, and none is needed: chapters run on the processor")


def look_at_packages() -> Iterator[Finding]:
    """Compare what labkit says it needs with what is installed."""
    needs = [need for need in metadata.requires("labkit") or [] if "extra ==" not in need]
    yield check_packages(needs, machine.installed_packages())


def look_at_data() -> Iterator[Finding]:
    """Look at the cache folder, and for the datasets that it lacks at the package index."""
    from labkit.datasets import cache_folder, read_registry

    folder = cache_folder()
    sources = {name: entry.source for name, entry in read_registry().items()}
    indexed = {name: source for name, source in sources.items() if source and source.project}
    missing = [
        name
        for name, source in indexed.items()
        if not machine.holds(folder / name / source.file, source.sha256)
    ]
    answers = machine.ask_indexes(next(str(source.project) for source in indexed.values()))
    yield check_cache(folder, machine.writing_problem(folder))
    yield check_index(answers, missing)


def look_at_pictures() -> Iterator[Finding]:
    """Look for what draws static pictures."""
    from labkit.chromium import find_chromium

    yield check_pictures(find_chromium(), importlib.util.find_spec("playwright") is not None)


def attempt(name: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a look finds; where labkit or its data stop it, that is the finding."""
    try:
        return list(look())
    except ImportError as error:
        return [Finding(name, FAIL, f"labkit is not installed whole: {error}", SET_UP_AGAIN)]
    except RuntimeError as error:  # a DatasetError says what is wrong and what to do
        return [Finding(name, FAIL, str(error), "mend that")]


def examine(root: Path) -> list[Finding]:
    """Gather the facts about this machine and check them; `root` is the repository's folder."""
    torch = machine.ask_torch()
    return [
        check_python(sys.version_info[:3]),
        *attempt("packages", look_at_packages),
        check_torch(torch, machine.pinned_version(root / "requirements.lock", "torch")),
        check_threads(torch, machine.usable_processors(), os.environ.get("OMP_NUM_THREADS")),
        check_disk(shutil.disk_usage(root).free),
        *attempt("datasets", look_at_data),
        check_fonts(machine.has_chinese_font()),
        *attempt("static pictures", look_at_pictures),
        check_gpu(torch, shutil.which("nvidia-smi") is not None),
    ]


def report(root: Path) -> int:
    """Print every finding; return 1 if one of them would stop a chapter, else 0."""
    findings = examine(root)
    for finding in findings:
        print(finding)
    failed = sum(finding.status is FAIL for finding in findings)
    print(f"{failed} of these would stop a chapter." if failed else "Every chapter can run here.")
    return 1 if failed else 0
