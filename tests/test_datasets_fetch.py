"""Downloading and caching, against a package index that runs on this machine and misbehaves."""

import hashlib
import io
import logging
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labkit.datasets.archive import read_folder
from labkit.datasets.fetch import cache_folder, obtain
from labkit.datasets.pipconfig import IndexSettings, from_options, index_settings, pip_options
from labkit.datasets.registry import DatasetError, Source
from labkit.datasets.transfer import open_session

CONTENT = bytes(range(256)) * 2000  # half a megabyte; broken below at whole 64 KiB
SOURCE = Source(
    project="plays",
    file="plays-1.0.tar.gz",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


@dataclass
class Index:
    """A package index on 127.0.0.1; `plan` says what goes wrong with each request for the file.

    A step of the plan is a status to answer with, or the number of bytes after which the
    connection breaks; when the plan is empty, everything works.
    """

    content: bytes = CONTENT
    plan: list[int] = field(default_factory=list)
    ranges: bool = True
    name: str = SOURCE.file
    base: str = ""
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def files_asked(self) -> list[str | None]:
        """The Range header of each request for the file."""
        return [span for path, span, _ in self.asked if path.startswith("/files/")]

    def settings(self, **changes: object) -> IndexSettings:
        values: dict[str, object] = {"indexes": (f"{self.base}/simple/",), "backoff": 0.0}
        return IndexSettings(**{**values, **changes})  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        index = self.server.index
        span = self.headers.get("Range")
        index.asked.append((self.path, span, self.headers.get("Authorization")))
        if self.path == "/simple/plays/":
            page = f'<a href="{index.base}/files/{index.name}">{index.name}</a>'.encode()
            self.answer(200, page, len(page), "text/html")
        elif self.path.startswith("/files/"):
            self.send_file(index, span)
        else:
            self.answer(404, b"", 0, "text/html")

    def send_file(self, index: Index, span: str | None) -> None:
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span and index.ranges else 0
        body = index.content[start:]
        step = index.plan.pop(0) if index.plan else None
        if step is not None and step in (404, 416, 503):
            self.answer(step, b"", 0, "text/html")
        elif start and not body:
            self.answer(416, b"", 0, "text/html")
        else:
            self.answer(206 if start else 200, body[:step], len(body), "application/gzip")

    def answer(self, status: int, body: bytes, promised: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, index: Index) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.index = index


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index()
    with Server(index) as server:
        index.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield index
        server.shutdown()
        thread.join()


def leftovers(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "d").iterdir() if not p.name.endswith(".lock"))


def test_a_file_is_fetched_once_and_then_read_from_the_cache(index: Index, tmp_path: Path) -> None:
    for _ in range(2):
        assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    assert index.files_asked() == [None]
    assert leftovers(tmp_path) == [SOURCE.file]


def test_nothing_is_printed_when_progress_is_off(
    index: Index, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    obtain("d", SOURCE, tmp_path, settings=index.settings())
    assert capfd.readouterr() == ("", "")


def test_a_progress_bar_names_the_file(
    index: Index,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TQDM_DISABLE")
    obtain("d", SOURCE, tmp_path, settings=index.settings())
    assert SOURCE.file in capfd.readouterr().err


def test_a_server_that_is_gone_for_a_moment(index: Index, tmp_path: Path) -> None:
    index.plan = [503, 503]
    assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    assert len(index.files_asked()) == 3


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_continued(index: Index, tmp_path: Path, ranges: bool) -> None:
    index.plan = [196_608, 131_072]
    index.ranges = ranges
    assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    first, second, third = index.files_asked()
    assert (first, second) == (None, "bytes=196608-")
    assert third == ("bytes=327680-" if ranges else "bytes=131072-")


def test_a_later_call_continues_what_an_earlier_one_left(index: Index, tmp_path: Path) -> None:
    index.plan = [196_608]
    with pytest.raises(DatasetError, match=r"broke off at 196608 of 512000 bytes"):
        obtain("d", SOURCE, tmp_path, settings=index.settings(retries=0))
    assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    assert index.files_asked() == [None, "bytes=196608-"]


@pytest.mark.parametrize("junk", [b"junk", CONTENT[:-1] + b"x", CONTENT + b"more"])
def test_a_wrong_beginning_is_thrown_away(index: Index, tmp_path: Path, junk: bytes) -> None:
    part = tmp_path / "d" / f"{SOURCE.file}.{SOURCE.sha256[:12]}.part"
    part.parent.mkdir()
    part.write_bytes(junk)
    assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    assert leftovers(tmp_path) == [SOURCE.file]


def test_a_server_that_refuses_the_range(index: Index, tmp_path: Path) -> None:
    index.plan = [196_608, 416]
    assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    assert index.files_asked() == [None, "bytes=196608-", None]


@pytest.mark.parametrize("wrong", [b"x" * len(CONTENT), CONTENT + b"more"])
def test_another_file_is_refused_and_not_kept(index: Index, tmp_path: Path, wrong: bytes) -> None:
    index.content = wrong
    with pytest.raises(DatasetError, match=f"expected 512000 bytes with {SOURCE.sha256[:12]}"):
        obtain("d", SOURCE, tmp_path, settings=index.settings())
    assert leftovers(tmp_path) == []


def test_an_endless_file_is_not_read_to_its_end(index: Index, tmp_path: Path) -> None:
    index.content = CONTENT * 20
    with pytest.raises(DatasetError, match=r"sent 5\d{5} bytes"):
        obtain("d", SOURCE, tmp_path, settings=index.settings())


def test_a_damaged_file_in_the_cache_is_fetched_again(
    index: Index, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "d" / SOURCE.file
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1] + b"!")
    with caplog.at_level(logging.WARNING):
        assert obtain("d", SOURCE, tmp_path, settings=index.settings()) == CONTENT
    assert target.read_bytes() == CONTENT
    assert "damaged" in caplog.text


def test_offline_the_error_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    offline = IndexSettings(indexes=("http://u:secret@127.0.0.1:9/simple",), backoff=0.0)
    with pytest.raises(DatasetError) as caught:
        obtain("d", SOURCE, tmp_path, settings=offline)
    message = str(caught.value)
    target = tmp_path / "d" / SOURCE.file
    for piece in ("d: cannot get plays-1.0.tar.gz", f"{target} (not there)", "LABKIT_DATA"):
        assert piece in message
    assert "at 127.0.0.1 (no connection)" in message
    assert "secret" not in message

    target.write_bytes(b"half")
    with pytest.raises(DatasetError, match="damaged: its sha256 is"):
        obtain("d", SOURCE, tmp_path, settings=offline)
    assert target.read_bytes() == b"half"


def test_without_any_index_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no-index"):
        obtain("d", SOURCE, tmp_path, settings=IndexSettings(indexes=()))


@pytest.mark.parametrize(
    ("project", "file", "reason"),
    [
        ("unknown", SOURCE.file, "knows no project unknown"),
        ("plays", "plays-9.tar.gz", r"lists no plays-9\.tar\.gz"),
    ],
)
def test_an_index_without_the_file(
    index: Index, tmp_path: Path, project: str, file: str, reason: str
) -> None:
    source = Source(project=project, file=file, size=1, sha256="0")
    with pytest.raises(DatasetError, match=reason):
        obtain("d", source, tmp_path, settings=index.settings())


def test_the_next_index_is_asked(index: Index, tmp_path: Path) -> None:
    both = (f"{index.base}/other/", f"{index.base}/simple")
    assert obtain("d", SOURCE, tmp_path, settings=index.settings(indexes=both)) == CONTENT


def test_a_password_reaches_the_index_and_its_files(index: Index, tmp_path: Path) -> None:
    secured = index.base.replace("//", "//me:p%40ss@") + "/simple"
    obtain("d", SOURCE, tmp_path, settings=index.settings(indexes=(secured,)))
    assert {auth for _, _, auth in index.asked} == {"Basic bWU6cEBzcw=="}  # me:p@ss


def test_what_is_no_index_is_named_without_its_password(index: Index, tmp_path: Path) -> None:
    other = index.base.replace("//", "//me:secret@") + "/files/"
    with pytest.raises(DatasetError, match="did not answer as a package index") as caught:
        obtain("d", SOURCE, tmp_path, settings=index.settings(indexes=(other,)))
    assert "secret" not in str(caught.value)


def test_a_file_at_its_own_address(index: Index, tmp_path: Path) -> None:
    url = f"{index.base}/files/{SOURCE.file}"
    source = Source(url=url, file="input.txt", size=SOURCE.size, sha256=SOURCE.sha256)
    assert obtain("d", source, tmp_path, settings=IndexSettings(indexes=())) == CONTENT
    assert leftovers(tmp_path) == ["input.txt"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DatasetError, match="set LABKIT_DATA to a folder you can write to"):
        obtain("d", SOURCE, blocked, settings=IndexSettings(indexes=()))


def test_three_processes_at_once_download_once_through_pips_configuration(
    index: Index, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from labkit.datasets.fetch import cache_folder, obtain;"
        "from labkit.datasets.registry import Source;"
        f"print(len(obtain('d', {SOURCE!r}, cache_folder())))"
    )
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\nindex-url = {index.base}/simple\nextra-index-url = file:///nowhere/simple\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    env = clean | {"PIP_CONFIG_FILE": str(config), "LABKIT_DATA": str(tmp_path / "c")}
    running = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["512000"] * 3
    assert index.files_asked() == [None]
    assert leftovers(tmp_path / "c") == [SOURCE.file]


def test_pip_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://mirror.example/simple\ncert = /etc/ca.pem\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example file:///wheels http://b.example")
    settings = index_settings()
    assert settings.indexes == (
        "https://mirror.example/simple",
        "https://a.example",
        "http://b.example",
    )
    assert settings.verify == "/etc/ca.pem"


def test_the_environment_wins_over_sections_and_those_over_global() -> None:
    lines = [
        ":env:.index-url='https://e'",
        "global.index-url='https://g'",
        "global.proxy='p'",
        "install.index-url='https://i'",
        "install.proxy='q'",
        "wheel.proxy='w'",
        "a line pip may print one day",
    ]
    assert pip_options(lines, {}) == {"index-url": "https://e", "proxy": "q"}
    assert pip_options(lines, {"PIP_INDEX_URL": "https://x", "PIP_CERT": ""})["index-url"] == (
        "https://x"
    )


def test_options_become_settings() -> None:
    assert from_options({"default-timeout": "180", "retries": "1"}).timeout == 180
    assert from_options({"retries": "1"}).retries == 1
    default = from_options({})
    assert len(default.indexes) == 1
    assert default.indexes[0].startswith("https://")
    assert default.verify is True
    assert from_options({"no-index": "true", "index-url": "https://a"}).indexes == ()
    with pytest.raises(DatasetError, match="timeout is 'soon'; expected a number"):
        from_options({"timeout": "soon"})


def test_pips_certificate_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/other.pem")

    def verify(settings: IndexSettings) -> object:
        session = open_session(settings)
        merged = session.merge_environment_settings("https://a", {}, None, None, None)
        return merged["verify"]

    assert verify(IndexSettings(indexes=(), verify="/etc/pip.pem")) == "/etc/pip.pem"
    assert verify(IndexSettings(indexes=())) == "/etc/other.pem"


def test_a_certificate_file_that_is_not_there(tmp_path: Path) -> None:
    settings = IndexSettings(indexes=("https://127.0.0.1:9",), verify=str(tmp_path / "ca.pem"))
    with pytest.raises(DatasetError, match=r"at 127\.0\.0\.1 \(.*ca\.pem"):
        obtain("d", SOURCE, tmp_path, settings=settings)


def test_a_status_is_named(index: Index, tmp_path: Path) -> None:
    index.plan = [404]
    with pytest.raises(DatasetError, match="status 404"):
        obtain("d", SOURCE, tmp_path, settings=index.settings())


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LABKIT_DATA")
    assert cache_folder().name == "labkit"


def tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_only_plain_texts_of_the_folder_are_read_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    archive = tar(
        [
            (member("p/t/good.txt"), b"good"),
            (member("p/t/../evil.txt"), b"evil"),
            (member("../evil.txt"), b"evil"),
            (member("/p/t/root.txt"), b"evil"),
            (member("p/t/sub/deep.txt"), b"deep"),
            (member("p/t/code.py"), b"code"),
            (member("p/t/link.txt", tarfile.SYMTYPE, "/etc/passwd"), b""),
            (member("p/t/hard.txt", tarfile.LNKTYPE, "p/t/good.txt"), b""),
            (member("p/t/pipe.txt", tarfile.FIFOTYPE), b""),
            (member("p/t/dir.txt", tarfile.DIRTYPE), b""),
        ]
    )
    assert read_folder(archive, "p/t/") == {"good.txt": b"good"}
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_archives_that_are_refused() -> None:
    twice = tar([(member("p/a.txt"), b"1"), (member("p/a.txt"), b"2")])
    large = tar([(member("p/a.txt"), bytes(2_000_001))])
    for archive in (twice, large):
        with pytest.raises(DatasetError, match="not what was asked for"):
            read_folder(archive, "p/")
    whole = tar([(member("p/a.txt"), os.urandom(9999))])
    for broken in (b"no archive", whole[:5000], b""):
        with pytest.raises(DatasetError, match=r"cannot be read as \.tar\.gz"):
            read_folder(broken, "p/")


def test_a_source_needs_exactly_one_origin() -> None:
    for origin in ({}, {"project": "p", "url": "https://a"}):
        with pytest.raises(ValueError, match="expected a project or a url"):
            Source(file="f", size=1, sha256="0", **origin)
