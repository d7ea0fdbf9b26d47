"""Make this folder's environment: `.venv` with every pinned package and labkit itself.

`python3 bootstrap.py` builds it, updates it when requirements.lock, pyproject.toml, the Python or
the folder changed, and otherwise does nothing. It uses the standard library only and no syntax
newer than Python 3.6, so that a Python too old for labkit can still say so in one sentence.

A file `.venv/unfinished` stands from before the first change until after the last one: if it is
found at the start, an earlier run was interrupted and the environment is built anew.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

OLDEST = (3, 11)
GIGABYTE = 10**9
SPACE_NEEDED = 3 * GIGABYTE
"""What a new environment takes with the CPU build of torch, in bytes."""
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off")

CAUSES = (
    (
        r"No space left on device|Disk quota exceeded|Errno 28\b|Errno 122\b",
        "the disk is full: make room (3 GB, or 8 for the CUDA build of torch)",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed",
        "the package index's certificate is not trusted here: name your network's certificate "
        "file in PIP_CERT",
    ),
    (
        r"\b40[137] (?:Client )?Error|HTTP error 40[137]|Unauthorized|\b407 Proxy",
        "the package index or a proxy refused access: mend the name and password in pip's settings",
    ),
    (
        r"NewConnectionError|ConnectTimeout|ReadTimeout|ConnectionResetError|ProxyError"
        r"|Max retries|name resolution|Name or service not known|Connection refused"
        r"|Connection aborted|connection broken by|Network is unreachable|IncompleteRead",
        "the package index could not be reached: connect this machine, or name an index that it "
        "reaches in PIP_INDEX_URL",
    ),
    (
        r"requirement (\S+).* \(from versions: none\)",
        "no package index that pip is configured for offers {}: connect this machine, or name an "
        "index that it reaches in PIP_INDEX_URL",
    ),
    (
        r"No matching distribution found for (\S+)",
        "the package index has no {} for this Python on this system: use another of the two",
    ),
)
"""What pip prints, and the sentence's middle that explains it; the first that fits counts."""


class BootstrapError(Exception):
    """What stopped the set-up, as one sentence for whoever started it."""


class Environment(NamedTuple):
    """The places of one environment: `.venv` in `root`, and its interpreter `python`."""

    root: Path
    venv: Path
    python: Path
    log: Path
    """Everything pip said during the last set-up."""
    unfinished: Path
    """Marks an environment whose set-up has not come to its end."""
    stamp: Path
    """What was installed, written last."""


def environment_in(root: Path, windows: bool = os.name == "nt") -> Environment:
    """Return the places of the environment that serves a folder."""
    venv = root / ".venv"
    python = venv / ("Scripts/python.exe" if windows else "bin/python")
    return Environment(
        root, venv, python, venv / "install.log", venv / "unfinished", venv / "labkit-stamp.json"
    )


def check_python(version: Tuple[int, ...], executable: str) -> None:
    """Raise BootstrapError if this Python is too old for labkit."""
    if tuple(version[:2]) < OLDEST:
        needed, found = (".".join(map(str, parts)) for parts in (OLDEST, version[:3]))
        raise BootstrapError(
            f"labkit needs Python {needed} or newer, but {executable} is Python {found}: install a "
            "newer one, or name it, as in `make lab PYTHON=python3.11`."
        )


def check_venv_module(executable: str) -> None:
    """Raise BootstrapError if this Python cannot make virtual environments."""
    try:
        import ensurepip  # noqa: F401 (Debian packs it apart from Python)
        import venv  # noqa: F401
    except ImportError as error:
        raise BootstrapError(
            f"{executable} lacks the standard module {error.name}, which makes virtual "
            "environments: on Debian or Ubuntu run `sudo apt install python3-venv`, elsewhere "
            "install Python from python.org."
        ) from error


def check_space(folder: Path, needed: int = SPACE_NEEDED) -> None:
    """Raise BootstrapError if the disk that holds a folder has fewer than `needed` bytes free."""
    free = shutil.disk_usage(str(folder)).free
    if free < needed:
        raise BootstrapError(
            f"The disk that holds this folder has {free / GIGABYTE:.1f} GB free and the set-up "
            f"needs {needed / GIGABYTE:.1f} GB: make room, then run the same command again."
        )


def wanted(env: Environment) -> Dict[str, str]:
    """Return what the environment must have been made from: files, Python and folder."""
    inputs = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        inputs.update((env.root / name).read_bytes() + b"\0")
    return {"inputs": inputs.hexdigest(), "python": sys.version, "root": str(env.root)}


def installed(env: Environment) -> List[str]:
    """Return the packages that lie in the environment, as `name-version`, sorted."""
    sites = [*env.venv.glob("lib/python3*/site-packages"), *env.venv.glob("Lib/site-packages")]
    names = {entry for site in sites for entry in os.listdir(str(site))}
    return sorted(name[: -len(".dist-info")] for name in names if name.endswith(".dist-info"))


def read_stamp(env: Environment) -> Dict[str, Any]:
    """Return the stamp of the last complete set-up, or nothing where there is no valid one."""
    try:
        stamp = json.loads(env.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_ready(env: Environment) -> bool:
    """Whether the environment is complete and made from today's files, Python and folder."""
    stamp = read_stamp(env)
    packages = stamp.pop("installed", ["a stamp without packages"])
    return (
        stamp == wanted(env)
        and not env.unfinished.exists()
        and env.python.exists()
        and set(packages) <= set(installed(env))
    )


def child_environment() -> Dict[str, str]:
    """Return the variables for child processes, without those that would lead pip astray."""
    variables = dict(os.environ, PIP_USER="0")
    if not variables.get("HOME"):
        variables.pop("HOME", None)  # an empty one would put caches into the root folder
    return variables


def can_be_updated(env: Environment) -> bool:
    """Whether the environment there is whole, works, belongs here and has this Python."""
    if env.unfinished.exists() or not env.python.exists():
        return False
    if read_stamp(env).get("root", str(env.root)) != str(env.root):
        return False  # moved or copied: its scripts and labkit's own path lead elsewhere
    command = [str(env.python), "-I", "-c", "import pip, sys; print(sys.version)"]
    try:
        answer = subprocess.check_output(command, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer.decode("utf-8", "replace").split() == sys.version.split()


def empty(env: Environment) -> None:
    """Make `.venv` an empty folder marked unfinished, or refuse if it holds something else."""
    if env.venv.exists() and not env.venv.is_dir():
        raise BootstrapError("`.venv` is a file where the environment must lie: move it away.")
    env.venv.mkdir(exist_ok=True)
    entries = list(env.venv.iterdir())
    known = {"pyvenv.cfg", "bin", "Scripts", env.unfinished.name, env.stamp.name}
    if entries and not known.intersection(entry.name for entry in entries):
        raise BootstrapError("`.venv` holds no virtual environment but other files: move it away.")
    env.unfinished.touch()
    for entry in entries:
        if entry == env.unfinished:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        else:
            entry.unlink()


def run_logged(command: Sequence[str], log: "IO[bytes]", root: Path) -> Iterator[str]:
    """Run a command, write what it says to the log and yield it; raise BootstrapError at failure.

    The error's sentence is made from the lines that the command printed.
    """
    lines = []
    with subprocess.Popen(
        list(command),
        cwd=str(root),
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            for raw in process.stdout:
                log.write(raw)
                lines.append(raw.decode("utf-8", "replace").rstrip())
                yield lines[-1]
        except BaseException:  # nothing may go on installing once this has ended
            process.kill()
            raise
    if process.returncode:
        raise BootstrapError(explain(lines, process.returncode))


def explain(lines: Sequence[str], code: int) -> str:
    """Return one sentence that says why pip failed, judged by what it printed."""
    errors = [line for line in lines if line.startswith("ERROR:") or "Error:" in line]
    text = "\n".join(lines)
    for pattern, explanation in CAUSES:
        found = re.search(pattern, text)
        if found:
            reason = explanation.format(*found.groups())
            break
    else:
        last = errors[-1].rstrip(".") if errors else "it gave no reason"
        reason = f"the installer failed ({last}): mend that"
        if code < 0:
            reason = f"the installer was ended by signal {-code}: close other programs"
    return (
        f"The packages were not installed, because {reason}, then run the same command again "
        "(log: .venv/install.log)."
    )


def say(text: str, end: str = "\n") -> None:
    """Print a text in place of the line that shows progress."""
    sys.stdout.write(("\r\x1b[K" if sys.stdout.isatty() else "") + text + end)
    sys.stdout.flush()


def install(env: Environment, log: "IO[bytes]") -> None:
    """Install the pinned packages, then labkit itself as it lies in this folder."""
    lock = (env.root / "requirements.lock").read_text(encoding="utf-8")
    total = len(re.findall(r"^[^#\n]", lock, re.MULTILINE))
    python = [str(env.python), "-X", "utf8", "-I", *PIP]
    done = 0
    for line in run_logged([*python, "-r", "requirements.lock"], log, env.root):
        done += line.startswith(("Collecting ", "Requirement already satisfied"))
        if sys.stdout.isatty():
            say(f"  {min(done, total)}/{total}  {line[:60]}", end="")
    labkit = ["--no-deps", "--no-build-isolation", "--editable", "."]
    for _ in run_logged([*python, *labkit], log, env.root):
        pass


def build(env: Environment) -> None:
    """Make a new environment in place of whatever is there."""
    check_venv_module(sys.executable)
    check_space(env.root)
    say("Setting up .venv: this takes a few minutes, once; the log is .venv/install.log.")
    empty(env)
    with env.log.open("wb", buffering=0) as log:
        for _ in run_logged([sys.executable, "-I", "-m", "venv", ".venv"], log, env.root):
            pass
        install(env, log)


def update(env: Environment) -> None:
    """Bring a working environment to today's pins."""
    say("Updating .venv: the log is .venv/install.log.")
    env.unfinished.touch()
    try:
        with env.log.open("wb", buffering=0) as log:
            install(env, log)
    except BaseException:
        if "Installing collected" not in env.log.read_text(encoding="utf-8", errors="replace"):
            env.unfinished.unlink()  # pip had changed nothing yet: what is there still works
        raise


def finish(env: Environment) -> None:
    """Record what the environment was made from, and that it is complete."""
    stamp = dict(wanted(env), installed=installed(env))
    draft = env.stamp.with_name(env.stamp.name + ".new")
    draft.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    os.replace(str(draft), str(env.stamp))
    env.unfinished.unlink()


@contextlib.contextmanager
def alone(env: Environment) -> Iterator[None]:
    """Keep a second set-up of the same folder waiting, where the system has such locks."""
    with (env.root / "requirements.lock").open("rb") as handle:
        with contextlib.suppress(ImportError, OSError):  # Windows; some network file systems
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def bootstrap(env: Environment) -> None:
    """Make the environment ready; raise BootstrapError with one sentence if that fails."""
    if is_ready(env):
        return
    with alone(env):
        if is_ready(env):  # by the set-up that this one waited for
            return
        start = time.time()
        if can_be_updated(env):
            update(env)
        else:
            build(env)
        finish(env)
        say(f"The environment is ready after {time.time() - start:.0f} s.")


def main(version: Tuple[int, ...] = sys.version_info[:3]) -> int:
    """Set up the folder that holds this file; return the exit code."""
    try:
        check_python(version, sys.executable)
        bootstrap(environment_in(Path(__file__).resolve().parent))
    except BootstrapError as error:
        message, code = str(error), 1
    except KeyboardInterrupt:
        message, code = "Interrupted: run the same command again to finish the set-up.", 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "The disk is full: make room" if full else f"The set-up failed: {error}; mend that"
        message, code = f"{reason}, then run the same command again.", 1
    else:
        return 0
    sys.stderr.write(("\n" if sys.stdout.isatty() else "") + message + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
