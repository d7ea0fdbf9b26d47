"""`make notebooks`: a fresh kernel, canonical files, and nothing written when a cell fails."""

import os
from pathlib import Path

import pytest

from tests.contract import execute
from tests.contract import samples as s
from tests.contract.normalise import normalise
from tests.contract.reading import parse

FIRST = """from labkit.notebook import is_static, setup

chapter = setup("12", cpu_seconds=20)
print(is_static())"""
WHERE = "import os\n\nprint(sorted(os.listdir()), os.environ['TQDM_DISABLE'])"


def written(folder: Path, *sources: str) -> Path:
    cells = [s.code(source) for source in sources]
    path = folder / "12_small.ipynb"
    path.write_text(s.chapter(cells, "12_small").text, encoding="utf-8")
    return path


def test_a_chapter_is_executed_measured_and_the_second_time_byte_identical(tmp_path: Path) -> None:
    path = written(tmp_path, FIRST, WHERE, "6 * 7", "chapter.finish()")
    said, row, well = execute.run_chapter(path, check=False)
    assert well, said
    assert "written" in said
    outputs = [list(cell.outputs) for cell in parse("12_small", path.read_text()).code]
    assert "".join(outputs[0][0]["text"]) == "True\n"
    assert "".join(outputs[1][0]["text"]) == "[] 1\n"  # an empty folder of its own
    assert "".join(outputs[2][0]["data"]["text/plain"]) == "42"
    assert row is not None
    assert (row.chapter, row.file, row.cpu_seconds_declared) == ("12", "12_small.ipynb", 20)
    assert 0 <= row.cpu_seconds_measured < 20
    before = path.read_bytes()
    changed_at = os.stat(path).st_mtime_ns
    said, _, well = execute.run_chapter(path, check=False)
    assert well
    assert "unchanged" in said
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == (before, changed_at)


def test_check_writes_nothing_and_fails_on_a_difference(tmp_path: Path) -> None:
    path = written(tmp_path, "print(1 + 1)")
    before = path.read_bytes()
    said, row, well = execute.run_chapter(path, check=True)
    assert not well
    assert "differs" in said
    assert row is None  # the chapter measures nothing
    assert path.read_bytes() == before


def test_a_chapter_that_raises_is_not_written(tmp_path: Path) -> None:
    path = written(tmp_path, "print(1)", "1 / 0", "print(2)")
    before = path.read_bytes()
    said, row, well = execute.run_chapter(path, check=False)
    assert (row, well) == (None, False)
    assert "not written" in said
    assert "ZeroDivisionError" in said
    assert path.read_bytes() == before


def test_a_meant_error_is_stored_without_its_traceback(tmp_path: Path) -> None:
    cells = [s.code("int('x')", tags=("raises-exception",))]
    after, _ = execute.execute(s.chapter(cells).text)
    (output,) = parse("12_counting", after).code[0].outputs
    assert output["traceback"] == [f"ValueError: {output['evalue']}"]
    assert normalise(after) == after


def test_names_choose_chapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen: list[str] = []

    def fake(path: Path, *, check: bool) -> tuple[str, None, bool]:
        chosen.append(path.stem)
        return path.stem, None, path.stem != "13_bad"

    files = [tmp_path / f"{name}.ipynb" for name in ("00_a", "12_b", "13_bad")]
    monkeypatch.setattr(execute, "paths", lambda: files[:2])
    monkeypatch.setattr(execute, "assignment_paths", lambda: files[2:])
    monkeypatch.setattr(execute, "run_chapter", fake)
    assert execute.main([]) == 1
    assert chosen == ["00_a", "12_b", "13_bad"]
    assert execute.main(["12", "00"]) == 0
    assert execute.main(["99"]) == 1
    assert "no chapter" in capsys.readouterr().out


def test_times_of_other_chapters_are_kept(tmp_path: Path) -> None:
    execute.record_times([execute.Times("12", "12_b.ipynb", 60, 41.5, 44.0)], tmp_path)
    execute.record_times([execute.Times("00", "00_a.ipynb", 20, 9.0, 11.0)], tmp_path)
    execute.record_times([execute.Times("12", "12_b.ipynb", 60, 39.0, 42.0)], tmp_path)
    lines = (tmp_path / "chapters.csv").read_text().splitlines()
    table = [line for line in lines if not line.startswith("#")]
    assert table == [
        "chapter,file,cpu_seconds_declared,cpu_seconds_measured,wall_seconds",
        "00,00_a.ipynb,20,9.0,11.0",
        "12,12_b.ipynb,60,39.0,42.0",
    ]
    head = {line[2:].split(": ")[0] for line in lines if line.startswith("#")}
    assert head == {"command", "date", "python", "torch", "cores"}


def test_the_environment_is_deterministic_and_not_the_users(tmp_path: Path) -> None:
    environment = execute.static_environment(tmp_path)
    assert environment["LABKIT_STATIC"] == "1"
    assert environment["IPYTHONDIR"].startswith(str(tmp_path))
    assert environment["LABKIT_TIMES"].startswith(str(tmp_path))
