"""Bringing one verified file over the network, through requests and pypi-simple.

Imported only when something must be downloaded. It knows addresses and bytes, not datasets.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_REASONS = {
    requests.exceptions.SSLError: "its certificate is not trusted; see pip's option cert",
    requests.exceptions.ProxyError: "the proxy does not answer",
    requests.exceptions.Timeout: "no answer in time",
    requests.exceptions.ConnectionError: "no connection",
    UnsupportedRepoVersionError: "did not answer as a package index",
    ValueError: "did not answer as a package index",
}


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
    session.verify, session.cert = settings.verify, settings.client_cert
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


@contextmanager
def _network() -> Iterator[None]:
    """Say in a few words what went wrong, without addresses that may hold a password."""
    try:
        yield
    except NoSuchProjectError as error:
        raise Failure(f"knows no project {error.project}") from error
    except requests.HTTPError as error:
        raise Failure(f"status {error.response.status_code}") from error
    except (OSError, ValueError, UnsupportedRepoVersionError) as error:
        words = (words for kind, words in _REASONS.items() if isinstance(error, kind))
        raise Failure(next(words, str(error))) from error


def bring(
    session: requests.Session, place: str, source: Source, target: Path, settings: IndexSettings
) -> bytes:
    """Download the file from an index (or its own address), verify it, rename it to `target`.

    What a broken connection leaves in the `.part` file is continued by the next call. Failure says
    why the place could not deliver.
    """
    url = place if source.project is None else _find(session, place, source, settings.timeout)
    part = target.with_name(f"{target.name}.{source.sha256[:12]}.part")
    continued = part.exists()
    _complete(session, url, part, source, settings)
    data = part.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest == source.sha256:
        os.replace(part, target)
        return data
    part.unlink()
    if continued:  # perhaps only its beginning was wrong
        return bring(session, place, source, target, settings)
    raise Failure(
        f"sent {len(data)} bytes with sha256 {digest[:12]}…, "
        f"expected {source.size} bytes with {source.sha256[:12]}…"
    )


def _find(session: requests.Session, index: str, source: Source, timeout: float) -> str:
    """Return the address of the file in a package index, with the index's credentials."""
    with _network():
        page = PyPISimple(index, session=session).get_project_page(str(source.project), timeout)
    found = next((p.url for p in page.packages if p.filename == source.file), None)
    if found is None:
        raise Failure(f"lists no {source.file} for project {source.project}")
    at, here = urlsplit(found), urlsplit(index)
    if "@" in here.netloc and at.netloc == here.netloc.rpartition("@")[2]:
        return at._replace(netloc=here.netloc).geturl()
    return found


def _complete(
    session: requests.Session, url: str, part: Path, source: Source, settings: IndexSettings
) -> None:
    """Fill the `.part` file up to its full size; after each break, ask for the rest."""
    for attempt in range(settings.retries + 1):
        if attempt:
            time.sleep(settings.backoff * 2**attempt)
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"}  # a server must not hand out the .gz unpacked
        if have:
            headers["Range"] = f"bytes={have}-"
        with _network():
            answer = session.get(url, headers=headers, timeout=settings.timeout, stream=True)
        with answer:
            if have and answer.status_code == 416:  # it has no such byte: begin again
                part.unlink()
                continue
            with _network():
                answer.raise_for_status()
            _append(answer, part, source)
        have = part.stat().st_size
        if have >= source.size:
            return
    raise Failure(f"broke off at {have} of {source.size} bytes")


def _append(answer: requests.Response, part: Path, source: Source) -> None:
    """Write what arrives behind what is there, or in its place when the server began again."""
    silent = bool(os.environ.get("TQDM_DISABLE"))
    shown: dict[str, Any] = {"unit": "B", "unit_scale": True, "leave": False, "disable": silent}
    with (
        part.open("ab" if answer.status_code == 206 else "wb") as file,
        tqdm(desc=source.file, total=source.size, initial=file.tell(), **shown) as bar,
        suppress(requests.RequestException),
    ):
        for chunk in answer.iter_content(1 << 16):
            bar.update(file.write(chunk))
            if file.tell() > source.size:
                return  # too long, so the wrong file: its sha256 will say so
