"""Attacks on the grading of a small exam, as data: what each tries, and what it must earn.

An attack is an honest submission with one answer, or the notebook around it, made hostile. Names in
angle brackets stand for places and ports of the machine that grades.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.course.small import (
    POINTS,
    ROWS,
    TOTAL,
    WRONG_ROWS,
    WRONG_TOTAL,
    answer,
    cell,
    changed,
    students,
)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A hostile or unlucky submission."""

    name: str
    tries: str
    submission: Any
    """A notebook, or the bytes of a file."""
    total: float = 0
    """Points that `my_total` must earn."""
    rows: float = POINTS["rows"]
    """Points that `my_rows` must earn."""
    why: float | None = None
    """Points of the written answer: None while it waits for its reader."""
    says: str = ""
    """What must stand in the log of `my_total`, where it tells what became of the try."""


def wrong(name: str, tries: str, code: str, says: str = "") -> Attack:
    """Hostile code after an answer that is wrong."""
    return Attack(name=name, tries=tries, submission=students(total=WRONG_TOTAL + code), says=says)


def right(name: str, tries: str, code: str, says: str = "") -> Attack:
    """Hostile code before an answer that is right."""
    given = students(total=f"{code}\n{TOTAL}")
    return Attack(name=name, tries=tries, submission=given, total=2, says=says)


def returns(name: str, tries: str, expression: str, before: str = "", says: str = "") -> Attack:
    """An answer that gives back something hostile."""
    given = students(total=f"{before}\ndef my_total(values):\n    return {expression}\n")
    return Attack(name=name, tries=tries, submission=given, says=says)


def source(name: str, tries: str, text: str, **earns: Any) -> Attack:
    """An answer that is hard to read."""
    return Attack(name=name, tries=tries, submission=students(total=text), **earns)


def shape(name: str, tries: str, submission: Any, **earns: Any) -> Attack:
    """A notebook of another shape, whose answers are right if nothing else is said."""
    return Attack(name=name, tries=tries, submission=submission, **{"total": 2, **earns})


STOPPED = "\nStopped: it "
TOO_LONG = f"{STOPPED}took more than 1 seconds of processor time"
TOO_MUCH = f"{STOPPED}held more than 200 MB of memory"
TOO_LATE = f"{STOPPED}did not end in time"
LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"

WITHOUT_END = (
    wrong("loop", "a cell without end", "while True: pass", TOO_LONG),
    returns("call", "a call without end", "all(x == 0 for x in iter(int, 1))", says=TOO_LONG),
    wrong(
        "deaf",
        "to go on whatever signal comes",
        """
import signal
for number in (1, 2, 15, 24):
    signal.signal(number, signal.SIG_IGN)
while True: pass
""",
        TOO_LONG,
    ),
    wrong("asleep", "to wait for ever", "import time\ntime.sleep(1e6)", TOO_LATE),
    wrong("stopped", "to stop itself", "import os\nos.kill(os.getpid(), 19)", TOO_LATE),
    wrong("fork bomb", "processes without end", "import os\nwhile True: os.fork()", STOPPED),
    wrong(
        "thread bomb",
        "threads without end, with small stacks",
        """
import threading, time
threading.stack_size(32768)
while True:
    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
""",
        f"{STOPPED}ran more than 64 processes and threads",
    ),
    wrong("output", "to fill the disk", "while True: print('x' * 10000)", STOPPED),
    wrong(
        "results",
        "to fill the grader's memory",
        "import os, sys\nwhile True: os.write(int(sys.argv[1]), b'0' * 65536)",
        f"{STOPPED}gave back more than 64 MB",
    ),
)
MEMORY = (
    wrong("memory", "all memory at once", "held = bytearray(b'x') * (1 << 30)", TOO_MUCH),
    wrong(
        "memory of many",
        "memory in many processes, while threads come and go",
        """
import os, time, _thread
for _ in range(9):
    if not os.fork():
        held = bytearray(b'x') * (60 << 20)
        time.sleep(99)
while True:
    _thread.start_new_thread(time.sleep, (0.0005,))
""",
        STOPPED,
    ),
    wrong(
        "unseen memory",
        "memory of a process that may not be looked at",
        LIBC + "libc.prctl(4, 0, 0, 0, 0)\nheld = bytearray(b'x') * (1 << 30)",
        TOO_MUCH,
    ),
    wrong("memfd", "memory as a file", "import os\nos.memfd_create('x')", "not permitted"),
    wrong(
        "shared memory",
        "memory that no process has mapped any more",
        "import mmap\nmmap.mmap(-1, 1 << 20)",
        "not permitted",
    ),
    wrong(
        "zeros",
        "the same by way of a device",
        "import mmap, os\nmmap.mmap(os.open('/dev/zero', os.O_RDWR), 1 << 20)",
        "Error",
    ),
    wrong(
        "System V",
        "memory that outlives its process",
        LIBC + "print(libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600), ctypes.get_errno())",
        "-1 1\n",
    ),
    wrong(
        "foreign calls",
        "calls of the kernel as another machine numbers them",
        LIBC + "print(libc.syscall(0x40000000 + 39), ctypes.get_errno())",
        "-1 1\n",
    ),
    right(
        "full disk",
        "to fill /tmp and what else can be written",
        """
for place in ('/tmp', '/dev/shm'):
    try:
        for number in range(99):
            open(f'{place}/{number}', 'wb').write(bytes(16 << 20))
    except OSError as error: print(error)
""",
        "No space left",
    ),
    right("100 MB", "a log of that size", "for _ in range(100): print('x' * 1_000_000)"),
)
FIND = """
import pathlib
def find(*places):
    for place in map(pathlib.Path, places):
        for path in (place, *(place.rglob('*') if place.is_dir() else ())):
            try: print(path.read_text(errors='replace'))
            except Exception as error: print('no', error)
"""
READ_REQUEST = "import os\nos.lseek(0, 0, 0)\nprint(os.read(0, 99999))\n"
PEEKS = (
    wrong("users", "to read them", FIND + "find('/etc', '/etc/passwd', '/etc/shadow')"),
    wrong("home", "to read the home folder", FIND + "find('<home>', '/home', '/root/.ssh')"),
    wrong(
        "course",
        "to read the exam, the seed, the record and what others handed in",
        FIND + "find('<course>', '<course>/course.toml', '<course>/small.ipynb', '<checks>')",
    ),
    wrong(
        "processes",
        "to read the grader's memory, environment and files, and those of bubblewrap",
        FIND
        + """
for number in (<pid>, *range(20)):
    for what in ('environ', 'cmdline', 'maps', 'root/etc/passwd', 'root/<home>/.netrc'):
        find(f'/proc/{number}/{what}')
    find(f'/proc/{number}/cwd/course.toml')
""",
    ),
    wrong("environment", "to read the grader's", "import os\nprint(dict(os.environ))"),
    wrong(
        "writing",
        "to change what is outside",
        """
import os, pathlib, shutil
for place in ('<home>', '<course>', '/usr/bin', '/stage'):
    for change in (
        lambda: shutil.rmtree(place),
        lambda: pathlib.Path(place, 'x').write_text('x'),
        lambda: os.chmod(place, 0o777),
        lambda: os.makedirs(place),
    ):
        try: change()
        except OSError as error: print(error)
""",
        "Read-only file system",
    ),
    wrong(
        "request",
        "to read what was sent, and with it the teacher's notebook",
        READ_REQUEST
        + """
import gc, sys
frame = sys._getframe()
while frame:
    print(frame.f_locals, frame.f_globals)
    frame = frame.f_back
print([thing for thing in gc.get_objects() if isinstance(thing, (dict, list))])
""",
    ),
    shape(
        "request of another",
        "to read the teacher's answer, which stands in for an earlier one that is wrong",
        students(total=WRONG_TOTAL, rows=READ_REQUEST + ROWS),
        total=0,
    ),
    wrong(
        "keys",
        "to read the teacher's keys in the kernel",
        LIBC + "print(libc.syscall(250, 0, -3, 0, 0, 0), ctypes.get_errno())",
        "-1 1\n",
    ),
    wrong(
        "network",
        "to reach the network, the machine itself, and sockets with and without a file",
        """
import socket
port = <port>
places = [(2, ('127.0.0.1', port)), (2, ('1.1.1.1', 53)), (10, ('::1', port)), (40, (2, port))]
places += [(1, '<socket>'), (1, '\\0<abstract>')]
for kind, place in places:
    try:
        socket.socket(kind, socket.SOCK_STREAM).connect(place)
        print('reached', place)
    except OSError as error: print(error)
""",
        "[Errno 1] Operation not permitted\n" * 6,
    ),
)
PATCHES = (
    wrong(
        "signals",
        "to end the grader and all others",
        """
import os
for pid in (<pid>, 1, -1):
    try: os.kill(pid, 9)
    except OSError as error: print(error)
""",
    ),
    wrong(
        "first process",
        "to change the process that ends the others",
        LIBC + "print(libc.ptrace(16, 1, 0, 0), ctypes.get_errno())\nopen('/proc/1/mem', 'r+b')",
        "-1 1\n",
    ),
    wrong(
        "kernel",
        "to have a program run outside when one crashes here, as root may",
        "open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/sh -c id')",
        "Error",
    ),
    wrong(
        "assertions",
        "to patch what compares",
        """
import builtins, numpy.testing
numpy.testing.assert_allclose = print
numpy.array_equal = numpy.allclose = lambda *given, **options: True
builtins.AssertionError = builtins.isinstance
builtins.abs = lambda x: 0
""",
    ),
    returns(
        "equality",
        "a number that equals all others",
        "Lie(1)",
        "class Lie(float):\n    def __eq__(self, other): return True",
    ),
    returns(
        "hostile object",
        "a value whose every method lies",
        "Bad()",
        """
class Bad:
    __class__ = float
    __len__ = __hash__ = __index__ = lambda self: 1
    def __eq__(self, other): return True
    def __array__(self, *given, **options): return __import__('numpy').ones(3)
    def __reduce__(self): return (print, ('ran',))
    def __float__(self): return 1.0
    def __iter__(self): yield 1
""",
    ),
    returns(
        "lying array",
        "an array of another shape than it says",
        "Bad()",
        """
class Bad:
    class dtype: kind, name = 'f', 'float64'
    shape, ndim = (10**9, 10**9), 2
    def detach(self): return self
    cpu = numpy = detach
""",
    ),
    wrong(
        "modules",
        "to replace what encodes and what checks",
        """
import sys, types
sys.modules['labkit.checks'] = types.SimpleNamespace(total=print)
values = sys.modules['values']
values.encode = lambda value: '{"!": "named", "of": "os:system"}'
sys.modules['__main__'] = values
for name in list(sys.modules): sys.modules[name] = None
""",
    ),
    wrong(
        "import hooks",
        "to stand between every import",
        """
import sys
class Hook:
    def find_spec(self, name, path, target=None): raise SystemExit
sys.meta_path.insert(0, Hook())
sys.path[:] = ['/tmp']
sys.path_hooks.clear()
""",
    ),
    wrong(
        "transformers",
        "to change cells that come later, as IPython may",
        """
shell = get_ipython()
shell.run_cell('my_total = sum')
shell.ast_transformers.append(lambda tree: None)
""",
    ),
    wrong(
        "builtins",
        "to break every builtin",
        """
import builtins
change = setattr
for name in dir(builtins): change(builtins, name, None)
""",
    ),
    wrong(
        "frames",
        "to change the runner's own variables",
        """
import ctypes, sys
frame = sys._getframe()
while frame.f_back:
    frame = frame.f_back
    frame.f_locals.update(request={'cases': []}, number=0)
    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)
""",
    ),
    wrong(
        "trace",
        "to change what every function gives back",
        """
import sys
def trace(frame, event, value):
    frame.f_locals['answer'] = {'value': 1}
    return trace
sys.settrace(trace)
sys.setprofile(trace)
""",
    ),
    wrong("crash", "to crash the interpreter", "import ctypes\nctypes.string_at(0)", "it ended"),
    wrong("exit", "to leave before the end", "import os\nos._exit(0)", f"{STOPPED}ended before"),
    wrong("other program", "to be another", "import os\nos.execv('/bin/true', ['x'])", "it ended"),
    wrong("SystemExit", "to leave politely", "raise SystemExit"),
)
OUTLIVE = (
    right("atexit", "to run at the end", "import atexit\natexit.register(lambda: input())"),
    right(
        "thread",
        "a thread that does not end",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()",
    ),
    right(
        "daemon",
        "a process in a session of its own that stays",
        """
import os
if not os.fork():
    os.setsid()
    if not os.fork(): os.execv('/bin/sleep', ['<marker>', '1000'])
    os._exit(0)
""",
    ),
)
SAY = """
import json, os, sys
fd = int(sys.argv[1])
def say(number, text):
    os.write(fd, ('{"case": %d, "value": %s}' % (number, text)).encode() + b'\\n')
"""
FORGERIES = (
    wrong(
        "forged values",
        "to answer before the cases are tried",
        SAY + "for number in range(9): say(number, '1e9')",
    ),
    wrong(
        "forged marks",
        "to claim points",
        SAY + """for n in range(9): say(n, '1, "share": 1, "points": 99, "mark": {"share": 1}')""",
    ),
    right(
        "odd lines",
        "to confuse whoever reads the lines",
        r"""
import os, sys
for line in (
    '{"ready": true}', '{"ready": false}', '[]', '{}', 'null', '\0', '"' * 9, '1' * 5000,
    '[' * 100000, '{"case": 0}', '{"case": -1, "value": 1}', '{"case": true, "value": 1}',
    '{"case": 1e999, "value": 1}', '{"case": NaN, "value": 1}', '{"case": "0", "value": 1}',
    '{"case": 99999999999999999999, "value": 1}', '{"case": [[]], "error": 1}', '\ud800',
): os.write(int(sys.argv[1]), line.encode('utf-8', 'surrogatepass') + b'\n')
""",
    ),
    wrong(
        "many lines",
        "to keep the reader busy",
        "import os, sys\nfor _ in range(100): os.write(int(sys.argv[1]), b'0\\n' * 100000)",
    ),
    wrong(
        "shapes",
        "arrays of shapes that the reader cannot make",
        SAY
        + """
for number, size in enumerate(('Infinity', '1' + '0' * 99, '-1', '"3"')):
    say(number, '{"!": "array", "dtype": "int8", "of": "", "shape": [%s]}' % size)
""",
    ),
    wrong(
        "alike",
        "a set whose members have one hash, so that each is compared with each",
        SAY + """say(0, '{"!": "set", "of": %s}' % [n * (2**61 - 1) for n in range(100000)])""",
    ),
    wrong(
        "functions",
        "to have a function called or an object made outside",
        SAY
        + """
for number, value in enumerate((
    {'!': 'named', 'of': 'os:getcwd'},
    {'!': 'made', 'by': 'pathlib:Path', 'of': {}},
    {'!': 'array', 'dtype': 'O', 'shape': [1], 'of': ''},
    {'!': '__class__', 'of': []},
)): say(number, json.dumps(value))
""",
    ),
    wrong(
        "many parts",
        "a line that is small, and large once it is read",
        SAY + """say(0, '[' + '{"": 0},' * 3000000 + '0]')""",
    ),
    wrong("closed", "to close the way back", "import os, sys\nos.close(int(sys.argv[1]))", "ended"),
    wrong("all closed", "to close all and go on", "import os\nos.closerange(0, 99)\nwhile True: 1"),
)
RETURNS = (
    returns("depth", "a list in a list", "x", "x = []\nfor _ in range(5000): x = [x]"),
    returns("itself", "a list that holds itself", "own", "own = []\nown.append(own)"),
    returns("huge number", "a number of many digits", "10 ** 300000"),
    returns("nan", "not a number", "float('nan')"),
    returns("infinity", "more than any number", "float('inf')"),
    returns("strings", "numbers and text", "['1', 2.0, None, b'3']"),
    returns("odd keys", "a table with odd keys", "{(1, 2): {3}, None: 4.0, 5.5: [b'6']}"),
    returns("generator", "a generator without end", "(x for x in iter(int, 1))"),
    returns("half letters", "text that no file can hold", "'\\ud800' * 9"),
    returns("huge list", "more than may come back", "[0.5] * (1 << 26)", says=STOPPED),
    returns("huge text", "more than may come back", "'x' * (50 << 20)", says=STOPPED),
    returns("function", "a function", "print"),
    returns("module", "a module", "__import__('os')"),
    returns("ragged", "an array that is none", "[[1], [2, 3], 'x']"),
    returns("objects", "an array of objects", "__import__('numpy').array([print, 1])"),
    returns("empty", "an array of no size, but wide", "__import__('numpy').zeros((0, 1 << 40))"),
    returns(
        "error",
        "an error that cannot be told",
        "bad()",
        """
class Untold(Exception):
    def __str__(self): raise self
def bad(): raise Untold
""",
    ),
    returns(
        "odd error",
        "an error that no file can hold",
        "bad()",
        r"def bad(): raise ValueError('\ud800\0\x1b[2J<script>' * 99)",
    ),
    right(
        "odd output", "odd bytes", r"import os; os.write(1, bytes(range(256)) + b'\xed\xa0\x80')"
    ),
)
OURS = (
    wrong(
        "reference",
        "to take that of an exercise",
        "import labkit.checks.ch12 as theirs\nmy_total = theirs.pair_counts.reference",
        "ModuleNotFoundError",
    ),
    wrong("grader", "to use what grades", "import labkit.course.grade", "ModuleNotFoundError"),
    wrong(
        "withheld",
        "to use what the exercise withholds",
        """
from pathlib import Path
from labkit.files import write_atomically
write_atomically(Path('/tmp/x'), 'x')
""",
        "is what the question asks for",
    ),
    wrong(
        "withheld source",
        "to find what is withheld in a file, compiled or not, anywhere",
        """
import pathlib
found = 0
for place in ('/stage', '<libraries>'):
    for path in pathlib.Path(place).glob('**/files*.py*'):
        text = path.read_bytes()
        found += b'write_atomically' in text
        if b'write_atomically' in text and b'token_hex' in text: print('the' + ' body')
print(found, 'looked at')
""",
        "2 looked at",
    ),
)
SOURCES = (
    source("no Python", "nothing", "def my_total(values)\n    return 1", says="SyntaxError"),
    source("zeros in it", "to break the parser", f"{TOTAL}\0"),
    source("half a letter", "text that no file can hold", f"{TOTAL}# \ud800", total=2),
    source("long", "a line of a megabyte", TOTAL + "#" * 1_000_000, says="more than 20,000"),
    source("parentheses", "to overflow the parser", TOTAL + "(" * 15000),
    source("minus", "to overflow the parser's stack", TOTAL + "-" * 15000 + "1"),
    source("sum", "a tree too deep to walk", TOTAL + "1" + "+1" * 2400, total=2),
    source("ifs", "a tree too deep to walk", f"{TOTAL}x = {'1 if 1 else ' * 1200}1", total=2),
    source("dots", "memory", f"{TOTAL}\nif 0: import a{'.a' * 9000}", total=2),
    source("f-strings", "time", f"{TOTAL}x = 1\nf'{'{x}' * 3000}'", total=2),
    source("power", "to have a number folded", f"{TOTAL}lambda: 9 ** 9 ** 9 ** 9", total=2),
    source("commands", "more than are looked for", "%pwd\n" * 600 + TOTAL, says="SyntaxError"),
    source("question", "a slow expression", TOTAL + "a" * 19000 + ".?", total=2),
    source("percent", "a slow expression", "%%\n" * 3000 + " " * 9000 + TOTAL.strip()),
    source("blanks", "a slow expression", "x =" + " " * 19000 + "!"),
    source(
        "magic",
        "nothing: commands as in a chapter",
        f"%%time\n%matplotlib inline\n!ls\nx = !ls\nmax?\n{TOTAL}%timeit my_total([1])\n",
        total=2,
    ),
    source("not written", "nothing", "def my_total(values):\n    raise NotImplementedError()"),
    shape("words", "a slow expression", students(why=" " * 300_000 + "x")),
    shape("no words yet", "nothing", students(why="YOUR ANSWER HERE\n"), why=0),
)


def inserted(index: int, *cells: Any) -> dict[str, Any]:
    """An honest notebook with more cells before one."""
    made = students()
    made["cells"][index:index] = cells
    return made


def in_order(order: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """An honest notebook with its cells in another order, or fewer of them."""
    made = students()
    return {**made, "cells": list(order(made["cells"]))}


def boastful() -> dict[str, Any]:
    """A notebook that claims more points, in a test cell of its own too."""
    made = copy.deepcopy(students(total=WRONG_TOTAL))
    for each in made["cells"]:
        if about := each["metadata"].get("nbgrader"):
            about |= {"points": 999, "grade": True, "locked": False, "score": 999}
    made["cells"][3]["source"] = "print('full marks')\n### BEGIN HIDDEN TESTS"
    return made


SLOW = answer("total", f"import a{'.a' * 4000}\n{WRONG_TOTAL}")
HTML = {"output_type": "display_data", "data": {"text/html": "<script>alert(1)</script>"}}
ODD: list[Any] = [None, 3, "x", [], {}, {"metadata": 3}, {"source": [1, None, {}]}]
ODD += [{"metadata": {"nbgrader": 3}, "source": "x"}, {"metadata": {"nbgrader": {"grade_id": []}}}]
LINES = TOTAL.splitlines(keepends=True)
SHAPES = (
    shape("twice wrong", "two answers", inserted(4, answer("total", WRONG_TOTAL)), total=0),
    shape("twice right", "two answers", inserted(2, answer("total", WRONG_TOTAL))),
    shape("many times", "to keep the grader busy", inserted(2, *[SLOW] * 400)),
    shape("many cells", "to keep the grader busy", inserted(2, *[cell("code", TOTAL)] * 9000)),
    shape("deleted", "no answer", in_order(lambda cells: cells[:2] + cells[3:]), total=0),
    shape("reversed", "another order", in_order(reversed)),
    shape("renamed", "an answer without its name", changed(students(), 2, metadata={})),
    shape("note", "an answer in a markdown cell", changed(students(), 2, cell_type="markdown")),
    shape("raw", "an answer in a raw cell", changed(students(), 2, cell_type="raw")),
    shape("claims", "more points than there are", boastful(), total=0),
    shape("large", "to fill memory", changed(students(), 0, metadata={"x": ["y" * 99] * 50000})),
    shape("lines", "source as a list", changed(students(), 2, source=LINES)),
    shape("number", "source that is no text", changed(students(), 2, source=7), total=0),
    shape("table", "source that is no text", changed(students(), 2, source={"a": [1]}), total=0),
    shape("no source", "a cell without any", changed(students(), 2, source=None), total=0),
    shape("odd cells", "cells that are none", inserted(0, *ODD)),
    shape("script", "output with a program in it", changed(students(), 2, outputs=[HTML])),
    shape("own tests", "tests of one's own", changed(students(), 3, source="class check: pass")),
    shape("BOM", "nothing: an editor", b"\xef\xbb\xbf" + json.dumps(students()).encode()),
    shape("second wrong", "nothing", students(rows=WRONG_ROWS), rows=0),
    shape("first wrong", "nothing", students(total=WRONG_TOTAL), total=0),
    shape("words of a script", "a program in words", students(why="<script>alert(1)</script>")),
    shape("no words", "no written answer", in_order(lambda cells: cells[:-1]), why=0),
)
HONEST = (
    shape("honest", "nothing", students()),
    shape(
        "without a check", "nothing", students(total="my_total = lambda v: sum(x * x for x in v)")
    ),
    shape(
        "helpers",
        "nothing",
        students(
            total="def square(x): return x * x\n" + TOTAL.replace("value * value", "square(value)"),
            rows="def my_rows(c): return c / my_total(c.ravel()) * (square(3) - 7)",
        ),
    ),
)
ATTACKS = (
    *(*WITHOUT_END, *MEMORY, *PEEKS, *PATCHES, *OUTLIVE, *FORGERIES, *RETURNS, *OURS),
    *(*SOURCES, *SHAPES, *HONEST),
)
REFUSED = {
    "nothing": b"",
    "no JSON": b"# my notebook",
    "half a notebook": json.dumps(students()).encode()[:-9],
    "Latin": b'{"cells": [], "x": "\xe9"}',
    "UTF-16": json.dumps(students()).encode("utf-16"),
    "zeros": b"\0" * 9999,
    "a list": b"[]",
    "a number": b"7",
    "cells as a table": b'{"cells": {"0": {}}}',
    "cells as text": b'{"cells": "x"}',
    "no cells": b'{"worksheets": []}',
    "a deep list": b'{"cells": ' + b"[" * 100_000,
    "a long number": b'{"cells": [' + b"1" * 10_000 + b"]}",
    "200 MB": b" " * 200_000_000,
}
"""What is no notebook."""
