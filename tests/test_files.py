"""A file is whole or absent, whoever looks and whatever goes wrong."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.files import write_atomically


@pytest.mark.parametrize("content", ["", "one\r\ntwo\n猫\0", b"\xff\x00\r\n"])
def test_what_was_written_is_there_byte_for_byte(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a folder" / "with 猫" / "file.txt"
    write_atomically(path, content)
    expected = content.encode("utf-8") if isinstance(content, str) else content
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    seen = []

    def replace(source: Path, target: Path) -> None:
        seen.append((Path(target).read_text(), Path(source).read_text()))
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    write_atomically(path, "new")
    assert seen == [("old", "new")], "until the last step the old file is whole, and so is the new"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [OSError(28, "no space left on device"), KeyboardInterrupt()])
def test_when_writing_fails_the_old_file_stays_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(source: Path, target: Path) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(error)):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "child", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "text")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


WRITE_MANY = """
import sys
from pathlib import Path
from labkit.files import write_atomically
for _ in range(200):
    write_atomically(Path(sys.argv[1]), sys.argv[2] * 50_000)
"""


def test_two_processes_that_write_one_file_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "a" * 50_000)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_MANY, str(path), letter]) for letter in "ab"
    ]
    contents = set()
    while any(writer.poll() is None for writer in writers):
        contents.add(path.read_text())
    assert [writer.wait() for writer in writers] == [0, 0]
    assert contents | {path.read_text()} <= {"a" * 50_000, "b" * 50_000}
    assert list(tmp_path.iterdir()) == [path]
