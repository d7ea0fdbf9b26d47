"""What students hand in is kept whole, whoever is hostile or unlucky, and nobody is mistaken."""

import io
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom import collect as module
from classroom.collect import Arrival, collect
from labkit.course import CourseError
from labkit.course.record import Record
from labkit.course.settings import Assignment, Course, Student

DEADLINE = datetime(2027, 3, 1, 23, 59, tzinfo=UTC)
BEFORE, AFTER = (2025, 3, 1, 12, 0, 0), (2025, 3, 9, 12, 0, 0)
ROSTER = (
    Student("ada", "Ada Lovelace", "ada.l@uni.edu"),
    Student("bob", "Bob Smith", "bob@uni.edu"),
    Student("2024010101", "王小明"),
    Student("zoe", "Zoë Müller"),
    Student("sam1", "Sam Lee"),
    Student("sam2", "Sam Lee"),
    Student("67890", "Number Smith"),
)


def notebook(text: str = "x = 1") -> bytes:
    cells = [{"cell_type": "code", "source": text, "metadata": {"nbgrader": {"grade_id": "q"}}}]
    return json.dumps({"cells": cells}).encode()


@pytest.fixture
def course(tmp_path: Path) -> Course:
    due = {name: Assignment(name=name, deadline=DEADLINE) for name in ("ps1", "ps2")}
    roster = {student.id: student for student in ROSTER}
    (tmp_path / "course").mkdir()
    return Course(
        folder=tmp_path / "course", title="", seed="x" * 16, assignments=due, roster=roster
    )


def take(course: Course, source: Path, received: datetime | None = None) -> list[Arrival]:
    with Record(course.folder / "grades.sqlite") as record:
        return collect(course, course.assignments["ps1"], source, record, received)


def rows(course: Course) -> list[tuple[str, str, str, str]]:
    """Every submission of the record, in its order."""
    with Record(course.folder / "grades.sqlite") as record:
        found = record.connection.execute(
            "SELECT student, sha256, received, path FROM submissions ORDER BY id"
        )
        return [tuple(row) for row in found]


def kept(course: Course) -> dict[str, bytes]:
    """Every file of the course folder but the record."""
    files = (path for path in course.folder.rglob("*") if path.is_file())
    return {
        path.relative_to(course.folder).as_posix(): path.read_bytes()
        for path in files
        if not path.name.startswith("grades.sqlite")
    }


def whose(arrivals: Sequence[Arrival]) -> dict[str, str | None]:
    """Who handed in what, by the last part of where it came from, of accepted files."""
    return {item.origin.split("/")[-1]: item.student for item in arrivals if item.accepted}


def refused(arrivals: Sequence[Arrival]) -> dict[str, str]:
    """Why something was refused, by the last part of where it came from."""
    return {item.origin.split("/")[-1]: item.reason for item in arrivals if not item.accepted}


def zipped(
    files: Mapping[str, bytes], when: Sequence[int] = BEFORE, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (*when,))  # type: ignore[arg-type]
            info.compress_type = method
            archive.writestr(info, content)
    return target.getvalue()


def written(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def packed(tmp_path: Path, data: bytes | Mapping[str, bytes], name: str = "export.zip") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else zipped(data))
    return path


def test_a_folder_of_notebooks_named_after_students(tmp_path: Path, course: Course) -> None:
    files = {
        "ada.ipynb": notebook("1"),
        "bob_ps1.ipynb": notebook("2"),
        "王小明.ipynb": notebook("3"),
        "Müller Zoe (2).IPYNB": notebook("4"),
    }
    arrivals = take(course, written(tmp_path / "in", files))
    assert whose(arrivals) == {
        "ada.ipynb": "ada",
        "bob_ps1.ipynb": "bob",
        "王小明.ipynb": "2024010101",
        "Müller Zoe (2).IPYNB": "zoe",
    }
    for item in arrivals:
        content = files[item.origin.split("/")[-1]]
        digest = sha256(content).hexdigest()
        assert item.path == course.folder / f"submissions/ps1/{item.student}/{digest}.ipynb"
        assert item.path.read_bytes() == content
        assert (item.reason, item.is_new) == ("", True)
    assert {row[3] for row in rows(course)} == set(kept(course))


def test_of_two_files_of_a_student_both_are_kept_and_the_later_counts(
    tmp_path: Path, course: Course
) -> None:
    source = written(
        tmp_path / "in", {"ada.ipynb": notebook("late"), "ada-2.ipynb": notebook("early")}
    )
    os.utime(source / "ada-2.ipynb", (1_600_000_000, 1_600_000_000))
    assert len(take(course, source)) == 2
    with Record(course.folder / "grades.sqlite") as record:
        (counts,) = record.submissions("ps1")
    assert counts.sha256 == sha256(notebook("late")).hexdigest()
    assert len(rows(course)) == 2


def test_at_the_same_time_the_copy_counts(tmp_path: Path, course: Course) -> None:
    files = {"ada-2.ipynb": notebook("second"), "ada.ipynb": notebook("first")}
    take(course, packed(tmp_path, files))
    with Record(course.folder / "grades.sqlite") as record:
        (counts,) = record.submissions("ps1")
    assert counts.sha256 == sha256(notebook("second")).hexdigest()


def test_a_folder_a_student_and_one_around_them(tmp_path: Path, course: Course) -> None:
    files = {
        "all/ada/ps1.ipynb": notebook("1"),
        "all/ada/data.csv": b"1,2",
        "all/ada/.ipynb_checkpoints/ps1-checkpoint.ipynb": notebook("old"),
        "all/ps1-bob/work/answer.ipynb": notebook("2"),
        "__MACOSX/all/ada/._ps1.ipynb": b"\0\5\26\7",
    }
    expected = {"ps1.ipynb": "ada", "answer.ipynb": "bob"}
    for source in (written(tmp_path / "in", files), packed(tmp_path, files)):
        arrivals = take(course, source)
        assert whose(arrivals) == expected
        assert not refused(arrivals)


def test_a_clone_is_read_without_git(tmp_path: Path, course: Course) -> None:
    source = written(tmp_path / "clones", {"ada/ps1.ipynb": notebook(), "ada/README.md": b"hi"})
    done = tmp_path / "done"
    command = f'[core]\n\tfsmonitor = "touch {done}"\n\thooksPath = hooks\n'
    hostile = {"config": command.encode(), "HEAD": b"ref: x\n", "x.ipynb": b"{", "\x1b": b""}
    written(source / "ada" / ".git", hostile)
    os.mkfifo(source / "ada" / ".git" / "index")
    os.utime(source / "ada" / "ps1.ipynb", (1_740_000_000, 1_740_000_000))
    arrivals = take(course, source)
    assert [(item.student, item.accepted) for item in arrivals] == [("ada", True)]
    assert rows(course)[0][2] == "2025-02-19T21:20:00+00:00"
    assert not done.exists()


MOODLE = "assignsubmission_file"


def test_a_zip_from_moodle(tmp_path: Path, course: Course) -> None:
    files = {
        f"Ada Lovelace_11_{MOODLE}_/ps1.ipynb": notebook("1"),
        "Ada Lovelace_11_assignsubmission_onlinetext_/onlinetext.html": b"<p>done</p>",
        f"Bob Smith_2024010101_{MOODLE}/answer of ada.ipynb": notebook("2"),
        f"小明 王_67890_{MOODLE}_/2/ps1.ipynb": notebook("3"),
        f"Zoë Müller_14_{MOODLE}_ps1.ipynb": notebook("4"),
    }
    arrivals = take(course, packed(tmp_path, files))
    assert [item.student for item in arrivals] == ["ada", "bob", "zoe", "2024010101"]
    assert not refused(arrivals)


def test_moodles_number_and_the_students_own_names_say_nothing(
    tmp_path: Path, course: Course
) -> None:
    files = {
        f"Ada King_2024010101_{MOODLE}_/ada.ipynb": notebook("1"),
        f"Participant_67890_{MOODLE}_/ps1.ipynb": notebook("2"),
        f"Sam Lee_12_{MOODLE}_/sam1_ps1.ipynb": notebook("3"),
        f"Ada Lovelace_11_{MOODLE}_/Bob Smith_1_{MOODLE}_.ipynb": notebook("4"),
        f"Ada Lovelace_11_{MOODLE}_Bob Smith_1_{MOODLE}_ps1.ipynb": notebook("5"),
    }
    arrivals = take(course, packed(tmp_path, files))
    accepted = [item for item in arrivals if item.accepted]
    assert {item.student for item in accepted} == {"ada"}
    why = refused(arrivals)
    assert "as 'Ada King_2024010101', which means nobody" in why["ada.ipynb"]
    assert "as 'Participant_67890', which means nobody" in why["ps1.ipynb"]
    assert "which means sam1 or sam2 on the roster" in why["sam1_ps1.ipynb"]


def test_a_folder_of_moodle_is_never_one_around_everything(tmp_path: Path, course: Course) -> None:
    files = {f"Ada King_1_{MOODLE}_/ada.ipynb": notebook()}
    (item,) = take(course, packed(tmp_path, files))
    assert (item.student, item.accepted) == (None, False)


def test_a_zip_from_canvas(tmp_path: Path, course: Course) -> None:
    files = {
        "lovelaceada_12345_111111_ps1-1.ipynb": notebook("1"),
        "smithbob_LATE_2024010101_222222_ada.ipynb": notebook("2"),
        "王小明_12347_67890_x_1_2_bob.ipynb": notebook("3"),
        "anon_Ab12C_2024010101_ps1.ipynb": notebook("4"),
        "LATE_anon_Ab12D_2024010101_ps1.ipynb": notebook("5"),
        "leesam_12348_333333_ps1.ipynb": notebook("6"),
    }
    late = (2027, 3, 5, 12, 0, 0)
    source = packed(tmp_path, zipped(files, late))
    later = datetime(*late).timestamp() + 60
    os.utime(source, (later, later))
    arrivals = take(course, source, None)
    assert [item.student for item in arrivals if item.accepted] == ["ada", "bob", "2024010101"]
    assert len(refused(arrivals)) == 3


@pytest.mark.parametrize(("beside", "expected"), [({}, True), ({"zoe.ipynb": notebook()}, False)])
def test_canvas_says_what_is_late(
    tmp_path: Path, course: Course, beside: dict[str, bytes], expected: bool
) -> None:
    past = course.assignments["ps1"].model_copy(
        update={"deadline": datetime(2025, 3, 5, tzinfo=UTC)}
    )
    early = course.model_copy(update={"assignments": {"ps1": past}})
    names = ["lovelaceada_1_2_ps1.ipynb", "smithbob_LATE_3_4_ps1.ipynb"]
    files = {name: notebook(name) for name in names} | beside
    take(early, packed(tmp_path, zipped(files, AFTER)))
    came = {row[0]: datetime.fromisoformat(row[2]) for row in rows(early)}
    assert (came["ada"] <= past.deadline) == expected
    assert came["bob"] > past.deadline


def test_a_students_zip_is_opened_and_came_when_it_came(tmp_path: Path, course: Course) -> None:
    own = zipped({"mine/ps1.ipynb": notebook(), "mine/old.ipynb": b""}, (2001, 1, 1, 0, 0, 0))
    arrivals = take(course, packed(tmp_path, {f"Ada Lovelace_1_{MOODLE}_/work.zip": own}))
    assert whose(arrivals) == {"ps1.ipynb": "ada"}
    assert arrivals[0].origin == f"export.zip/Ada Lovelace_1_{MOODLE}_/work.zip/mine/ps1.ipynb"
    assert datetime.fromisoformat(rows(course)[0][2]) == datetime(*BEFORE).astimezone()


def test_a_zip_may_be_named_after_its_student(tmp_path: Path, course: Course) -> None:
    files = {"ada.zip": zipped({"x.ipynb": notebook()}), "nobody.zip": zipped({"ada.ipynb": b""})}
    arrivals = take(course, written(tmp_path / "in", files))
    assert whose(arrivals) == {"x.ipynb": "ada"}
    assert arrivals[1].path.read_bytes() == files["nobody.zip"]


PLAIN = {"ps1.ipynb": notebook()}


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        (zipped({"b.zip": zipped(PLAIN)}), "b.zip", "is no notebook, and none came with it"),
        (zipped({}), "a.zip", "is a zip that holds no files"),
        (zipped({".hidden/ps1.ipynb": b""}), "a.zip", "is a zip that holds no files"),
        (b"PK\3\4 and no more", "a.zip", "is no sound file: BadZipFile"),
        (zipped(PLAIN)[:-30], "a.zip", "is no sound file: BadZipFile"),
        (zipped({str(n): b"" for n in range(10_001)}), "a.zip", "holds more than 10000 files"),
        (zipped({"a": b"0" * 9}).replace(b"a", b"\xff"), "a.zip", "no notebook"),
    ],
)
def test_a_students_zip_that_is_refused_is_kept(
    tmp_path: Path, course: Course, data: bytes, name: str, why: str
) -> None:
    source = packed(tmp_path, {"ada/a.zip": data, "bob/ps1.ipynb": notebook()})
    arrivals = take(course, source)
    assert whose(arrivals) == {"ps1.ipynb": "bob"}
    (item,) = [item for item in arrivals if not item.accepted]
    assert item.student == "ada"
    assert why in item.reason
    if name == "a.zip" and "no notebook" not in why:
        assert item.path.read_bytes() == data
    told = item.path.with_name(f"{item.path.name}.txt").read_text("utf-8")
    assert told == item.reason + "\n"


def test_a_name_that_is_no_utf_8_though_it_says_so(tmp_path: Path, course: Course) -> None:
    data = zipped({"é.ipynb": notebook()}).replace("é".encode(), b"\xff\xff")
    arrivals = take(course, packed(tmp_path, {"ada/a.zip": data, "bob/ps1.ipynb": notebook()}))
    assert refused(arrivals)["a.zip"].endswith("is no sound file: UnicodeDecodeError")
    assert whose(arrivals) == {"ps1.ipynb": "bob"}
    with pytest.raises(CourseError, match=r"bad\.zip is no folder, notebook or zip to read"):
        take(course, packed(tmp_path, data, "bad.zip"))


@pytest.mark.parametrize(
    "name",
    [
        "ada/../../../ps1.ipynb",
        "../ada.ipynb",
        "/etc/ada.ipynb",
        "/ada/ps1.ipynb",
        "C:/ada.ipynb",
        "c:ada.ipynb",
        "ada\\ps1.ipynb",
        "ada/..\\ps1.ipynb",
        "ada/\x1b[2Jps1.ipynb",
        "ada/ps1\n.ipynb",
        "ada/ps1.ipynb\0.txt",
        "ada/\x7f.ipynb",
        "../.bashrc",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_and_its_bytes_kept(
    tmp_path: Path, course: Course, name: str
) -> None:
    shape = "A" * len(name)
    data = zipped({shape: notebook("evil"), "bob/ps1.ipynb": notebook()})
    arrivals = take(course, packed(tmp_path, data.replace(shape.encode(), name.encode())))
    assert whose(arrivals) == {"ps1.ipynb": "bob"}
    (item,) = [item for item in arrivals if not item.accepted]
    assert "has a path that leads elsewhere" in item.reason or "control" in item.reason
    assert item.reason.isprintable()
    assert item.path.read_bytes() == notebook("evil")
    assert item.path.parent == course.folder / "inbox" / "ps1"
    assert set(os.listdir(tmp_path)) == {"course", "export.zip"}


def special(name: str, mode: int, content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo(name, BEFORE)
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, content)
        archive.writestr("bob/ps1.ipynb", notebook())
    return target.getvalue()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_a_device_in_a_zip(tmp_path: Path, course: Course, kind: int) -> None:
    secret = written(tmp_path, {"secret.ipynb": notebook("secret")}) / "secret.ipynb"
    data = special("ada/ps1.ipynb", kind | 0o777, str(secret).encode())
    arrivals = take(course, packed(tmp_path, data))
    assert refused(arrivals)["ps1.ipynb"].endswith(
        "is no regular file but a link, a device or a closed folder"
    )
    assert [item.student for item in arrivals if item.accepted] == ["bob"]
    assert notebook("secret") not in kept(course).values()


def test_links_and_pipes_in_a_folder_are_neither_followed_nor_waited_for(
    tmp_path: Path, course: Course
) -> None:
    secret = written(tmp_path / "out", {"ps1.ipynb": notebook("secret")})
    source = written(tmp_path / "in", {"bob/ps1.ipynb": notebook()})
    for name in ("ada", "zoe", "sam1", "2024010101"):
        (source / name).mkdir()
    (source / "ada" / "ps1.ipynb").symlink_to(secret / "ps1.ipynb")
    (source / "zoe" / "work").symlink_to(secret)
    (source / "sam1" / "up").symlink_to(source)
    os.mkfifo(source / "2024010101" / "ps1.ipynb")
    (source / "67890").symlink_to(secret)
    arrivals = take(course, source)
    assert [item.student for item in arrivals if item.accepted] == ["bob"]
    assert {item.student for item in arrivals if not item.accepted} == {
        *("ada", "zoe", "sam1", "2024010101", "67890")
    }
    for item in arrivals:
        assert item.accepted or "is no regular file" in item.reason
        assert item.accepted or item.reason.endswith(f"it was left in {source}")
        assert item.accepted or item.path.read_text("utf-8") == item.reason + "\n"
    assert notebook("secret") not in kept(course).values()


def test_a_folder_that_may_not_be_read(
    tmp_path: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "in", {"ada/ps1.ipynb": notebook(), "bob/ps1.ipynb": notebook()})
    scan = os.scandir

    def scandir(path: str) -> object:
        if os.path.basename(path) == "ada":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    arrivals = take(course, source)
    assert whose(arrivals) == {"ps1.ipynb": "bob"}
    assert list(refused(arrivals)) == ["ada"]


def encrypted() -> bytes:
    """A zip whose first file says that it has a password."""
    data = bytearray(zipped({"ada/ps1.ipynb": notebook(), "bob/ps1.ipynb": notebook()}))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def test_an_encrypted_file(tmp_path: Path, course: Course) -> None:
    arrivals = take(course, packed(tmp_path, encrypted()))
    assert "is encrypted: ask for it without a password; it was left" in arrivals[0].reason
    assert arrivals[1].accepted


def lying(claim: int) -> bytes:
    """A zip that lies about the size of its first file."""
    data = bytearray(zipped({"ada/ps1.ipynb": notebook("9" * 90), "bob/ps1.ipynb": notebook()}))
    at = data.index(b"PK\1\2")
    data[22:26] = data[at + 24 : at + 28] = claim.to_bytes(4, "little")
    return bytes(data)


def test_an_offset_beyond_everything(tmp_path: Path, course: Course) -> None:
    data = zipped({"ps1.ipynb": notebook()})
    at = data.index(b"PK\1\2")
    extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    head = bytearray(data[at : data.index(b"PK\5\6")])
    head[30:32], head[42:46] = struct.pack("<H", len(extra)), b"\xff" * 4
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(head) + len(extra), at, 0)
    own = data[:at] + bytes(head) + extra + end
    arrivals = take(course, packed(tmp_path, {"ada/a.zip": own, "bob/ps1.ipynb": notebook()}))
    assert refused(arrivals)["ps1.ipynb"].endswith(f"it was left in {tmp_path / 'export.zip'}")
    assert [item.student for item in arrivals if item.accepted] == ["bob"]


def test_a_size_that_is_too_small_is_no_whole_file(tmp_path: Path, course: Course) -> None:
    arrivals = take(course, packed(tmp_path, lying(10)))
    assert "is no sound file: BadZipFile; it was left in" in arrivals[0].reason
    assert arrivals[1].accepted


def test_a_size_that_is_too_large_harms_nobody(tmp_path: Path, course: Course) -> None:
    assert all(item.accepted for item in take(course, packed(tmp_path, lying(2**31))))


def test_a_file_that_is_another_inside_is_damaged(tmp_path: Path, course: Course) -> None:
    data = zipped({"ada/ps1.ipynb": notebook(), "bob/ps1.ipynb": notebook()})
    arrivals = take(course, packed(tmp_path, data.replace(b"ada/ps1", b"zoe/ps1", 1)))
    assert [item.accepted for item in arrivals] == [False, True]


def test_a_bomb_stops_while_it_is_read(tmp_path: Path, course: Course) -> None:
    bomb = zipped({"ps1.ipynb": b" " * 30_000_000})
    files = {"ada/a.zip": bomb, "bob/ps1.ipynb": notebook(), "zoe/ps1.ipynb": b" " * 30_000_000}
    arrivals = take(course, packed(tmp_path, files))
    assert [item.student for item in arrivals if item.accepted] == ["bob"]
    for item in arrivals:
        assert item.accepted or "unpacks to over 300 times its size: a bomb" in item.reason
    assert sum(map(len, kept(course).values())) < 10_000


def test_what_compresses_well_but_is_small_is_no_bomb(tmp_path: Path, course: Course) -> None:
    loud = notebook("print(0)\n" * 100_000)
    source = packed(tmp_path, {"ada.ipynb": loud})
    with zipfile.ZipFile(source) as archive:
        assert archive.infolist()[0].compress_size * 200 < len(loud)
    assert take(course, source)[0].accepted


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_unpacks_without_a_limit_is_not_tried(
    tmp_path: Path, course: Course, method: int
) -> None:
    bomb = zipped({"ada/ps1.ipynb": b" " * 100_000_000}, method=method)
    (item,) = take(course, packed(tmp_path, bomb))
    assert "is no sound file: NotImplementedError" in item.reason


def test_what_is_too_large_stays_where_it_is(
    tmp_path: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_KEPT", 2_000)
    files = {"ada.ipynb": notebook("9" * 3_000), "bob.ipynb": notebook()}
    for source in (written(tmp_path / "in", files), packed(tmp_path, files)):
        first, second = take(course, source)
        assert "is too large" in first.reason
        assert first.reason.endswith(f"it was left in {source}")
        assert first.path.read_text("utf-8") == first.reason + "\n"
        assert second.accepted


def test_a_hand_in_has_a_limit_that_others_do_not_feel(
    tmp_path: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"ada/{n}.ipynb": notebook("9" * 1_000) for n in range(20)}
    source = packed(tmp_path, many | {"bob/ps1.ipynb": notebook(), "zoe/a.txt": b""})
    monkeypatch.setattr(module.Meter.__init__, "__defaults__", (10_000,))
    arrivals = take(course, source)
    assert [item.student for item in arrivals if item.accepted] == ["bob"]
    assert sum("it was left in" in item.reason for item in arrivals) == 11
    assert all("is one of 20 notebooks" in item.reason for item in arrivals[:20])


def test_a_hand_in_of_too_many_files(
    tmp_path: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 9)
    many = {f"ada/{n}.txt": b"" for n in range(10)} | {"ada/ps1.ipynb": notebook()}
    arrivals = take(course, written(tmp_path / "in", many | {"bob/ps1.ipynb": notebook()}))
    assert [(item.student, item.accepted) for item in arrivals] == [("ada", False), ("bob", True)]
    assert "is one of more than 9 files" in arrivals[0].reason


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a notebook: JSONDecodeError"),
        (b"\xff\xfe{}", "is not UTF-8 text, which every notebook is"),
        (b"print('hello')", "is not a notebook: JSONDecodeError"),
        (b"[]", "is not a notebook: TypeError"),
        (b'{"cells": {}}', "is not a notebook: TypeError"),
        (b'{"worksheets": []}', "is not a notebook: KeyError"),
        (b"[" * 100_000, "is not a notebook: RecursionError"),
        (b'{"cells": ' + b"9" * 5_000 + b"}", "is not a notebook: ValueError"),
        (b" " * 20_000_001, "has 20 MB, more than 20: clear the outputs"),
    ],
)
def test_what_is_no_notebook_is_kept_with_the_reason(
    tmp_path: Path, course: Course, content: bytes, why: str
) -> None:
    source = written(tmp_path / "in", {"ada.ipynb": content, "bob.ipynb": notebook()})
    arrivals = take(course, source)
    assert [item.accepted for item in arrivals] == [False, True]
    assert arrivals[0].reason.startswith(f"in/ada.ipynb {why}")
    assert arrivals[0].path.read_bytes() == content
    assert arrivals[0].student == "ada"


def test_a_notebook_may_begin_with_a_mark_of_its_encoding(tmp_path: Path, course: Course) -> None:
    content = b"\xef\xbb\xbf" + notebook()
    (item,) = take(course, written(tmp_path / "in", {"ada.ipynb": content}))
    assert item.accepted
    assert item.path.read_bytes() == content


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ps1.ipynb", "notes.ipynb"], "ps1.ipynb"),
        (["ps1.ipynb", "my ps1.ipynb", "ps2.ipynb"], "ps1.ipynb"),
        (["PS1.ipynb", "notes.ipynb"], "PS1.ipynb"),
        (["my_ps1_final.ipynb", "notes.ipynb"], "my_ps1_final.ipynb"),
        (["answers.ipynb", "data.csv"], "answers.ipynb"),
        (["a/ps1.ipynb", "b/ps1.ipynb"], "is one of 2 notebooks: ask which is ps1.ipynb"),
        (["a.ipynb", "b.ipynb"], "is one of 2 notebooks: ask which is ps1.ipynb"),
        (["ps1 a.ipynb", "ps1 b.ipynb"], "is one of 2 notebooks: ask which is ps1.ipynb"),
        (["ps10.ipynb", "eps1.ipynb"], "is one of 2 notebooks: ask which is ps1.ipynb"),
        (["ps2.ipynb"], "is called after ps2, and this is ps1"),
        (["report.pdf"], "is no notebook, and none came with it"),
        (["report.pdf", "data.csv"], "is no notebook, and none came with it"),
    ],
)
def test_which_file_is_the_submission(
    tmp_path: Path, course: Course, names: list[str], expected: str
) -> None:
    files = {f"ada/{name}": notebook(name) for name in names}
    arrivals = take(course, packed(tmp_path, files | {"bob/ps1.ipynb": notebook()}))
    mine = [item for item in arrivals if item.student == "ada"]
    if expected in names:
        assert [item.path.read_bytes() for item in mine] == [notebook(expected)]
        assert mine[0].accepted
    else:
        assert all(item.reason.endswith(expected) for item in mine)
        assert sorted(item.path.read_bytes() for item in mine) == sorted(files.values())


def test_the_teachers_notebook_may_have_another_name(tmp_path: Path, course: Course) -> None:
    own = course.assignments["ps1"].model_copy(update={"notebook": "31"})
    named = course.model_copy(update={"assignments": {"ps1": own}})
    files = {
        "ada/31_attention.ipynb": notebook(),
        "ada/notes.ipynb": notebook(),
        "bob_31_attention.ipynb": notebook(),
        "31_attention.ipynb": notebook(),
    }
    arrivals = take(named, written(tmp_path / "in", files))
    expected = {"31_attention.ipynb": "ada", "bob_31_attention.ipynb": "bob"}
    assert whose(arrivals) == expected
    assert len(refused(arrivals)) == 1


def test_a_problem_is_not_passed_over_for_another_file(tmp_path: Path, course: Course) -> None:
    source = written(tmp_path / "in", {"ada/draft.ipynb": notebook(), "bob/ps1.ipynb": b""})
    (source / "ada" / "ps1.ipynb").symlink_to(source / "ada" / "draft.ipynb")
    arrivals = take(course, source)
    assert not whose(arrivals)
    assert list(refused(arrivals)) == ["ps1.ipynb"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_one_name_in_a_zip_both_are_kept(tmp_path: Path, course: Course) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for text in ("first", "second"):
            archive.writestr(zipfile.ZipInfo("ada/ps1.ipynb", BEFORE), notebook(text))
        archive.writestr("bob/ps1.ipynb", notebook())
    arrivals = take(course, packed(tmp_path, target.getvalue()))
    assert [item.student for item in arrivals if item.accepted] == ["ada", "ada", "bob"]
    with Record(course.folder / "grades.sqlite") as record:
        ada, _ = record.submissions("ps1")
    assert (course.folder / ada.path).read_bytes() == notebook("second")


@pytest.mark.parametrize(
    ("name", "encoding", "student"),
    [
        ("王小明", "utf-8", "2024010101"),
        ("王小明", "gb18030", "2024010101"),
        ("Zoë Müller", "utf-8", "zoe"),
        ("Zoë Müller", "cp437", "zoe"),
        ("猫", "gb18030", None),
    ],
)
def test_a_name_in_an_encoding_that_is_not_told(
    tmp_path: Path, course: Course, name: str, encoding: str, student: str | None
) -> None:
    raw = name.encode(encoding)
    shape = "A" * len(raw)
    for form in ("{}.ipynb", "all/{}/ps1.ipynb", f"{{}}_1_{MOODLE}_/ps1.ipynb"):
        files = {form.format(shape): notebook(), form.format("bob"): notebook()}
        arrivals = take(course, packed(tmp_path, zipped(files).replace(shape.encode(), raw)))
        assert {item.student for item in arrivals} == {student, "bob"}


def test_a_folder_may_have_a_name_in_no_encoding(tmp_path: Path, course: Course) -> None:
    source = written(tmp_path / "in", {"bob.ipynb": notebook()})
    Path(os.fsdecode(os.fsencode(source) + b"/\xff 2024010101.ipynb")).write_bytes(notebook("2"))
    Path(os.fsdecode(os.fsencode(source) + b"/\xff.ipynb")).write_bytes(notebook("3"))
    arrivals = take(course, source)
    assert {item.student for item in arrivals} == {"bob", "2024010101", None}
    assert refused(arrivals) == {
        "\\udcff.ipynb": "in/\\udcff.ipynb comes as '\\udcff.ipynb', which means nobody on the "
        "roster: name it after an id, and collect again"
    }


@pytest.fixture
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is eight hours ahead."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("shanghai")
def test_the_time_is_the_files_in_the_deadlines_zone_unless_it_is_said(
    tmp_path: Path, course: Course
) -> None:
    source = packed(tmp_path, zipped({"ada.ipynb": notebook()}, BEFORE))
    take(course, source)
    assert datetime.fromisoformat(rows(course)[0][2]) == datetime(*BEFORE, tzinfo=UTC)
    said = datetime(2025, 1, 2, 3, 4, 5)
    take(course, written(tmp_path / "in", {"bob.ipynb": notebook()}), said)
    assert rows(course)[1][2] == "2025-01-02T03:04:05+00:00"


def test_a_time_that_was_wrong_is_put_right_and_kept(tmp_path: Path, course: Course) -> None:
    source = packed(tmp_path, zipped({"ada.ipynb": notebook()}, BEFORE))
    for said, now in ((None, "2025-03-01T12:00:00"), (datetime(2025, 2, 1), "2025-02-01T00:00:00")):
        (arrival,) = take(course, source, said)
        assert arrival.accepted
        assert [row[2] for row in rows(course)] == [f"{now}+00:00"]
    take(course, source)
    assert [row[2] for row in rows(course)] == ["2025-02-01T00:00:00+00:00"]
    with Record(course.folder / "grades.sqlite") as record:
        assert ", first 2025-03-01T12:00:00" in record.submissions("ps1")[0].origin


@pytest.mark.parametrize(
    "stamp", [0, 0xFFFFFFFF, 33 << 16, 0xFF9F0000], ids=["none", "absurd", "1980", "2107"]
)
def test_a_time_that_cannot_be_is_that_of_the_zip(
    tmp_path: Path, course: Course, stamp: int
) -> None:
    data = bytearray(zipped({"ada.ipynb": notebook()}, (1980, 1, 1, 0, 0, 0)))
    at = data.index(b"PK\1\2")
    data[at + 12 : at + 16] = stamp.to_bytes(4, "little")
    source = packed(tmp_path, bytes(data))
    os.utime(source, (1_740_000_000, 1_740_000_000))
    assert take(course, source)[0].accepted
    assert rows(course)[0][2] == "2025-02-19T21:20:00+00:00"


@pytest.mark.parametrize("seconds", [-(2.0**40), 2.0**40])
def test_a_time_outside_of_history_is_now_or_1970(
    tmp_path: Path, course: Course, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "in", {"ada.ipynb": notebook()})
    about = os.stat_result((stat.S_IFREG, 0, 0, 0, 0, 0, 0, 0, int(seconds), 0))
    monkeypatch.setattr(Path, "lstat", lambda path: about)
    assert take(course, source)[0].accepted
    came = datetime.fromisoformat(rows(course)[0][2])
    assert came.year == 1970 or datetime.now(UTC) - came < timedelta(hours=1)


def hostile(tmp_path: Path) -> Path:
    """A zip with every kind of trouble, and two honest students."""
    files = {
        "bob.ipynb": notebook("bob"),
        "../zoe.ipynb": notebook("up"),
        "zoe.ipynb": b"no",
        "nobody.ipynb": notebook("nobody"),
        "sam lee.ipynb": notebook("sam"),
        "ada/a.zip": zipped({"b.zip": zipped(PLAIN)}),
        "67890/ps1.ipynb": b" " * 2_000_000,
        "2024010101/ps1.ipynb": notebook("ming"),
        "2024010101/old.ipynb": notebook("old"),
    }
    return packed(tmp_path, files, "hostile.zip")


def test_collecting_twice_changes_nothing(tmp_path: Path, course: Course) -> None:
    source = hostile(tmp_path)
    first = take(course, source)
    assert [item.student for item in first if item.accepted] == ["2024010101", "bob"]
    assert all(item.is_new for item in first)
    before = kept(course), rows(course)
    times = {path: path.stat().st_mtime_ns for path in course.folder.rglob("*/*/*")}
    second = take(course, source)
    assert [replace(item, is_new=True) for item in second] == first
    assert not any(item.is_new for item in second)
    assert (kept(course), rows(course)) == before
    assert {path: path.stat().st_mtime_ns for path in course.folder.rglob("*/*/*")} == times


def test_a_kept_file_that_was_damaged_is_mended(tmp_path: Path, course: Course) -> None:
    source = written(tmp_path / "in", {"ada.ipynb": notebook()})
    (item,) = take(course, source)
    item.path.write_bytes(b"")
    take(course, source)
    assert item.path.read_bytes() == notebook()


@pytest.fixture
def undisturbed(tmp_path: Path, course: Course) -> tuple[object, int]:
    """What a collection leaves that nobody disturbs, and how many files it writes."""
    other = course.model_copy(update={"folder": tmp_path / "undisturbed"})
    other.folder.mkdir()
    take(other, hostile(tmp_path))
    return (kept(other), rows(other)), len(kept(other))


@pytest.mark.parametrize("what", ["write_atomically", "add_submission"])
def test_stopped_by_an_error_and_begun_again(
    tmp_path: Path,
    course: Course,
    undisturbed: tuple[object, int],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    expected, writes = undisturbed
    owner = module if what == "write_atomically" else Record
    real = getattr(owner, what)
    for fatal in range(1, writes + 1 if owner is module else 3):
        here = course.model_copy(update={"folder": tmp_path / f"{what}{fatal}"})
        here.folder.mkdir()
        calls = iter(range(1, 1000))

        def fail(*args: object, **more: object) -> object:
            if next(calls) == fatal:  # noqa: B023
                raise KeyboardInterrupt
            return real(*args, **more)

        monkeypatch.setattr(owner, what, fail)
        with pytest.raises(KeyboardInterrupt):
            take(here, tmp_path / "hostile.zip")
        assert (kept(here), rows(here)) != expected
        monkeypatch.setattr(owner, what, real)
        take(here, tmp_path / "hostile.zip")
        assert (kept(here), rows(here)) == expected
        take(here, tmp_path / "hostile.zip")
        assert (kept(here), rows(here)) == expected


@pytest.mark.parametrize("fatal", range(1, 6))
def test_killed_and_begun_again(
    tmp_path: Path, course: Course, undisturbed: tuple[object, int], fatal: int
) -> None:
    expected, _ = undisturbed
    code = f"""
import os, signal
from pathlib import Path
from classroom import collect as module
from labkit.course.record import Record
from labkit.course.settings import read_course
write, calls = module.write_atomically, iter(range(1, 1000))
def deadly(path, content):
    if next(calls) == {fatal}:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
module.write_atomically = deadly
course = read_course(Path({str(course.folder)!r}))
with Record(course.folder / "grades.sqlite") as record:
    source = Path({str(tmp_path)!r}, "hostile.zip")
    module.collect(course, course.assignments["ps1"], source, record)
"""
    lines = [f"{item.id},{item.name},{item.email}\n" for item in ROSTER]
    (course.folder / "roster.csv").write_text("id,name,email\n" + "".join(lines), "utf-8")
    dates = "".join(
        f"[assignments.{n}]\ndeadline = {DEADLINE.isoformat()}\n" for n in ("ps1", "ps2")
    )
    (course.folder / "course.toml").write_text('seed = "xxxxxxxxxxxxxxxx"\n' + dates, "utf-8")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    for name in ("roster.csv", "course.toml"):
        (course.folder / name).unlink()
    assert (kept(course), rows(course)) != expected
    take(course, tmp_path / "hostile.zip")
    assert (kept(course), rows(course)) == expected


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path, course: Course) -> None:
    for source in (tmp_path / "none", packed(tmp_path, b"PK", "a.zip"), tmp_path / "none.zip"):
        with pytest.raises(CourseError, match="is no folder, notebook or zip to read"):
            take(course, source)


def test_a_single_notebook_and_an_empty_folder(tmp_path: Path, course: Course) -> None:
    source = written(tmp_path / "in", {"ada.ipynb": notebook(), "bob.ipynb": notebook()})
    assert whose(take(course, source / "ada.ipynb")) == {"ada.ipynb": "ada"}
    (tmp_path / "empty").mkdir()
    assert take(course, tmp_path / "empty") == []
    assert take(course, packed(tmp_path, {})) == []


SOUND = zipped(
    {
        f"Ada Lovelace_1_{MOODLE}_/a.zip": zipped({"ps1.ipynb": notebook()}),
        "bob.ipynb": notebook(),
        "王小明.ipynb": notebook(),
    }
)


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=6))
@settings(max_examples=300)
def test_whatever_is_wrong_in_a_zip_is_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(SOUND)
    for at, value in changes:
        data[at] = value
    tmp_path = tmp_path_factory.mktemp("damaged")
    roster = {student.id: student for student in ROSTER}
    due = {"ps1": Assignment(name="ps1", deadline=DEADLINE)}
    course = Course(folder=tmp_path, title="", seed="x" * 16, assignments=due, roster=roster)
    source = packed(tmp_path, bytes(data))
    with Record(Path(":memory:")) as record:
        try:
            arrivals = collect(course, due["ps1"], source, record)
        except CourseError:
            return
    for item in arrivals:
        assert item.path.is_file()
        assert not item.accepted or item.path.read_bytes() == notebook()
        assert item.accepted or item.reason.isprintable()
