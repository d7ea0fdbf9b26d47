"""Starting JupyterLab: the command, its defaults, and a real server that answers with its token."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench import command as program
from workbench import lab
from workbench.reader import Action, Change, ReaderError


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work 空格"
    folder.mkdir()
    (folder / lab.FIRST).write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}),
        encoding="utf-8",
    )
    return folder


def test_the_command_opens_the_first_chapter_on_this_machine_only(work: Path) -> None:
    command = lab.lab_command(work, ["--no-browser", "--port=9000"], is_root=False)
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--ServerApp.ip=127.0.0.1" in command
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in command
    assert f"--ServerApp.root_dir={work}" in command
    assert command[-2:] == ["--no-browser", "--port=9000"]
    assert not any("token" in part.lower() or "password" in part.lower() for part in command)


def test_root_is_allowed_only_for_root(work: Path) -> None:
    assert "--allow-root" in lab.lab_command(work, [], is_root=True)
    assert "--allow-root" not in lab.lab_command(work, [], is_root=False)


def test_without_the_first_chapter_the_folder_opens(tmp_path: Path) -> None:
    assert "--LabApp.default_url=/lab" in lab.lab_command(tmp_path, [], is_root=False)


def test_the_readers_own_configuration_path_stays(work: Path) -> None:
    ours = str(work / lab.OURS)
    environment = {"JUPYTER_CONFIG_PATH": "/mine", "A": "b"}
    assert lab.lab_environment(work, environment) == {
        "A": "b",
        "JUPYTER_CONFIG_PATH": f"{ours}{os.pathsep}/mine",
    }
    assert lab.lab_environment(work, {})["JUPYTER_CONFIG_PATH"] == ours
    assert environment["JUPYTER_CONFIG_PATH"] == "/mine"


def test_defaults_are_written_once_and_mended(work: Path) -> None:
    lab.write_defaults(work)
    path = work / lab.OURS / "overrides.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    before = path.stat().st_mtime_ns
    lab.write_defaults(work)
    assert path.stat().st_mtime_ns == before
    path.write_text("{", encoding="utf-8")
    lab.write_defaults(work)
    assert json.loads(path.read_text(encoding="utf-8")) == settings


@pytest.fixture
def server(work: Path, tmp_path: Path) -> Iterator[str]:
    """The address, token included, that a real JupyterLab prints."""
    home = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    script = (
        "import sys; from pathlib import Path; from workbench.lab import start_lab;"
        "start_lab(Path(sys.argv[1]), sys.argv[2:])"
    )
    command = [sys.executable, "-c", script, str(work), "--no-browser", "--port-retries=50"]
    process = subprocess.Popen(
        command,
        env={**os.environ, **home, "JUPYTER_TOKEN": ""} | {"JUPYTER_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+", line)
        if found:
            break
    else:
        pytest.fail("JupyterLab printed no address:\n" + "".join(lines))
    yield found.group(0)
    process.terminate()
    process.stdout.close()
    process.wait()


def answer(address: str) -> str:
    """Return the page; the address is printed a moment before the port is open."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        try:
            with direct.open(address, timeout=30) as response:
                return str(response.read().decode("utf-8"))
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {address}")


def test_a_real_server_answers_with_its_token_and_our_defaults(server: str) -> None:
    start, token = server.split("/lab/tree/00_start_here.ipynb?token=")
    page = answer(server)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        answer(f"{start}/api/contents")
    listing = json.loads(answer(f"{start}/api/contents?token={token}"))
    assert [entry["name"] for entry in listing["content"]] == ["00_start_here.ipynb"]
    settings = answer(
        f"{start}/lab/api/settings/@jupyterlab/apputils-extension:notification?token={token}"
    )
    assert json.loads(settings)["schema"]["properties"]["fetchNews"]["default"] == "false"
    config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert config is not None
    assert json.loads(config.group(1))["disabledExtensions"] == ["@jupyter/nbgrader"]


def test_the_command_says_what_changed_and_starts_the_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    started: list[tuple[Path, list[str]]] = []

    def start(work: Path, extra: list[str]) -> int:
        started.append((work, extra))
        return 7

    changes = [
        Change("a.ipynb", Action.KEPT, tmp_path),
        Change("b.ipynb", Action.ADDED, tmp_path),
        Change("c.ipynb", Action.BESIDE, tmp_path / "c.update.ipynb"),
    ]
    monkeypatch.setattr(program, "make_reader_edition", lambda sources, work: changes)
    monkeypatch.setattr(lab, "start_lab", start)
    assert program.main(["lab", "--no-browser", "--port=9"]) == 7
    assert started == [(program.ROOT / "work", ["--no-browser", "--port=9"])]
    assert capsys.readouterr().out.splitlines() == [str(changes[1]), str(changes[2])]


@pytest.mark.parametrize("error", [ReaderError("no chapters."), PermissionError(13, "denied")])
def test_an_expected_error_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(sources: Path, work: Path) -> list[Change]:
        raise error

    monkeypatch.setattr(program, "make_reader_edition", fail)
    monkeypatch.setattr(lab, "start_lab", lambda *_: pytest.fail("started all the same"))
    for command in ("reader", "lab"):
        assert program.main([command]) == 1
        assert capsys.readouterr().err == f"labkit: {error}\n"


def test_data_prints_every_document_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["data", "python_docs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if not line.startswith("  ")]
    assert [line.split(":")[0] for line in heads] == ["train", "val", "test"]
    counts = [int(line.split()[1]) for line in heads]
    assert sum(counts) == len(lines) - 3
    number = re.compile(r"([\d,]+)(?: characters)?$")
    sizes = [int(number.findall(line)[0].replace(",", "")) for line in lines]
    assert sum(sizes) == 2 * sum(sizes[lines.index(head)] for head in heads)


def test_an_unknown_dataset_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["data", "nothing"]) == 1
    assert "'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["data"], ["doctor", "--no-browser"]])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(arguments)
    assert caught.value.code == 2


def test_a_reader_of_the_output_may_stop_early() -> None:
    script = f"{sys.executable!r} -m labkit data python_docs | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=program.ROOT, check=True
    )
    assert result.stdout.startswith("train: ")
    assert result.stderr == ""
