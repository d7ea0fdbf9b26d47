"""The cache: a file is read from it, verified, or brought into it.

A file is read into memory, its sha256 is checked, and only then is it looked at; nothing of it
is executed, installed or unpacked to disk. It takes its place in the cache by one rename, under
a lock, so no process ever sees half a file and only one downloads it.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from corpora.registry import DatasetError, Source
from labkit.files import write_atomically


def cache_folder() -> Path:
    """Return the folder of downloaded files: `$LABKIT_DATA`, or the user's cache folder."""
    chosen = os.environ.get("LABKIT_DATA")
    return Path(chosen).expanduser() if chosen else user_cache_path("labkit")


def obtain(
    dataset: str, source: Source, cache: Path, *, options: Mapping[str, str] | None = None
) -> bytes:
    """Return the verified bytes of a dataset's file, downloading it when the cache lacks it.

    A cached file whose sha256 is wrong is fetched again. `options` default to pip's own.
    DatasetError says what was looked for, where, and what to do.
    """
    target = cache / dataset / source.file
    try:
        data = _cached(target, source)
        if data is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{target}.lock"):
                data = _cached(target, source)  # another process may have brought it meanwhile
                if data is None:
                    from corpora.index import download  # slow to import

                    data = download(source, target, options)
                    write_atomically(target, data)
        return data
    except (OSError, NotImplementedError) as error:
        raise DatasetError(
            f"{target.name} cannot be read or written in the cache folder {target.parent} "
            f"({error}); free some space or set LABKIT_DATA to a folder you can write to"
        ) from error


def _cached(target: Path, source: Source) -> bytes | None:
    """Return the file's bytes, or None where it is not there or not the right one."""
    data = target.read_bytes() if target.exists() else b""
    return data if hashlib.sha256(data).hexdigest() == source.sha256 else None
