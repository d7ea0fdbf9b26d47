"""Start JupyterLab in the reader's folder, on this machine only and behind its token."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.files import write_atomically

FIRST = "00_start_here.ipynb"
"""The chapter that opens."""
OURS = Path(".labkit") / "lab"
"""Where our defaults lie inside the reader's folder; the reader's own settings win over them."""
NBGRADER = ("formgrader", "validate_assignment", "assignment_list", "course_list")
DEFAULTS = {
    "overrides.json": {
        "@jupyterlab/apputils-extension:notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
            "doNotDisturbMode": True,
        }
    },
    "page_config.json": {"disabledExtensions": ["@jupyter/nbgrader"]},
    "jupyter_server_config.json": {
        "ServerApp": {
            "jpserver_extensions": {
                f"nbgrader.server_extensions.{name}": False for name in NBGRADER
            }
        }
    },
}
"""No question about news, nothing asked of the network, no teacher's menus in a reader's Lab."""


def lab_command(work: Path, extra: Sequence[str], *, is_root: bool) -> list[str]:
    """Return the command that serves a folder to this machine and opens the first chapter.

    `extra` is handed through, such as `--no-browser`. The token that JupyterLab makes stays on.
    """
    page = f"/lab/tree/{FIRST}" if (work / FIRST).exists() else "/lab"
    return [
        *(sys.executable, "-m", "jupyterlab"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={work}",
        f"--LabApp.default_url={page}",
        f"--LabApp.app_settings_dir={work / OURS}",
        *(["--allow-root"] if is_root else []),
        *extra,
    ]


def lab_environment(work: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for JupyterLab: the given ones, and where our defaults lie."""
    paths = [str(work / OURS), environment.get("JUPYTER_CONFIG_PATH", "")]
    return {**environment, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def write_defaults(work: Path) -> None:
    """Put our defaults where `lab_command` and `lab_environment` tell JupyterLab to look."""
    for name, content in DEFAULTS.items():
        path = work / OURS / name
        text = json.dumps(content, indent=1) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)


def start_lab(work: Path, extra: Sequence[str]) -> int:
    """Run JupyterLab until it ends and return its exit code; on POSIX it takes this process over.

    Raises OSError if the folder cannot be written or JupyterLab cannot be started.
    """
    write_defaults(work)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    command = lab_command(work, extra, is_root=is_root)
    environment = lab_environment(work, os.environ)
    if os.name == "nt":
        return subprocess.call(command, cwd=work, env=environment)
    os.chdir(work)
    sys.stdout.flush()
    os.execve(command[0], command, environment)
