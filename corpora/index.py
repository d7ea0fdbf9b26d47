"""The package index that pip is configured for on this machine, and one verified file from it.

Imported only when something must be downloaded: requests and pypi-simple are slow to import.
"""

import ast
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from corpora.registry import DatasetError, Source

RETRIES, PAUSE = 4, 0.25
"""further attempts at a server that does not answer; seconds before the second, then doubled"""
TIMEOUT = (10.0, 60.0)
"""seconds to connect, and without a byte of the answer"""
_SECTIONS = ("global", "install", "download")  # of pip's configuration; later ones win
_REASONS = {  # the first that fits is said
    NoSuchProjectError: "knows no such project",
    requests.exceptions.SSLError: "its certificate is not trusted; see pip's option cert",
    requests.exceptions.ProxyError: "the proxy does not answer",
    requests.Timeout: "no answer in time",
    requests.ConnectionError: "no connection",
    ValueError: "did not answer as a package index",
    requests.RequestException: "its answer broke off",
}


def pip_options() -> dict[str, str]:
    """Return what pip is configured with, by option; the variables PIP_* win over its files."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    values = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    options = {
        key.removeprefix(f"{section}."): str(ast.literal_eval(value))
        for section in _SECTIONS
        for key, value in values.items()
        if key.startswith(f"{section}.")
    }
    for variable, value in os.environ.items():  # pip repeats them, but there may be no pip
        if variable.startswith("PIP_") and value:
            options[variable.removeprefix("PIP_").lower().replace("_", "-")] = value
    return options


def indexes(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the addresses that pip asks, in order; they may hold credentials.

    Those that are not http(s), such as a folder of wheels, are left out; `no-index` leaves none.
    """
    if options.get("no-index", "").lower() in {"1", "y", "yes", "t", "true", "on"}:
        return ()
    first = options.get("index-url", PYPI_SIMPLE_ENDPOINT)
    addresses = (first, *options.get("extra-index-url", "").split())
    return tuple(a for a in addresses if urlsplit(a).scheme in {"http", "https"})


def open_session(options: Mapping[str, str], retries: int = RETRIES) -> requests.Session:
    """Return a session with pip's certificates and proxy, where the environment names none."""
    session = requests.Session()
    session.verify = options.get("cert", True)
    if "proxy" in options:
        session.proxies = {"http": options["proxy"], "https": options["proxy"]}
    retry = Retry(
        total=retries,
        backoff_factor=PAUSE,
        status_forcelist=(429, 500, 502, 503, 504),  # which may be gone a moment later
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def download(source: Source, target: Path, options: Mapping[str, str] | None = None) -> bytes:
    """Return the verified bytes of a file from the first place that has it.

    `options` default to pip's own. DatasetError says what was looked for, where (`target`, too,
    does not hold it), and what to do.
    """
    options = pip_options() if options is None else options
    places = indexes(options) if source.url is None else (source.url,)
    tried = [f"in {target} (not there)"]
    if target.exists():
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        tried = [f"in {target} (damaged: its sha256 is {digest[:12]}…)"]
    if not places:
        tried.append("in no package index (pip is set to no-index)")
    with open_session(options) as session:
        for place in places:
            try:
                url = place if source.project is None else _find(session, place, source)
                return _receive(session, url, source)
            except (LookupError, OSError, ValueError, NoSuchProjectError) as error:
                tried.append(f"at {urlsplit(place).hostname} ({_reason(error)})")
    dataset = target.parent.name
    raise DatasetError(
        f"{dataset}: cannot get {source.file} (sha256 {source.sha256[:12]}…); looked "
        f"{', '.join(tried)}; connect to a network and load again, or put the file at that path, "
        f"or set LABKIT_DATA to a folder that holds {dataset}/{source.file}"
    )


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong, without an address: it may hold a password."""
    if isinstance(error, requests.HTTPError):
        return f"status {error.response.status_code}"
    return next((words for kind, words in _REASONS.items() if isinstance(error, kind)), str(error))


def _find(session: requests.Session, index: str, source: Source) -> str:
    """Return the address of the file in a package index, with the index's credentials."""
    page = PyPISimple(index, session=session).get_project_page(str(source.project), TIMEOUT)
    found = next((p.url for p in page.packages if p.filename == source.file), None)
    if found is None:
        raise LookupError(f"lists no {source.file} for project {source.project}")
    at, here = urlsplit(found), urlsplit(index)
    own = at.netloc == here.netloc.rpartition("@")[2]
    return at._replace(netloc=here.netloc).geturl() if own else found


def _receive(session: requests.Session, url: str, source: Source) -> bytes:
    """Return the bytes at an address; LookupError if they are not those of the file."""
    headers = {"Accept-Encoding": "identity"}  # a server must not hand out the .gz unpacked
    answer = session.get(url, headers=headers, timeout=TIMEOUT, stream=True)
    answer.raise_for_status()
    data = bytearray()
    hidden = bool(os.environ.get("TQDM_DISABLE"))
    bar = tqdm(desc=source.file, total=source.size, unit="B", unit_scale=True, disable=hidden)
    with answer, bar:
        for chunk in answer.iter_content(1 << 16):
            data += chunk
            bar.update(len(chunk))
            if len(data) > source.size:
                break  # too long, so the wrong file
    digest = hashlib.sha256(data).hexdigest()
    if digest != source.sha256:
        raise LookupError(
            f"sent {len(data)} bytes with sha256 {digest[:12]}…, "
            f"expected {source.size} bytes with {source.sha256[:12]}…"
        )
    return bytes(data)
