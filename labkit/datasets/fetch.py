"""The cache: a file is read from it, verified, or brought into it.

A file is read into memory, its sha256 is checked, and only then is it looked at; nothing of it
is executed, installed or unpacked to disk. It takes its place in the cache by one rename, under
a lock, so no process ever sees half a file and only one downloads it.
"""

import hashlib
import logging
import os
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from labkit.datasets.pipconfig import IndexSettings, index_settings
from labkit.datasets.registry import DatasetError, Source

_LOG = logging.getLogger(__name__)
_LOCK_SECONDS = 1800


def cache_folder() -> Path:
    """Return the folder of downloaded files: `$LABKIT_DATA`, or the user's cache folder."""
    chosen = os.environ.get("LABKIT_DATA")
    return Path(chosen).expanduser() if chosen else user_cache_path("labkit")


def obtain(
    dataset: str, source: Source, cache: Path, *, settings: IndexSettings | None = None
) -> bytes:
    """Return the verified bytes of a dataset's file, downloading it when the cache lacks it.

    A cached file whose sha256 is wrong is fetched again. `settings` default to pip's own.
    DatasetError says what was looked for, where, and what to do.
    """
    target = cache / dataset / source.file
    found = _cached(target, source)
    if isinstance(found, bytes):
        return found
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=_LOCK_SECONDS):
            found = _cached(target, source)  # another process may have brought it meanwhile
            if isinstance(found, str):
                if found != "not there":
                    _LOG.warning("%s is %s; fetching it again", target, found)
                found = _download(source, target, found, settings or index_settings())
            return found
    except Timeout as error:
        raise DatasetError(
            f"Another process has held {target}.lock for {_LOCK_SECONDS} seconds; end it, try again"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise DatasetError(
            f"{target.name} is not in the cache folder {target.parent}, and nothing can be written "
            f"there ({error}); free some space or set LABKIT_DATA to a folder you can write to"
        ) from error


def _cached(target: Path, source: Source) -> bytes | str:
    """Return the file's bytes if they are right, else what is wrong with it."""
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        return "not there"
    except OSError as error:
        return f"unreadable: {error.strerror}"
    digest = hashlib.sha256(data).hexdigest()
    return data if digest == source.sha256 else f"damaged: its sha256 is {digest[:12]}…"


def _download(source: Source, target: Path, state: str, settings: IndexSettings) -> bytes:
    from labkit.datasets.transfer import Failure, bring, open_session  # slow to import

    places = settings.indexes if source.url is None else (source.url,)
    tried = [f"in {target} ({state})"]
    if not places:
        tried.append("in no package index (pip is set to no-index)")
    with open_session(settings) as session:
        for place in places:
            try:
                return bring(session, place, source, target, settings)
            except Failure as failure:
                tried.append(f"at {urlsplit(place).hostname} ({failure})")
    dataset = target.parent.name
    raise DatasetError(
        f"{dataset}: cannot get {source.file} (sha256 {source.sha256[:12]}…); looked "
        f"{', '.join(tried)}; connect to a network and load again, or put the file at that path, "
        f"or set LABKIT_DATA to a folder that holds {dataset}/{source.file}"
    )
