"""Reading texts out of a .tar.gz, a .zip or a wheel in memory: nothing is unpacked to disk."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from io import BytesIO

ZIP = b"PK"
"""How every zip begins."""


def read_folder(archive: bytes, folder: str, suffix: str) -> dict[str, bytes]:
    """Return the regular files right in `folder` (with its last slash) that end in `suffix`.

    They go by their names without the suffix. Links, devices, sub-folders and names that climb out
    (`../`) are passed over. The archive is one whose sha256 was verified, so that it is whole and
    no larger than expected.
    """
    wanted = re.compile(re.escape(folder) + r"([\w-]+)" + re.escape(suffix), re.ASCII)
    read = _read_zip if archive.startswith(ZIP) else _read_tar
    return dict(read(archive, wanted))


def _read_tar(archive: bytes, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            match = wanted.fullmatch(member.name)
            file = tar.extractfile(member) if match and member.isreg() else None
            if match and file:
                yield match[1], file.read()


def _read_zip(archive: bytes, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(BytesIO(archive)) as file:
        for name in file.namelist():  # a link in a zip is a file that holds where it points
            if match := wanted.fullmatch(name):
                yield match[1], file.read(name)
