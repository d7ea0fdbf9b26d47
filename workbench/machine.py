"""Facts about this machine, for `labkit doctor`: each function asks one thing, none judges."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

INDEX_SECONDS = 5.0
"""How long the package index may take to answer."""
FONT_FILES = (
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simsun.ttc",
)
"""Where macOS and Windows keep a font with Chinese characters."""
ASK_TORCH = """
import json, torch
cards = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
print(json.dumps({
    "version": torch.__version__,
    "threads": torch.get_num_threads(),
    "gpus": [torch.cuda.get_device_name(card) for card in cards],
    "mps": torch.backends.mps.is_available(),
    "works": (torch.ones(2, 2) @ torch.ones(2, 2)).sum().item() == 8.0,
}))
"""


@dataclass(frozen=True)
class Torch:
    """What torch says about itself."""

    version: str
    """Such as "2.13.0+cpu"."""
    threads: int
    """Threads it computes with."""
    gpus: tuple[str, ...]
    """Names of the NVIDIA or AMD cards it can use."""
    mps: bool
    """Whether it can use an Apple GPU."""
    works: bool
    """Whether it multiplied two matrices correctly."""


def ask_torch() -> Torch | str:
    """Start torch in a process of its own, so that a crash is a fact too.

    Returns what torch says, or the reason as text why it says nothing.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-c", ASK_TORCH],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if answer.returncode < 0:
        return f"it was ended by signal {-answer.returncode}"
    if answer.returncode:
        return (answer.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    facts = json.loads(answer.stdout.splitlines()[-1])
    return Torch(**{**facts, "gpus": tuple(facts["gpus"])})


def pinned_version(lock: Path, name: str) -> str | None:
    """Return the version at which a requirements file pins a package, or None."""
    text = lock.read_text(encoding="utf-8") if lock.exists() else ""
    found = re.search(rf"^{re.escape(name)}==([^\s;]+)", text, re.MULTILINE)
    return found.group(1) if found else None


def usable_processors(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Return how many processors this process may use; a container's quota can be a fraction."""
    allowed = getattr(os, "sched_getaffinity", None)
    count = float(len(allowed(0)) if allowed else os.cpu_count() or 1)
    found = re.match(r"(\d+) (\d+)", quota.read_text(encoding="utf-8") if quota.exists() else "")
    return min(count, int(found[1]) / int(found[2])) if found else count


def writing_problem(folder: Path) -> str | None:
    """Return why no file can be written into a folder (made if need be), or None if one can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def has_chinese_font() -> bool:
    """Whether fontconfig, or the place where the system keeps its fonts, has one for Chinese."""
    if any(Path(name).exists() for name in FONT_FILES):
        return True
    program = shutil.which("fc-list")
    if program is None:
        return False
    answer = subprocess.run([program, ":lang=zh"], capture_output=True, check=False)
    return bool(answer.stdout.strip())


def holds(path: Path, sha256: str) -> bool:
    """Whether a file is there and is the right one."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def ask_indexes(project: str) -> dict[str, str | None]:
    """Ask every index that pip is configured for about one project.

    Returns by host what went wrong there; None where the index answered.
    """
    import requests

    from corpora.index import indexes, open_session, pip_options

    options = pip_options()
    answers: dict[str, str | None] = {}
    with open_session(options, retries=0) as session:
        for index in indexes(options):
            host = urlsplit(index).hostname or index
            try:
                page = session.get(f"{index.rstrip('/')}/{project}/", timeout=INDEX_SECONDS)
                answers[host] = None if page.ok else f"status {page.status_code}"
            except requests.exceptions.SSLError:
                answers[host] = "its certificate is not trusted: see pip's option cert"
            except requests.exceptions.RequestException as error:
                answers[host] = (
                    "too slow" if isinstance(error, requests.Timeout) else "no connection"
                )
    return answers


def installed_packages() -> dict[str, str]:
    """Return every installed package's version by its normalised name."""
    return {
        re.sub(r"[-_.]+", "-", package.name).lower(): package.version
        for package in metadata.distributions()
    }
