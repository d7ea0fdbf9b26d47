"""Reading texts out of a .tar.gz in memory: nothing is unpacked to disk."""

import re
import tarfile
import zlib
from io import BytesIO

from labkit.datasets.registry import DatasetError

MAX_MEMBER = 2_000_000
"""bytes of one text"""
MAX_MEMBERS = 1000
"""texts in one folder"""


def read_folder(archive: bytes, folder: str) -> dict[str, bytes]:
    """Return the regular .txt files that lie directly in `folder` (with its last slash), by name.

    Links, devices, sub-folders and names that climb out (`../`) are passed over. DatasetError when
    the archive is broken, a name occurs twice, or a text is larger than any should be.
    """
    wanted = re.compile(re.escape(folder) + r"([\w-]+\.txt)", re.ASCII)
    texts: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                match = wanted.fullmatch(member.name)
                if match is None or not member.isreg():
                    continue
                name = match[1]
                if name in texts or member.size > MAX_MEMBER or len(texts) == MAX_MEMBERS:
                    raise DatasetError(
                        f"{member.name} ({member.size} bytes) is in the archive twice, or is more "
                        f"than {MAX_MEMBER} bytes or {MAX_MEMBERS} files; it is not what was asked "
                        "for, so delete the file from the cache folder and load again"
                    )
                file = tar.extractfile(member)
                texts[name] = file.read() if file else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetError(f"The archive cannot be read as .tar.gz: {error}") from error
    return texts
