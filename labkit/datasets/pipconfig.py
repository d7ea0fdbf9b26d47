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

_SECTIONS = ("global.", "install.", "download.", ":env:.")  # later ones win
_TRUE = frozenset({"1", "y", "yes", "t", "true", "on"})


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """How to reach the package index."""

    indexes: tuple[str, ...]
    """http(s) addresses in the order in which they are asked; may hold credentials"""
    verify: str | bool = True
    """a file of trusted certificates, or True for the default ones"""
    client_cert: str | None = None
    """file with the client's certificate and key"""
    proxy: str | None = None
    """proxy address; None leaves it to HTTPS_PROXY and its relatives"""
    timeout: float = 15.0
    """seconds without an answer before giving up"""
    retries: int = 4
    """how often a failed request is repeated"""
    backoff: float = 0.25
    """seconds before the second repeat, doubled before each further one"""


def index_settings() -> IndexSettings:
    """Return what pip would use on this machine; DatasetError for an unreadable number."""
    return from_options(pip_options(_ask_pip().splitlines(), os.environ))


def _ask_pip() -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def pip_options(lines: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Merge the lines of `pip config list` and the PIP_* variables into option to value.

    >>> pip_options(["global.timeout='9'", "install.timeout='8'"], {"PIP_PROXY": "p:1"})
    {'timeout': '8', 'proxy': 'p:1'}
    """
    found = []
    for line in lines:
        key, _, value = line.partition("=")
        section = next((s for s in _SECTIONS if key.startswith(s)), None)
        if section is not None and value[:1] in {"'", '"'}:
            found.append((section, key.removeprefix(section), str(ast.literal_eval(value))))
    found.sort(key=lambda item: _SECTIONS.index(item[0]))
    options = {name: value for _, name, value in found}
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return options


def from_options(options: Mapping[str, str]) -> IndexSettings:
    """Turn pip's options into settings; DatasetError for an unreadable number.

    Addresses that are not http(s), such as a folder of wheels (`file://`), are left out, and all of
    them under `no-index`.
    """
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # slow to import, needed only online

    first = options.get("index-url", options.get("pypi-url", PYPI_SIMPLE_ENDPOINT))
    addresses = (first, *options.get("extra-index-url", "").split())
    if options.get("no-index", "").lower() in _TRUE:
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
    value = options.get(name, options.get(f"default-{name}"))
    try:
        return default if value is None else float(value)
    except ValueError as error:
        raise DatasetError(f"pip's option {name} is {value!r}; expected a number") from error
