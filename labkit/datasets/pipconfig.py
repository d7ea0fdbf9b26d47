"""Which package index pip is configured for on this machine: addresses, certificates, proxy.

pip itself is asked (`pip config list` merges the pip.conf files of machine, user and environment);
the PIP_* variables alone decide where there is no pip. Nothing is contacted here.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from labkit.datasets.registry import DatasetError

_SECTIONS = ("global", "install", "download", ":env:")  # later ones win


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """How to reach the package index.

    `indexes` are http(s) addresses in the order in which they are asked; they may hold credentials.
    `verify` is a file of trusted certificates, or True for the default ones. Where `proxy` is None,
    HTTPS_PROXY and its relatives decide. `timeout` counts seconds without an answer; `backoff` is
    the pause in seconds before the second of the `retries`, doubled before each further one.
    """

    indexes: tuple[str, ...]
    verify: str | bool = True
    client_cert: str | None = None
    proxy: str | None = None
    timeout: float = 15.0
    retries: int = 4
    backoff: float = 0.25


def index_settings() -> IndexSettings:
    """Return what pip would use on this machine; DatasetError for an unreadable number."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        lines = done.stdout.splitlines()
    except (OSError, subprocess.SubprocessError):  # no pip here, or none that works
        lines = []
    return from_options(pip_options(lines, os.environ))


def pip_options(lines: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Merge the lines of `pip config list` and the PIP_* variables into option to value.

    >>> pip_options(["global.timeout='9'", "install.timeout='8'"], {"PIP_PROXY": "p:1"})
    {'timeout': '8', 'proxy': 'p:1'}
    """
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in lines:
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section in found and value.startswith(("'", '"')):
            found[section][name] = str(ast.literal_eval(value))
    for variable, value in environ.items():
        if variable.startswith("PIP_") and value:
            found[":env:"][variable.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {name: value for options in found.values() for name, value in options.items()}


def from_options(options: Mapping[str, str]) -> IndexSettings:
    """Turn pip's options into settings; DatasetError for an unreadable number.

    Addresses that are not http(s), such as a folder of wheels (`file://`), are left out, and all of
    them under `no-index`.
    """
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # slow to import, needed only online

    first = options.get("index-url", options.get("pypi-url", PYPI_SIMPLE_ENDPOINT))
    addresses = (first, *options.get("extra-index-url", "").split())
    if options.get("no-index", "").lower() in {"1", "y", "yes", "t", "true", "on"}:
        addresses = ()
    return IndexSettings(
        indexes=tuple(a for a in addresses if urlsplit(a).scheme in {"http", "https"}),
        verify=options.get("cert") or True,
        client_cert=options.get("client-cert"),
        proxy=options.get("proxy"),
        timeout=_number(options, "timeout", IndexSettings.timeout),
        retries=int(_number(options, "retries", IndexSettings.retries)),
    )


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    value = options.get(name, options.get(f"default-{name}", default))
    try:
        return float(value)
    except ValueError as error:
        raise DatasetError(f"pip's option {name} is {value!r}; expected a number") from error
