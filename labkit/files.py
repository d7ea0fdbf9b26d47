"""Files that are either whole or absent."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that nobody ever sees a part of it, creating its folder if need be.

    The content goes to a temporary neighbour first, which then takes the file's name in one step.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not a file of the module tempfile: only its owner could read that, and others share a cache.
    neighbour = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with neighbour.open("xb") as file:
            file.write(data)
        os.replace(neighbour, path)
    except BaseException:
        neighbour.unlink(missing_ok=True)
        raise
