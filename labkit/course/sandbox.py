"""A sandbox for one question of one student: bubblewrap, limits, and a watch from outside.

Inside there is no network, nothing of the host but its Python and system libraries, read-only, a
small private /tmp, and a stage. Everything is killed as a whole, at the latest when the time is up.
What it does not promise: to hold against faults of the kernel; to hide which machine this is, where
its folders are, or what an answer is tried with, which it can print; to bound to the byte what
processes hold between two looks of the watch, or what the kernel itself keeps for them.
"""

import contextlib
import itertools
import os
import platform
import re
import select
import selectors
import shutil
import struct
import subprocess
import sys
import sysconfig
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
MOST_TASKS = 64
"""Processes and threads."""
ADDRESSES_MB = 6_000
"""Address space above the memory limit: torch maps much that it never touches."""
FILE_MB = 64
BARRED = {
    "x86_64": (
        *(0xC000003E, 9, 248, 249, 250, 29, 64, 68, 319, 447, 278),
        *(41, 53, 101, 310, 311, 438, 321, 298, 323, 425),
    ),
    "aarch64": (
        *(0xC00000B7, 222, 217, 218, 219, 194, 190, 186, 279, 447, 75),
        *(198, 199, 117, 270, 271, 438, 280, 241, 282, 425),
    ),
}
"""Of a machine: its number, that of mmap, and those of the calls of the kernel that are refused.
They reach the teacher's keys (add_key, request_key, keyctl), keep memory where no look finds it
(shmget, semget, msgget, memfd_create, memfd_secret, vmsplice), reach around the walls (socket,
socketpair), change bubblewrap itself (ptrace, process_vm_readv, process_vm_writev, pidfd_getfd), or
were ways out of sandboxes before (bpf, perf_event_open, userfaultfd, io_uring_setup). mmap may not
share memory that is no file's."""
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
    """Resident memory of all its processes, and its files."""


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
    used: dict[int, float] = field(default_factory=dict)
    """Seconds of processor time of each process that was seen."""


def is_available() -> bool:
    """Whether bubblewrap is here and can do all that is asked of it, and processes can be seen."""
    if platform.system() != "Linux":
        return False
    with tempfile.TemporaryFile() as rules:
        rules.write(refusals())
        rules.seek(0)
        tried = [*sealed(Path(__file__).parent, rules.fileno(), Limits()), "true"]
        try:
            done = subprocess.run(
                tried, capture_output=True, check=False, pass_fds=[rules.fileno()]
            )
        except OSError:
            return False
    return done.returncode == 0 and Path("/proc/thread-self/children").exists()


def refusals() -> bytes:
    """Return what bubblewrap gives the kernel: a program that refuses the calls of BARRED."""
    if platform.machine() not in BARRED:
        return b""
    number, mmap, *calls = BARRED[platform.machine()]
    load, equal, at_least, both, end = 0x20, 0x15, 0x35, 0x54, 0x06
    refused, shared_and_no_file = len(calls) + 9, 0x21
    steps = [(load, 0, 0, 4), (equal, 0, refused - 2, number)]  # calls as on this machine alone
    steps += [(load, 0, 0, 0), (at_least, refused - 4, 0, 0x40000000)]
    steps += [(equal, refused - at - 1, 0, call) for at, call in enumerate(calls, start=4)]
    steps += [(equal, 0, 3, mmap), (load, 0, 0, 40), (both, 0, 0, shared_and_no_file)]
    steps += [(equal, 1, 0, shared_and_no_file), (end, 0, 0, 0x7FFF0000), (end, 0, 0, 0x50001)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def command(stage: Path, result: int, rules: int, limits: Limits | None) -> list[str]:
    """Return the command that runs a stage; without limits the sandbox is left out."""
    place = Path("/stage") if limits else stage
    python = [sys.executable, "-s", "-B", str(place / "inside.py"), str(result)]
    return [*sealed(stage, rules, limits), *python] if limits else python


def sealed(stage: Path, rules: int, limits: Limits) -> list[str]:
    """Return the command that begins every command in a sandbox."""
    address = (limits.memory_mb + ADDRESSES_MB) << 20
    cores = 1  # byte, because 0 does not keep a core from a program that asks for all of them
    limited = [
        *("choom", "-n", "1000", "--", "prlimit", f"--as={address}", f"--fsize={FILE_MB << 20}"),
        *(f"--cpu={round(limits.seconds) + 5}", "--nofile=256", f"--core={cores}", "--"),
        shutil.which("bwrap") or "bwrap",
    ]
    closed = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    closed += ["--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"]
    closed += ["--cap-drop", "ALL", "--hostname", "sandbox"]
    closed += ["--seccomp", str(rules)] if refusals() else []
    mounted = ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/dev/null", "/dev/zero"]
    for folder in ("/tmp", "/dev/shm"):
        mounted += ["--size", str(FILE_MB << 20), "--tmpfs", folder]
    for prefix in dict.fromkeys(("/", "/usr", "/usr/local", sys.base_prefix, sys.prefix)):
        mounted += _libraries(prefix)
    if os.path.isdir(copy := os.path.join(sysconfig.get_path("purelib"), "labkit")):
        mounted += ["--tmpfs", copy, "--remount-ro", copy]  # an installed labkit, with its answers
    mounted += ["--ro-bind", str(stage), "/stage"]
    # In /proc root could change the kernel, and anybody the process that ends all others.
    mounted += [part for place in ("/proc", "/dev", "/") for part in ("--remount-ro", place)]
    mounted += ["--chdir", "/tmp"]
    named = [
        part
        for name, value in environment(Path("/stage")).items()
        for part in ("--setenv", name, value)
    ]
    return [*limited, *closed, *mounted, *named, "--"]


def _libraries(prefix: str) -> list[str]:
    """Mount what runs below a prefix, with its links; neither its settings nor its data."""
    mounted = []
    for name in ("bin", "lib", "lib64", "pyvenv.cfg", "etc/ld.so.cache"):
        path = os.path.join(prefix, name)
        if os.path.islink(path):
            mounted += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            mounted += ["--ro-bind", path, path]
    return mounted


def environment(stage: Path) -> dict[str, str]:
    """The whole environment of a run: nothing of the teacher's."""
    threads = ("OMP", "OPENBLAS", "MKL", "RAYON")
    fixed = {"PYTHONHASHSEED": "0", "TQDM_DISABLE": "1", "LABKIT_STATIC": "1", "HOME": "/tmp"}
    system = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(stage)}
    return {**system, **fixed, **{f"{name}_NUM_THREADS": "1" for name in threads}}


def run(request: bytes, stage: Path, limits: Limits | None) -> Outcome:
    """Run a stage on a request and return what came; raise CourseError if it never began.

    Without limits it runs outside any sandbox, for ever if it wants.
    """
    reading, writing = os.pipe()
    with (
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as rules,
        os.fdopen(reading, "rb", buffering=0) as results,
    ):
        for file, content in ((asked, request), (rules, refusals())):
            file.write(content)
            file.seek(0)
        try:
            process = subprocess.Popen(
                command(stage, writing, rules.fileno(), limits),
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writing, rules.fileno()],
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
    outcome, began, looked = Outcome(), time.monotonic(), 0.0
    assert process.stdout is not None
    log = process.stdout.fileno()
    with selectors.DefaultSelector() as waiting:
        for descriptor in (log, results):
            waiting.register(descriptor, selectors.EVENT_READ)
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
    seen = itertools.islice(descendants(process.pid), MOST_TASKS + 1)  # a bomb never ends
    looks = {pid: look for pid in seen if (look := look_at(pid))}
    for pid, look in looks.items():
        outcome.used[pid] = max(look.seconds, outcome.used.get(pid, 0))
    ended = sum(look.seconds_of_ended for look in looks.values())
    # Whichever is more: a process may end unseen, and one may end without its parent's knowledge.
    counted = max(sum(outcome.used.values()), sum(look.seconds for look in looks.values()) + ended)
    cpu = outcome.cpu_seconds = max(outcome.cpu_seconds, counted)
    held = sum(look.mb for look in looks.values()) + sum(map(files_mb, [*looks][1:2]))
    outcome.peak_mb = max(outcome.peak_mb, held)
    tasks = sum(look.threads for look in looks.values())
    reasons = {
        f"it took more than {limits.seconds:g} seconds of processor time": cpu > limits.seconds,
        f"it held more than {limits.memory_mb} MB of memory": held > limits.memory_mb,
        f"it ran more than {MOST_TASKS} processes and threads": tasks > MOST_TASKS,
        "it gave back more than 64 MB": len(outcome.lines) > MOST_RETURNED,
        "it did not end in time": outcome.seconds > WALL_FACTOR * limits.seconds + WALL_EXTRA,
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all below it, whichever of its threads began them."""
    waiting = [pid]
    for found in waiting:
        yield found
        with contextlib.suppress(OSError):  # it ended while we looked
            for path in Path(f"/proc/{found}/task").glob("*/children"):
                waiting += map(int, path.read_text().split())


def files_mb(pid: int) -> float:
    """Return the MB that files hold in the folders which a process in a sandbox may write to."""
    held = 0.0
    for folder in ("tmp", "dev/shm"):
        with contextlib.suppress(OSError):
            room = os.statvfs(f"/proc/{pid}/root/{folder}")
            if room.f_blocks * room.f_frsize == FILE_MB << 20:  # or it sees the host's folder still
                held += (room.f_blocks - room.f_bfree) * room.f_frsize / 1e6
                held += (room.f_files - room.f_ffree) / 1e3  # each costs the kernel a kilobyte
    return held


@dataclass(frozen=True)
class Look:
    """What a process uses."""

    seconds: float
    seconds_of_ended: float
    """Of its children that ended, as far as it knows."""
    mb: float
    threads: int


def look_at(pid: int) -> Look | None:
    """Look at a process; None if it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    mine, mine_too, ended, ended_too, *_, threads = map(int, after_name[11:18])
    held = map(int, re.findall(r"^(?:VmRSS|VmSwap|HugetlbPages):\s+(\d+)", status, re.MULTILINE))
    ticks = os.sysconf("SC_CLK_TCK")
    return Look((mine + mine_too) / ticks, (ended + ended_too) / ticks, sum(held) / 1e3, threads)
