"""Reading texts out of a .tar.gz in memory: nothing is unpacked to disk."""

import re
import tarfile
from io import BytesIO


def read_folder(archive: bytes, folder: str, suffix: str) -> dict[str, bytes]:
    """Return the regular files right in `folder` (with its last slash) that end in `suffix`.

    They go by their names without the suffix. Links, devices, sub-folders and names that climb out
    (`../`) are passed over. The archive is one whose sha256 was verified, so that it is whole and
    no larger than expected.
    """
    wanted = re.compile(re.escape(folder) + r"([\w-]+)" + re.escape(suffix), re.ASCII)
    texts = {}
    with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            match = wanted.fullmatch(member.name)
            file = tar.extractfile(member) if match and member.isreg() else None
            if match and file:
                texts[match[1]] = file.read()
    return texts
