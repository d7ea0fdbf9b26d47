"""The doctor: each fault of a machine, played by a fake, gets its own plain sentence."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import doctor, machine
from workbench.doctor import Finding, Status
from workbench.machine import Torch

GOOD = Torch(version="2.13.0+cpu", threads=2, gpus=(), mps=False, works=True)
CARD = replace(GOOD, gpus=("A100", "A100"))


@pytest.mark.parametrize(
    ("finding", "status", "said"),
    [
        (doctor.check_python((3, 11, 0)), Status.OK, "3.11.0"),
        (doctor.check_python((3, 10, 13)), Status.FAIL, "3.10.13 is older than 3.11"),
        (doctor.check_packages(["a>=1", "B.c>2"], {"a": "1.0", "b-c": "3"}), Status.OK, "all 2"),
        (doctor.check_packages(["a>=1", "b"], {"a": "1"}), Status.FAIL, "b is missing"),
        (doctor.check_packages(["a>=2"], {"a": "1.9"}), Status.FAIL, "a 1.9 is not >=2"),
        (doctor.check_packages(['a; python_version < "3"'], {}), Status.OK, "all"),
        (doctor.check_packages(["a>=2"], {"a": "2.1rc1"}), Status.OK, "all"),
        (doctor.check_torch(GOOD, "2.13.0"), Status.OK, "2.13.0+cpu works"),
        (doctor.check_torch(GOOD, None), Status.OK, "works"),
        (doctor.check_torch(GOOD, "2.13.1"), Status.WARN, "tested with 2.13.1"),
        (doctor.check_torch(replace(GOOD, works=False), "2.13.0"), Status.FAIL, "wrongly"),
        (doctor.check_torch("No module named 'torch'", None), Status.FAIL, "No module named"),
        (doctor.check_threads(GOOD, 2, None), Status.OK, "2 threads on 2 processors"),
        (doctor.check_threads(GOOD, 0.5, None), Status.WARN, "OMP_NUM_THREADS=1:"),
        (doctor.check_threads(replace(GOOD, threads=64), 2.5, None), Status.WARN, "THREADS=2:"),
        (doctor.check_threads(replace(GOOD, threads=1), 0.5, None), Status.OK, "0.5"),
        (doctor.check_threads(replace(GOOD, threads=1), 8, "1"), Status.WARN, "THREADS=1; unset"),
        (doctor.check_threads(replace(GOOD, threads=4), 8, None), Status.OK, "4 threads"),
        (doctor.check_threads("broken", 8, None), Status.WARN, "8 processors"),
        (doctor.check_disk(100_000_000), Status.FAIL, "0.1 GB free"),
        (doctor.check_disk(1_000_000_000), Status.WARN, "1.0 GB free"),
        (doctor.check_disk(5_000_000_000), Status.OK, "5.0 GB free"),
        (doctor.check_cache(Path("c"), None), Status.OK, "kept in c"),
        (doctor.check_cache(Path("c"), "Read-only"), Status.FAIL, "LABKIT_DATA"),
        (doctor.check_index({"a": "too slow", "b": None}, ["x"]), Status.OK, "b answers"),
        (doctor.check_index({"a": "too slow"}, ["x"]), Status.FAIL, "a (too slow)"),
        (doctor.check_index({"a": "too slow"}, ["x", "y"]), Status.FAIL, "fetch x, y"),
        (doctor.check_index({"a": "too slow"}, []), Status.WARN, "a (too slow)"),
        (doctor.check_index({}, []), Status.WARN, "no index"),
        (doctor.check_index({}, ["x"]), Status.FAIL, "no index"),
        (doctor.check_fonts(True), Status.OK, "font for Chinese"),
        (doctor.check_fonts(False), Status.WARN, "fonts-noto-cjk"),
        (doctor.check_pictures("/bin/chromium", True), Status.OK, "/bin/chromium"),
        (doctor.check_pictures(None, True), Status.WARN, "apt install chromium"),
        (doctor.check_pictures("/bin/chromium", False), Status.WARN, "pip install playwright"),
        (doctor.check_gpu(GOOD, False), Status.OK, "none is needed"),
        (doctor.check_gpu("broken", False), Status.OK, "none is needed"),
        (doctor.check_gpu(CARD, True), Status.OK, "CUDA on A100, A100"),
        (doctor.check_gpu(replace(GOOD, mps=True), False), Status.OK, "MPS"),
        (doctor.check_gpu(GOOD, True), Status.WARN, "torch cannot use"),
    ],
)
def test_each_state_of_a_machine_has_its_finding(
    finding: Finding, status: Status, said: str
) -> None:
    assert finding.status is status
    assert said in f"{finding.sentence}; {finding.advice}"
    assert bool(finding.advice) == (status is not Status.OK)
    assert str(finding).startswith(status.value)
    assert ".." not in str(finding)


def play(monkeypatch: pytest.MonkeyPatch, finding: Finding) -> None:
    """Let the examination find exactly this."""
    monkeypatch.setattr(doctor, "examine", lambda root: [Finding("a", Status.OK, "fine"), finding])


@pytest.mark.parametrize(("status", "code"), [(Status.OK, 0), (Status.WARN, 0), (Status.FAIL, 1)])
def test_only_what_stops_a_chapter_fails(
    status: Status, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, Finding("b", status, "it is so", "do this"))
    assert doctor.report(Path()) == code
    out = capsys.readouterr().out
    assert "it is so" in out
    assert "do this" in out
    assert out.splitlines()[-1] == (
        "1 of these would stop a chapter." if code else "Every chapter can run here."
    )


def answer_with(monkeypatch: pytest.MonkeyPatch, code: int, out: str = "", err: str = "") -> None:
    """Let every child process end like this."""
    result = SimpleNamespace(returncode=code, stdout=out, stderr=err)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: result)


def test_torch_is_asked_in_another_process() -> None:
    asked = machine.ask_torch()
    assert isinstance(asked, Torch)
    assert asked.works
    assert asked.threads >= 1


def test_a_torch_that_crashes_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, -4)
    assert machine.ask_torch() == "it was ended by signal 4"


def test_a_torch_that_is_missing_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, 1, err="Traceback\nModuleNotFoundError: No module named 'torch'\n")
    assert "No module named 'torch'" in str(machine.ask_torch())


def test_a_torch_that_hangs_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 120)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "timed out" in str(machine.ask_torch())


def test_the_pinned_version_is_read_from_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    assert machine.pinned_version(lock, "torch") is None
    lock.write_text("# torch==1\ntorchvision==3\ntorch==2.13.0; os_name == 'nt'\n", "utf-8")
    assert machine.pinned_version(lock, "torch") == "2.13.0"
    assert machine.pinned_version(lock, "numpy") is None


@pytest.mark.parametrize(("text", "expected"), [("50000 100000", 0.5), ("max 100000", None)])
def test_a_containers_quota_counts(text: str, expected: float | None, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    everything = machine.usable_processors(quota)
    assert everything >= 1
    quota.write_text(text + "\n", encoding="utf-8")
    assert machine.usable_processors(quota) == (expected or everything)


def test_a_folder_that_can_be_made_has_no_problem(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "空格"
    assert machine.writing_problem(folder) is None
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_has_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert machine.writing_problem(tmp_path / "file" / "in it")


@pytest.mark.parametrize(("out", "expected"), [(b"/fonts/Noto.ttc: Noto", True), (b"\n", False)])
def test_fontconfig_is_asked_for_chinese(
    out: bytes, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "FONT_FILES", ())
    monkeypatch.setattr(machine.shutil, "which", lambda _: "fc-list")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=out))
    assert machine.has_chinese_font() is expected


def test_without_fontconfig_known_files_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    monkeypatch.setattr(machine, "FONT_FILES", (str(tmp_path / "font.ttc"),))
    assert not machine.has_chinese_font()
    (tmp_path / "font.ttc").touch()
    assert machine.has_chinese_font()


def test_a_file_is_held_only_with_the_right_digest(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    path = tmp_path / "file"
    assert not machine.holds(path, empty)
    path.touch()
    assert machine.holds(path, empty)
    path.write_bytes(b"x")
    assert not machine.holds(path, empty)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package index that knows one project, `here`; pip is configured for it alone."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/simple/here/" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/simple"
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    yield address
    server.shutdown()
    server.server_close()


def test_the_index_that_pip_is_configured_for_is_asked(index: str) -> None:
    assert machine.ask_indexes("here") == {"127.0.0.1": None}
    assert machine.ask_indexes("elsewhere") == {"127.0.0.1": "status 404"}


def test_an_index_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://localhost:9/simple")
    assert machine.ask_indexes("here") == {"localhost": "no connection"}


def test_pip_without_an_index_is_respected(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert machine.ask_indexes("here") == {}


@pytest.mark.parametrize(("cached", "expected"), [(True, Status.WARN), (False, Status.FAIL)])
def test_being_offline_matters_only_without_the_data(
    cached: bool, expected: Status, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    monkeypatch.setattr(machine, "ask_indexes", lambda project: {"host": "no connection"})
    monkeypatch.setattr(machine, "holds", lambda path, sha256: cached)
    cache, index = doctor.look_at_data()
    assert cache.status is Status.OK
    assert str(tmp_path) in cache.sentence
    assert index.status is expected


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("labkit.datasets", "datasets"),
        ("labkit.chromium", "static pictures"),
        ("packaging", "packages"),
    ],
)
def test_a_broken_installation_is_a_finding_not_a_crash(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(module)]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(machine, "ask_torch", lambda: GOOD)
    monkeypatch.setattr(machine, "ask_indexes", lambda project: {"host": None})
    findings = {finding.name: finding for finding in doctor.examine(Path(__file__).parents[1])}
    assert findings[name].status is Status.FAIL
    assert "make lab" in findings[name].advice


def test_the_doctor_starts_without_any_package() -> None:
    script = "import sys, workbench.doctor; print([m for m in sys.modules if m in sys.argv])"
    command = [sys.executable, "-c", script, "torch", "numpy", "requests", "packaging", "plotly"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
