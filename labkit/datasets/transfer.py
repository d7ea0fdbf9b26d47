"""Bringing one verified file over the network, through requests and pypi-simple.

Imported only when something must be downloaded. It knows addresses and bytes, not datasets.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedRepoVersionError
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from labkit.datasets.pipconfig import IndexSettings
from labkit.datasets.registry import Source

_PASSING = (429, 500, 502, 503, 504)  # states of a server that may be gone a moment later
_CHUNK = 1 << 16


class Failure(Exception):
    """One place could not deliver the file; the message is the reason in a few words."""


class _Session(requests.Session):
    """A session whose certificate file, when pip names one, wins over REQUESTS_CA_BUNDLE."""

    def merge_environment_settings(self, *args: Any, **kwargs: Any) -> Any:
        merged = super().merge_environment_settings(*args, **kwargs)
        return {**merged, "verify": self.verify} if isinstance(self.verify, str) else merged


def open_session(settings: IndexSettings) -> requests.Session:
    """Return a session with the proxy, certificates and patient retries of `settings`."""
    session = _Session()
    session.verify = settings.verify
    session.cert = settings.client_cert
    if settings.proxy:
        session.proxies = {"http": settings.proxy, "https": settings.proxy}
    retry = Retry(
        total=settings.retries,
        backoff_factor=settings.backoff,
        status_forcelist=_PASSING,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def bring(
    session: requests.Session, place: str, source: Source, target: Path, settings: IndexSettings
) -> bytes:
    """Download the file from an index (or its own address), verify it, rename it to `target`.

    What a broken connection leaves in the `.part` file is continued by the next call. Failure says
    why the place could not deliver.
    """
    url = place if source.project is None else _find(session, place, source, settings.timeout)
    part = target.with_name(f"{target.name}.{source.sha256[:12]}.part")
    while True:
        continued = part.exists()
        _complete(session, url, part, source, settings)
        data = part.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == source.sha256:
            os.replace(part, target)
            return data
        part.unlink()
        if not continued:
            raise Failure(
                f"sent {len(data)} bytes with sha256 {digest[:12]}…, "
                f"expected {source.size} bytes with {source.sha256[:12]}…"
            )


def _find(session: requests.Session, index: str, source: Source, timeout: float) -> str:
    """Return the address of the file in a package index, with the index's credentials."""
    project = str(source.project)
    try:
        page = PyPISimple(index, session=session).get_project_page(project, timeout=timeout)
    except NoSuchProjectError as error:
        raise Failure(f"knows no project {project}") from error
    except (UnsupportedRepoVersionError, ValueError) as error:
        raise Failure(f"did not answer as a package index: {error}") from error
    except OSError as error:  # requests' errors, and a certificate file that is not there
        raise Failure(_reason(error)) from error
    found = next((p.url for p in page.packages if p.filename == source.file), None)
    if found is None:
        raise Failure(f"lists no {source.file} for project {project}")
    at, here = urlsplit(found), urlsplit(index)
    if "@" in here.netloc and at.netloc == here.netloc.rpartition("@")[2]:
        return at._replace(netloc=here.netloc).geturl()
    return found


def _complete(
    session: requests.Session, url: str, part: Path, source: Source, settings: IndexSettings
) -> None:
    """Fill the `.part` file up to its full size, resuming after each break."""
    for attempt in range(settings.retries + 1):
        have = part.stat().st_size if part.exists() else 0
        if have >= source.size:
            return
        if attempt:
            time.sleep(settings.backoff * 2**attempt)
        response = _ask(session, url, have, settings.timeout)
        try:
            _append(response, part, source)
        except requests.RequestException:
            continue  # the next attempt, or the Failure below, goes by what has arrived
        finally:
            response.close()
    have = part.stat().st_size if part.exists() else 0
    if have < source.size:
        raise Failure(f"broke off at {have} of {source.size} bytes")


def _ask(session: requests.Session, url: str, have: int, timeout: float) -> requests.Response:
    """Request the file from byte `have` on; Failure when no answer with content comes."""
    # identity: a server must not hand out the .gz unpacked
    headers: Mapping[str, str] = {"Accept-Encoding": "identity"}
    ranged = {**headers, "Range": f"bytes={have}-"} if have else headers
    try:
        response = session.get(url, headers=ranged, timeout=timeout, stream=True)
        if response.status_code == 416:  # it has no such byte: begin again
            response.close()
            response = session.get(url, headers=headers, timeout=timeout, stream=True)
        response.raise_for_status()
    except OSError as error:
        raise Failure(_reason(error)) from error
    return response


def _append(response: requests.Response, part: Path, source: Source) -> None:
    """Write the answer behind what is there, or in its place when the server began again."""
    silent = bool(os.environ.get("TQDM_DISABLE"))
    with part.open("ab" if response.status_code == 206 else "wb") as file:
        start = file.tell()
        with tqdm(
            total=source.size, initial=start, desc=source.file, unit="B", unit_scale=True,
            leave=False, disable=silent,
        ) as bar:  # fmt: skip
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > source.size:
                    return  # too long, so the wrong file: its sha256 will say so


def _reason(error: OSError) -> str:
    """Say in a few words what went wrong, without addresses that may hold a password."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    kinds = {
        requests.exceptions.SSLError: "its certificate is not trusted; see pip's option cert",
        requests.exceptions.ProxyError: "the proxy does not answer",
        requests.exceptions.Timeout: "no answer in time",
        requests.exceptions.ConnectionError: "no connection",
    }
    return next((words for kind, words in kinds.items() if isinstance(error, kind)), str(error))
