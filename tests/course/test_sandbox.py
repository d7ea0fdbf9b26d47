"""What a sandbox lets in, what it stops, and what it says when it cannot begin."""

import itertools
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.course import CourseError, sandbox
from labkit.course.sandbox import BARRED, Limits, Outcome, is_available, refusals, run
from tests.course.small import needs_sandbox, survivors

HERE = Path(sandbox.__file__).parent


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage without labkit, which is all that most of these need."""
    folder = tmp_path_factory.mktemp("stage")
    for name in ("inside.py", "values.py"):
        shutil.copy(HERE / name, folder)
    return folder


def asking(source: str, *cases: str, name: str = "f") -> bytes:
    return json.dumps({"cells": [source], "name": name, "cases": cases or ["[1]"]}).encode()


def tried(stage: Path, source: str, seconds: float = 5, memory_mb: int = 300) -> Outcome:
    return run(asking(source), stage, Limits(seconds=seconds, memory_mb=memory_mb))


def answered(outcome: Outcome) -> list[dict[str, Any]]:
    """The lines that came, without the first."""
    return [json.loads(line) for line in bytes(outcome.lines).splitlines()[1:]]


@needs_sandbox
def test_every_case_is_answered_in_turn(stage: Path) -> None:
    source = "print('hello')\ndef f(x, y):\n    print(x)\n    return [y, x]"
    outcome = run(asking(source, "[1, 2]", '["a", null]'), stage, Limits())
    assert answered(outcome) == [{"case": 0, "value": [2, 1]}, {"case": 1, "value": [None, "a"]}]
    assert outcome.log == b"hello\n1\na\n"
    assert outcome.stopped == ""
    assert 0 < outcome.peak_mb < 300
    assert outcome.seconds > 0


@needs_sandbox
@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("f = 1", "TypeError: 'int' object is not callable"),
        ("g = 1", "no such function"),
        ("def f(x): raise NotImplementedError()", "not written yet"),
        ("def f(x): raise NotImplementedError('later')", "later"),
        ("def f(x): raise KeyError(x)", "KeyError: 1"),
        ("def f(x): return object", "something"),
        ("def f(x): exit(1)", "SystemExit: 1"),
        ("def f(x): return lambda: 0", "TypeError: expected something that can be found by name"),
    ],
)
def test_what_goes_wrong_is_told(stage: Path, source: str, error: str) -> None:
    (said,) = answered(tried(stage, source))
    if error == "something":
        assert said == {"case": 0, "value": {"!": "named", "of": "builtins:object"}}
    else:
        assert str(said["error"]).startswith(error)


@needs_sandbox
def test_a_cell_that_fails_does_not_keep_the_next_from_running(stage: Path) -> None:
    request = {"cells": ["1 / 0", "raise SystemExit", "def f(): return 1"], "name": "f"}
    outcome = run(json.dumps({**request, "cases": ["[]"]}).encode(), stage, Limits())
    assert answered(outcome) == [{"case": 0, "value": 1}]
    assert b"ZeroDivisionError" in outcome.log


@needs_sandbox
def test_what_notebooks_offer_is_there_and_does_nothing(stage: Path) -> None:
    source = "display(1)\nget_ipython().run_line_magic('time', '')\ndef f(x): return check.f(x)"
    assert answered(tried(stage, source)) == [{"case": 0, "value": 1}]


@needs_sandbox
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("while True: pass", "it took more than 0.5 seconds of processor time"),
        ("x = bytearray(b'x') * (1 << 28)", "it held more than 100 MB of memory"),
        (
            "import threading, time\nfor _ in range(99): threading.Thread(target=time.sleep, "
            "args=(99,)).start()\ntime.sleep(99)",
            "it ran more than 64 processes and threads",
        ),
        ("import os, sys\nwhile 1: os.write(int(sys.argv[1]), b'x' * 65536)", "it gave back more"),
    ],
)
def test_an_answer_that_takes_too_much_is_stopped(stage: Path, source: str, reason: str) -> None:
    assert tried(stage, source, 0.5, 100).stopped.startswith(reason)


def test_processes_that_multiply_while_they_are_counted_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "descendants", itertools.count)
    monkeypatch.setattr(sandbox, "look_at", lambda pid: sandbox.Look(0, 0, 0, 1))
    monkeypatch.setattr(sandbox, "files_mb", lambda pid: 0)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        stopped = sandbox.judge(Outcome(), process, Limits())
    assert stopped == "it ran more than 64 processes and threads"


def test_a_process_that_ends_while_it_is_looked_at_stops_no_grading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(folder: Path, pattern: str) -> Iterator[Path]:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(Path, "glob", ended)
    assert list(sandbox.descendants(7)) == [7]


@needs_sandbox
def test_an_answer_that_waits_is_stopped(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "WALL_EXTRA", 1)
    source = "import time\ndef f(x):\n    print(x, flush=True)\n    time.sleep(1e6)"
    outcome = tried(stage, source, 0.5)
    assert outcome.stopped == "it did not end in time"
    assert outcome.log == b"1\n"


@needs_sandbox
def test_the_time_of_children_that_nobody_waits_for_counts(stage: Path) -> None:
    source = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    if not os.fork():
        while time.process_time() < 0.2: pass
        os._exit(0)
    try: os.wait()  # which returns when all have ended, and learns nothing of them
    except ChildProcessError: pass
"""
    assert tried(stage, source, 1).stopped.startswith("it took more than 1 seconds")


@needs_sandbox
@pytest.mark.parametrize(
    "source",
    [
        "for n in range(3): open(f'/tmp/{n}', 'wb').write(bytes(20 << 20))\ntime.sleep(99)",
        "open('/dev/shm/x', 'wb').write(bytes(60 << 20))\ntime.sleep(99)",
        "for n in iter(range(1 << 40).__iter__().__next__, -1): os.mknod(f'/tmp/{n}')",
    ],
)
def test_files_count_as_memory_and_empty_ones_too(stage: Path, source: str) -> None:
    outcome = tried(stage, f"import os, time\n{source}", memory_mb=60)
    assert outcome.stopped == "it held more than 60 MB of memory"


@needs_sandbox
def test_what_was_answered_before_the_end_comes_back(stage: Path) -> None:
    source = "def f(x):\n    while x > 1: pass\n    return x"
    outcome = run(asking(source, "[0]", "[1]", "[2]", "[0]"), stage, Limits(seconds=0.5))
    assert answered(outcome) == [{"case": 0, "value": 0}, {"case": 1, "value": 1}]
    assert outcome.stopped


@needs_sandbox
def test_the_log_is_cut_and_the_answer_still_counts(stage: Path) -> None:
    outcome = tried(stage, "def f(x):\n    for _ in range(99): print('猫' * 9999)\n    return x")
    assert answered(outcome) == [{"case": 0, "value": 1}]
    assert len(outcome.log) == sandbox.KEPT_LOG


@needs_sandbox
def test_a_sandbox_holds_python_its_libraries_a_stage_and_nothing_else(stage: Path) -> None:
    source = """
import os, pathlib, sys
def f(x): return [sorted(os.listdir('/')), sorted(os.listdir('/stage')), dict(os.environ),
    sorted(os.listdir(sys.prefix)), os.getcwd(), os.listdir('/tmp')]
"""
    (said,) = answered(tried(stage, source))
    root, on_stage, environ, prefix, where, own = said["value"]
    tops = {Path(place).parts[1] for place in (sys.prefix, sys.base_prefix)}
    assert {*root} <= {"usr", "bin", "lib", "lib64", "etc", "proc", "dev", "tmp", "stage"} | tops
    assert on_stage == ["inside.py", "values.py"]
    named = {pair[0]: pair[1] for pair in environ["of"]}
    assert set(named) - {"PWD", "LC_CTYPE"} == set(sandbox.environment(stage))
    assert {*prefix} <= {"bin", "lib", "lib64", "pyvenv.cfg", "etc"}
    assert where == "/tmp"
    assert {*own} <= {
        Path(place).parts[2] for place in (sys.prefix, sys.base_prefix) if place.startswith("/tmp/")
    }


@needs_sandbox
def test_only_two_folders_can_be_written_to_and_nothing_of_the_kernel(stage: Path) -> None:
    source = """
import os
def can_be_opened(path):
    try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CREAT))
    except OSError: return False
    return True
def f(x):
    places = [line.split()[4] for line in open('/proc/self/mountinfo')]
    folders = {place for place in places if os.path.isdir(place)}
    files = [os.path.join(folder, name) for top in ('/proc/sys', '/proc/self', '/proc/1', '/stage')
        for folder, _, names in os.walk(top) if folder[-3:] != '/fd' for name in names]
    return [sorted(place for place in folders if can_be_opened(f'{place}/new')),
        len(files) > 500, [path for path in files if can_be_opened(path)]]
"""
    assert answered(tried(stage, source)) == [
        {"case": 0, "value": [["/dev/shm", "/tmp"], True, []]}
    ]


@needs_sandbox
def test_a_sandbox_makes_no_other_in_which_it_may_more(stage: Path) -> None:
    source = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(x):
    user, files = libc.unshare(0x10000000), libc.unshare(0x00020000)
    return [user, files, libc.mount(0, b'/tmp', b'tmpfs', 0, 0)]
"""
    assert answered(tried(stage, source)) == [{"case": 0, "value": [-1, -1, -1]}]


@needs_sandbox
@pytest.mark.skipif(platform.machine() not in BARRED, reason="no calls are refused on this machine")
def test_calls_that_reach_around_the_walls_are_refused(stage: Path) -> None:
    _, _, *calls = BARRED[platform.machine()]
    source = f"""
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
def f(x): return [[libc.syscall(n, 0, 0, 0, 0, 0, 0), ctypes.get_errno()] for n in {calls}]
mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE)[:] = bytes(1 << 20)
mmap.mmap(-1, 1 << 20)
"""
    outcome = tried(stage, source)
    assert answered(outcome) == [{"case": 0, "value": [[-1, 1]] * len(calls)}]
    assert b"line 6" in outcome.log
    assert b"PermissionError: [Errno 1]" in outcome.log


def test_the_refusals_are_a_program_whose_jumps_stay_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for machine, (number, mmap, *calls) in BARRED.items():
        monkeypatch.setattr(platform, "machine", lambda name=machine: name)
        steps = list(struct.iter_unpack("=HBBI", refusals()))
        ends = {at: value for at, (code, _, _, value) in enumerate(steps) if code == 0x06}
        allowed, refused = ends  # exactly these two, at the end
        assert (ends[allowed], ends[refused]) == (0x7FFF0000, 0x50001)
        assert refused == len(steps) - 1

        def decide(arch: int, call: int, flags: int, steps: list[tuple[int, ...]] = steps) -> int:
            """Run the program as the kernel would."""
            at, held, data = 0, 0, {0: call, 4: arch, 40: flags}
            while True:
                code, yes, no, value = steps[at]
                at += 1
                if code == 0x20:
                    held = data[value]
                elif code == 0x54:
                    held &= value
                elif code == 0x06:
                    return value
                else:
                    at += yes if (held == value if code == 0x15 else held >= value) else no

        assert all(decide(number, call, 0) == ends[refused] for call in calls)
        assert decide(number, 0x40000001, 0) == decide(number + 1, 1, 0) == ends[refused]
        assert decide(number, mmap, 0x21) == decide(number, mmap, 0x4021) == ends[refused]
        others = set(range(500)) - {*calls}
        assert all(
            decide(number, call, flags) == ends[allowed]
            for call in others
            for flags in (0, 1, 0x22)
        )


def test_where_the_machine_is_another_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert refusals() == b""
    assert "--seccomp" not in sandbox.sealed(HERE, 9, Limits())


@needs_sandbox
def test_nothing_survives_a_run(stage: Path, tmp_path: Path) -> None:
    own = tmp_path / "stage-of-a-run-that-leaves-something"
    shutil.copytree(stage, own)
    source = """
import os, threading, time
if not os.fork():
    os.setsid()
    time.sleep(1e6)
threading.Thread(target=time.sleep, args=(1e6,)).start()
def f(x): return x
"""
    outcome = tried(own, source)
    assert answered(outcome) == [{"case": 0, "value": 1}]
    assert outcome.stopped == ""
    assert survivors(own.name) == []


@needs_sandbox
def test_a_run_that_does_not_begin_is_an_error_and_no_outcome(stage: Path, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"(?s)did not begin, so nothing was graded.*can't open"):
        run(asking("def f(x): return x"), tmp_path, Limits())
    shutil.copy(stage / "inside.py", tmp_path)
    with pytest.raises(CourseError, match=r"(?s)did not begin.*No module named 'values'"):
        run(asking("def f(x): return x"), tmp_path, Limits())
    (tmp_path / "values.py").write_text("import nowhere")
    with pytest.raises(CourseError, match="No module named 'nowhere'"):
        run(asking("def f(x): return x"), tmp_path, None)


@needs_sandbox
def test_labkit_among_the_libraries_is_covered(
    stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "labkit"
    assert str(copy) not in sandbox.sealed(stage, 9, Limits())
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert str(copy) not in sandbox.sealed(stage, 9, Limits())
    copy.mkdir()
    (copy / "reference.py").write_text("secret")
    command = sandbox.sealed(stage, 9, Limits())
    assert command[command.index(str(copy)) - 1] == "--tmpfs"
    source = f"import os\ndef f(x): return [os.listdir({str(copy)!r}), os.access({str(copy)!r}, 2)]"
    assert answered(tried(stage, source)) == [{"case": 0, "value": [[], False]}]


def test_without_bubblewrap_or_with_one_that_may_not_there_is_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_available()
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(refusing))
    assert not is_available()


@pytest.mark.skipif(os.name != "posix", reason="Windows hands no descriptors on")
def test_without_a_sandbox_a_stage_runs_as_its_teacher(
    stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_SECRET", "secret")
    source = "import os\ndef f(x): return [os.environ.get('LABKIT_SECRET'), os.listdir('.')]"
    outcome = run(asking(source), stage, None)
    assert answered(outcome) == [{"case": 0, "value": [None, os.listdir(stage)]}]
    assert outcome.stopped == ""
