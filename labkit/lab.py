"""Start JupyterLab in the reader's folder, on this machine only and behind its token."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit.files import write_atomically

FIRST = "00_start_here.ipynb"
"""The chapter that opens."""
SETTINGS = Path(".labkit") / "settings"
"""Where JupyterLab finds our defaults, inside the reader's folder; the reader's own choices win."""
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    }
}
"""No question about news covers the first page, and JupyterLab asks nothing of the network."""


def lab_command(work: Path, extra: Sequence[str], *, root: bool) -> list[str]:
    """Return the command that serves a folder to this machine; `root` allows the user root.

    `extra` is handed through, such as `--no-browser`. The token that JupyterLab makes stays on.
    """
    first = [FIRST] if (work / FIRST).exists() else []
    return [
        *(sys.executable, "-m", "jupyterlab", *first),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={work}",
        f"--LabApp.app_settings_dir={work / SETTINGS}",
        *(["--allow-root"] if root else []),
        *extra,
    ]


def write_settings(work: Path) -> None:
    """Put our defaults where `lab_command` tells JupyterLab to look."""
    text = json.dumps(OVERRIDES, indent=1) + "\n"
    path = work / SETTINGS / "overrides.json"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


def start_lab(work: Path, extra: Sequence[str]) -> int:
    """Run JupyterLab until it ends and return its exit code; on POSIX it takes this process over.

    Raises OSError if the folder cannot be written or JupyterLab cannot be started.
    """
    write_settings(work)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    command = lab_command(work, extra, root=is_root)
    os.chdir(work)
    if os.name == "nt":
        return subprocess.call(command)
    sys.stdout.flush()
    os.execv(command[0], command)
