"""Take in what students handed in: each original is kept, and whatever is refused says why.

A source is a folder or a zip: of notebooks named after students, of a folder or a zip a student, or
as Moodle and Canvas export them. Nothing is unpacked to a path from outside, no link is followed,
nothing is run. A clone is read as a folder, since git obeys settings that stand in the clone.

The time received is that of the file (of a clone: when it was fetched); a zip has times in the zone
of the deadline. Moodle and Canvas put the time of the download into their zips. So collect right
after the deadline and again later, because a notebook keeps its first time; or say the time, which
puts it right. In a batch from Canvas, what is not called LATE came by the deadline.
"""

import hashlib
import io
import os
import re
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from classroom.names import CANVAS, Names, name_words, platform, without
from labkit.course import CourseError
from labkit.course.exam import find_notebook, read_cells
from labkit.course.record import Record
from labkit.course.settings import Assignment, Course
from labkit.files import write_atomically

LARGEST_KEPT = 50_000_000  # bytes of a file; a larger one stays where it is
MOST_UNPACKED = 200_000_000  # bytes that are read of all files of a hand-in
MOST_FILES = 10_000  # of a hand-in, or of a zip in it
MOST_RATIO, SMALL = 300, 10_000_000  # how many times smaller more bytes may have been packed
UNSAFE = re.compile(r"[^\w.-]+")
IGNORED = (".", "__MACOSX", "Thumbs.db", "desktop.ini")
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, OverflowError, RuntimeError, ValueError),
)
"""What reading a file or a zip may raise; CourseError is a RuntimeError."""


@dataclass(frozen=True)
class Arrival:
    """A file that was taken in or refused."""

    origin: str
    student: str | None
    """An id, or None where it is not known whose the file is."""
    path: Path
    """Where it is kept; of a refused file that could not be read, where that is written."""
    accepted: bool
    reason: str = ""
    """Why it was refused, as a sentence."""
    is_new: bool = True
    """Whether no earlier collection had taken it in or refused it."""


@dataclass(frozen=True)
class Member:
    """A file of a source, unread."""

    parts: tuple[str, ...]
    origin: str
    when: datetime
    open: Callable[[], IO[bytes]]
    packed: float = float("inf")
    """Bytes in a zip."""
    problem: str = ""
    """Why it cannot be a submission, whatever it holds."""

    def ends_in(self, suffix: str) -> bool:
        """Tell whether its name has a suffix."""
        return self.parts[-1].casefold().endswith(suffix)


@dataclass
class Meter:
    """Reads the files of one hand-in, and stops where they are more than is sensible."""

    left: int = MOST_UNPACKED

    def read(self, member: Member) -> bytes:
        """Return what a file holds; raise CourseError if it cannot be read or is too much."""
        content = bytearray()
        try:
            with member.open() as stream:
                while chunk := stream.read(1 << 16):
                    content += chunk
                    self.left -= len(chunk)
                    if len(content) > max(SMALL, MOST_RATIO * member.packed):
                        raise CourseError(f"unpacks to over {MOST_RATIO} times its size: a bomb")
                    if len(content) > LARGEST_KEPT or self.left < 0:
                        most = f"{LARGEST_KEPT / 1e6:.0f} MB, or {MOST_UNPACKED / 1e6:.0f} MB"
                        raise CourseError(f"is too large: more than {most} with all beside it")
        except DAMAGED as error:
            raise CourseError(_why(error)) from error
        return bytes(content)


def _why(error: Exception) -> str:
    """Say what is wrong with a file, without anything that stands in it."""
    return (
        str(error)
        if isinstance(error, CourseError)
        else f"is no sound file: {type(error).__name__}"
    )


def collect(
    course: Course,
    assignment: Assignment,
    source: Path,
    record: Record,
    received: datetime | None = None,
) -> list[Arrival]:
    """Take in a source; a second time, or after having been stopped, adds only what is missing.

    `received` replaces the times of the files, in the deadline's zone if it has none. Raises
    CourseError if the source cannot be read.
    """
    titles = {assignment.name, PurePosixPath(assignment.notebook or assignment.name).stem}
    with suppress(CourseError):
        titles.add(find_notebook(course, assignment).stem)
    names = Names(course.roster.values(), {*map(name_words, titles)})
    if received and received.tzinfo is None:
        received = received.replace(tzinfo=assignment.deadline.tzinfo)
    desk = _Desk(course, assignment, source, record, received, names)
    try:
        if source.is_dir() or not source.name.casefold().endswith(".zip"):
            files = [*_files(source)]
        else:
            when = _changed(source.stat()).astimezone(assignment.deadline.tzinfo)
            files = [*_packed(zipfile.ZipFile(source), source.name, when, names)]
    except DAMAGED as error:
        raise CourseError(f"{source} is no folder, notebook or zip to read: {error}") from error
    return desk.take(files)


def _member(path: str, root: str, mode: int, problem: str = "", **about: Any) -> Iterator[Member]:
    """Describe a file and what is wrong with its name or kind, unless no student made it."""
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if re.match(r"/|[A-Za-z]:", path) or "\\" in path or ".." in parts:
        problem = "has a path that leads elsewhere"
    elif any(unicodedata.category(letter) == "Cc" for letter in path):
        problem = "has control characters in its name"
    elif any(part.startswith(IGNORED) for part in parts):
        return
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        problem = "is no regular file but a link, a device or a closed folder"
    # What is no letter is written out, so that the origin can be printed and stored.
    origin = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in f"{root}/{path}")
    yield Member(parts or ("",), origin, problem=problem, **about)


def _changed(about: os.stat_result) -> datetime:
    """Return when a file was changed, which is not in the future."""
    return datetime.fromtimestamp(min(max(about.st_mtime, 0), time.time())).astimezone()


def _files(source: Path) -> Iterator[Member]:
    """Find the files of a folder, or a file itself."""
    lost: list[OSError] = []
    root, found = (source, []) if source.is_dir() else (source.parent, [source])
    walk = os.walk(source, onerror=lost.append) if source.is_dir() else ()
    for folder, folders, names in walk:
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [Path(folder, name) for name in (*names, *links)]
    for path in sorted([*found, *(Path(error.filename) for error in lost)]):
        about, inside = path.lstat(), path.relative_to(root).as_posix()
        when = _changed(about)
        yield from _member(inside, root.name, about.st_mode, when=when, open=partial(_open, path))


def _open(path: Path) -> IO[bytes]:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("a link leads elsewhere, and a pipe would keep us waiting")
    return path.open("rb")


def _packed(
    archive: zipfile.ZipFile, root: str, latest: datetime, names: Names | None = None
) -> Iterator[Member]:
    """Find the files of a zip, whose times are those of the zone of `latest`."""
    for info in archive.infolist():
        when = latest
        with suppress(ValueError):
            if info.date_time[0] > 1980:  # which stands where the time was not known
                when = min(datetime(*info.date_time, tzinfo=latest.tzinfo), latest)
        about = {"when": when, "open": partial(_unpack, archive, info)}
        problem = "is encrypted: ask for it without a password" if info.flag_bits & 1 else ""
        if not info.orig_filename.endswith("/"):
            path, mode = _decoded(info, names), info.external_attr >> 16
            yield from _member(path, root, mode, problem, packed=info.compress_size, **about)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("other methods unpack without a limit")
    return archive.open(info)


def _decoded(info: zipfile.ZipInfo, names: Names | None) -> str:
    """Return a path in a zip: as UTF-8 if that is said or possible, or as what names a student."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    readings, raw = [], info.orig_filename.encode("cp437")
    for encoding in ("utf-8", "cp437", "gb18030"):
        with suppress(UnicodeDecodeError):
            readings.append(raw.decode(encoding))
    for reading in readings:
        if names and any(len(names.of((part,))) == 1 for part in reading.split("/")):
            return reading
    return readings[0]


def _unzipped(member: Member, meter: Meter) -> list[Member]:
    """Return what a student's zip holds, at the time it came, or the file itself if it is none."""
    if member.problem or not member.ends_in(".zip"):
        return [member]
    try:
        content = meter.read(member)
        if content.count(b"PK\1\2") > MOST_FILES:  # before they are listed, which needs memory
            raise CourseError(f"holds more than {MOST_FILES} files")
        inner = [*_packed(zipfile.ZipFile(io.BytesIO(content)), member.origin, member.when)]
    except DAMAGED as error:
        return [replace(member, problem=_why(error))]
    held = [replace(m, parts=(*member.parts, *m.parts), when=member.when) for m in inner]
    return held or [replace(member, problem="is a zip that holds no files")]


@dataclass(frozen=True)
class _Desk:
    """Where the files of a source are sorted."""

    course: Course
    assignment: Assignment
    source: Path
    record: Record
    received: datetime | None
    names: Names

    def take(self, files: list[Member]) -> list[Arrival]:
        """Sort files by hand-in, and take in each."""
        while len({member.parts[0] for member in files}) == 1 and not any(
            len(member.parts) == 1 or platform(member.parts) or self.names.of(member.parts)
            for member in files
        ):  # a folder around everything says nothing
            files = [replace(member, parts=member.parts[1:]) for member in files]
        from_canvas = all(CANVAS.fullmatch(member.parts[0]) for member in files)
        hand_ins: dict[str, tuple[set[str], list[Member]]] = {}
        for member in files:
            key, parts, when = member.parts[0], member.parts, member.when
            if given := platform(parts):
                key = given["key"]
                parts = (*parts, given["file"] or "") if len(parts) == 1 else parts
                if from_canvas and "LATE" not in key.split("_"):
                    when = min(when, self.assignment.deadline)
            _, held = hand_ins.setdefault(key, (self.names.of(member.parts), []))
            held.append(replace(member, parts=parts, when=when))
        order = sorted(hand_ins, key=lambda key: (PurePosixPath(key).stem, key))
        return [arrival for key in order for arrival in self.hand_in(key, *hand_ins[key])]

    def hand_in(self, key: str, owners: set[str], files: list[Member]) -> Iterator[Arrival]:
        """Take in the notebook that counts; refuse what might have been it."""
        meter, counts, why = Meter(), tuple[str, ...](), ""
        student = next(iter(owners)) if len(owners) == 1 else None
        if len(files) > MOST_FILES:
            files = [replace(files[0], problem=f"is one of more than {MOST_FILES} files")]
        if student:
            files = [file for member in files for file in _unzipped(member, meter)]
        else:
            why = f"comes as {key!r}, which means {' or '.join(sorted(owners)) or 'nobody'} on the "
            why += "roster: name it after an id, and collect again"
        names = {member.parts for member in files if member.ends_in(".ipynb")}
        try:
            counts = () if why else self.choose(names)
        except CourseError as error:
            why = str(error)
        for member in sorted(files, key=lambda member: member.parts != counts):
            if student and member.parts == counts and not member.problem:
                yield self.accept(student, member, meter)
            elif member.problem or (why and (member.parts in names or not names)):
                yield self.refuse(student, member, meter, member.problem or why)

    def choose(self, paths: Collection[tuple[str, ...]]) -> tuple[str, ...]:
        """Return which notebook is the submission; raise CourseError if in doubt."""
        titles, name = self.names.titles, self.assignment.name
        called = {path: name_words(PurePosixPath(path[-1]).stem) for path in paths}
        exact = [path for path, said in called.items() if said in titles]
        close = [path for path, said in called.items() if without(said, titles) != said]
        found = exact or close or list(called)
        if not found:
            raise CourseError("is no notebook, and none came with it")
        if len(found) > 1:
            raise CourseError(f"is one of {len(found)} notebooks: ask which is {name}.ipynb")
        for other in () if close else self.course.assignments:
            if without(called[found[0]], {name_words(other)}) != called[found[0]]:
                raise CourseError(f"is called after {other}, and this is {name}")
        return found[0]

    def accept(self, student: str, member: Member, meter: Meter) -> Arrival:
        """Keep a submission, and refuse it after all if it is no notebook."""
        content = None
        try:
            content = meter.read(member)
            read_cells(content)
        except CourseError as error:
            return self.refuse(student, member, meter, str(error), content)
        digest = hashlib.sha256(content).hexdigest()
        place = Path("submissions", self.assignment.name, student, f"{digest}.ipynb")
        path = self.course.folder / place
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
        before = self.record.connection.total_changes
        when = (self.received or member.when).astimezone(UTC).isoformat(timespec="seconds")
        about: dict[str, Any] = {"sha256": digest, "received": when, "path": place.as_posix()}
        about |= {"origin": member.origin, "anew": self.received is not None}
        self.record.add_submission(self.assignment.name, student, **about)
        is_new = self.record.connection.total_changes > before
        return Arrival(member.origin, student, path, accepted=True, is_new=is_new)

    def refuse(
        self, student: str | None, member: Member, meter: Meter, why: str, held: bytes | None = None
    ) -> Arrival:
        """Keep what is refused in the inbox, beside it the reason."""
        with suppress(CourseError):
            held = meter.read(member) if held is None else held
        reason = f"{member.origin} {why}"
        digest = hashlib.sha256(member.origin.encode() + (held or b"")).hexdigest()
        name = f"{digest[:16]}-{UNSAFE.sub('_', member.origin)[-40:]}"
        path = self.course.folder / "inbox" / self.assignment.name / name
        told = path.with_name(f"{name}.txt")
        if held is None:
            path, reason = told, f"{reason}; it was left in {self.source}"
        elif not path.is_file():
            write_atomically(path, held)
        is_new = not told.is_file()
        if is_new or told.read_text(encoding="utf-8") != reason + "\n":
            write_atomically(told, reason + "\n")
        return Arrival(member.origin, student, path, False, reason, is_new)
