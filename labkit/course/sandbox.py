"""A sandbox for one question of one student: bubblewrap, limits, and a watch from outside.

Inside there is no network, nothing of the host but its Python and system libraries, read-only, a
small private /tmp, and a stage. Everything is killed as a whole, at the latest when the time is up.
What it does not promise: to hold against faults of the kernel, to hide which machine this is, or to
bound to the byte what many processes hold between two looks of the watch.
"""

import os
import select
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labkit.course import CourseError

TICK = 0.02
"""Seconds between two looks of the watch."""
WALL_FACTOR, WALL_EXTRA = 4, 10
"""A busy machine may take so many times the processor time, and so many seconds more."""
KEPT_LOG = 20_000
"""Bytes of what an answer prints that are kept; it may print more."""
MOST_RETURNED = 64_000_000
"""Bytes that may come back."""
MOST_PROCESSES = 64
ADDRESSES_MB = 6_000
"""Address space above the memory limit: torch maps much that it never touches."""
FILE_MB = 64
MISSING = (
    "no sandbox here: answers are run in bubblewrap, which is Linux's (Debian: apt-get install "
    "bubblewrap). On macOS and Windows grade in the container of docs/teaching.md. "
    "--trust-submissions runs them as you, with all you may read and write"
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a question may use."""

    seconds: float = 10
    """Processor time of all its processes."""
    memory_mb: int = 1024
    """Resident memory of all its processes."""


@dataclass
class Outcome:
    """What came of a run."""

    lines: bytearray = field(default_factory=bytearray)
    """What came back, one JSON value a line, as forgeable as all that an answer can do."""
    log: bytearray = field(default_factory=bytearray)
    """The beginning of what was printed."""
    stopped: str = ""
    """Why it was killed, in words, or empty."""
    seconds: float = 0
    """Wall time."""
    cpu_seconds: float = 0
    peak_mb: float = 0


def is_available() -> bool:
    """Whether bubblewrap is here and may make its namespaces."""
    bubblewrap = shutil.which("bwrap")
    if not bubblewrap:
        return False
    tried = [bubblewrap, "--unshare-all", "--ro-bind", "/", "/", "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def command(stage: Path, result: int, limits: Limits | None) -> list[str]:
    """Return the command that runs a stage; without limits the sandbox is left out."""
    place = Path("/stage") if limits else stage
    python = [sys.executable, "-s", "-B", str(place / "inside.py"), str(result)]
    if not limits:
        return python
    address = (limits.memory_mb + ADDRESSES_MB) << 20
    limited = [
        *("choom", "-n", "1000", "--", "prlimit", f"--as={address}", f"--fsize={FILE_MB << 20}"),
        *(f"--cpu={round(limits.seconds) + 5}", "--nofile=256", "--core=0", "--", "bwrap"),
    ]
    closed = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    closed += ["--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"]
    closed += ["--cap-drop", "ALL", "--hostname", "sandbox"]
    mounted = [part for name in ("usr", "lib", "lib64", "bin") for part in _system(f"/{name}")]
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)):
        mounted += ["--ro-bind", prefix, prefix]
    mounted += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(stage), "/stage"]
    for folder in ("/tmp", "/dev/shm"):
        mounted += ["--size", str(FILE_MB << 20), "--tmpfs", folder]
    mounted += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    named = [
        part for name, value in environment(place).items() for part in ("--setenv", name, value)
    ]
    return [*limited, *closed, *mounted, *named, "--", *python]


def _system(folder: str) -> list[str]:
    """Mount a folder of the system as it is, which may be a link to another."""
    if os.path.islink(folder):
        return ["--symlink", os.readlink(folder), folder]
    return ["--ro-bind", folder, folder] if os.path.isdir(folder) else []


def environment(stage: Path) -> dict[str, str]:
    """The whole environment of a run: nothing of the teacher's."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    fixed = {"PYTHONHASHSEED": "0", "TQDM_DISABLE": "1", "LABKIT_STATIC": "1", "HOME": "/tmp"}
    system = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(stage)}
    return {**system, **fixed, **dict.fromkeys(threads, "1")}


def run(request: bytes, stage: Path, limits: Limits | None) -> Outcome:
    """Run a stage on a request and return what came; raise CourseError if it never began.

    Without limits it runs outside any sandbox, for ever if it wants.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as asked, os.fdopen(reading, "rb", buffering=0) as results:
        asked.write(request)
        asked.seek(0)
        try:
            process = subprocess.Popen(
                command(stage, writing, limits),
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                env=environment(stage if not limits else Path("/stage")),
                cwd=stage,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            outcome = watch(process, results.fileno(), limits)
        finally:
            kill(process)
    if b'{"ready": true}\n' not in outcome.lines[:64]:
        said = outcome.log.decode("utf-8", "replace").strip()[-500:]
        raise CourseError(f"the sandbox did not begin, so nothing was graded: {said}")
    return outcome


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it began, and wait for the end."""
    if os.name == "posix" and process.poll() is None:
        os.killpg(process.pid, 9)
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def watch(process: subprocess.Popen[bytes], results: int, limits: Limits | None) -> Outcome:
    """Read what a run prints and returns until it ends, or until it must be stopped."""
    outcome, began = Outcome(), time.monotonic()
    assert process.stdout is not None
    log = process.stdout.fileno()
    with selectors.DefaultSelector() as waiting:
        for descriptor in (log, results):
            waiting.register(descriptor, selectors.EVENT_READ)
        looked = 0.0
        while waiting.get_map() and not outcome.stopped:
            for key, _ in waiting.select(TICK):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    waiting.unregister(key.fd)
                elif key.fd == results:
                    outcome.lines += data
                else:
                    outcome.log += data[: KEPT_LOG - len(outcome.log)]
            if time.monotonic() - looked > TICK:
                looked = time.monotonic()
                outcome.seconds = looked - began
                outcome.stopped = judge(outcome, process, limits) if limits else ""
            if process.poll() is not None and not select.select([results], [], [], 0)[0]:
                break
    outcome.seconds = time.monotonic() - began
    return outcome


def judge(outcome: Outcome, process: subprocess.Popen[bytes], limits: Limits) -> str:
    """Note what a run uses; return why it must be stopped, or an empty text."""
    looks = [look for pid in descendants(process.pid) if (look := look_at(pid))]
    cpu = sum(look[0] for look in looks)
    held = sum(look[1] for look in looks)
    outcome.cpu_seconds = max(outcome.cpu_seconds, cpu)
    outcome.peak_mb = max(outcome.peak_mb, held)
    reasons = {
        f"it took more than {limits.seconds:g} seconds of processor time": cpu > limits.seconds,
        f"it held more than {limits.memory_mb} MB of memory": held > limits.memory_mb,
        f"it ran more than {MOST_PROCESSES} processes": len(looks) > MOST_PROCESSES,
        "it gave back more than 64 MB": len(outcome.lines) > MOST_RETURNED,
        "it did not end in time": outcome.seconds > WALL_FACTOR * limits.seconds + WALL_EXTRA,
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all below it, whichever of its threads began them."""
    yield pid
    try:
        below = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it ended while we looked
        return
    for child in " ".join(below).split():
        yield from descendants(int(child))


def look_at(pid: int) -> tuple[float, float] | None:
    """Return a process's seconds of processor time, with its dead children's, and its MB.

    Files that live in memory count as well.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        files = [
            path for path in Path(f"/proc/{pid}/fd").iterdir() if "memfd:" in os.readlink(path)
        ]
        held = sum(path.stat().st_blocks * 512 for path in files)
    except (OSError, IndexError):  # it ended while we looked
        return None
    ticks = sum(map(int, after_name[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK"), (held + pages * os.sysconf("SC_PAGE_SIZE")) / 1e6
