"""The code of every chapter type-checks, as the package does."""

from pathlib import Path

from mypy import api

from tests.contract.reading import ROOT, assignment_paths, paths, read

LENIENT = (
    "--allow-untyped-defs",
    "--check-untyped-defs",
    "--disable-error-code=str-unpack",  # `for a, b in ["ab", "bc"]` says what it does
    "--no-error-summary",
)


def faults(scripts: list[Path]) -> list[str]:
    """What mypy says about some files, with the project's settings but untyped definitions."""
    config = ("--config-file", str(ROOT / "pyproject.toml"))
    said, broken, _ = api.run([*LENIENT, *config, *map(str, scripts)])
    assert not broken, broken
    return [line for line in said.splitlines() if ": error:" in line]


def test_chapters_type_check(tmp_path: Path) -> None:
    scripts = []
    for path in [*paths(), *assignment_paths()]:
        script = tmp_path / f"chapter_{path.stem}.py"
        code = "\n\n".join(cell.source for cell in read(path).code)
        script.write_text(code, encoding="utf-8")
        scripts.append(script)
    assert not faults(scripts), "\n".join(faults(scripts))


def test_a_wrong_type_is_noticed(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text("from labkit.notebook import setup\n\nsetup(12, cpu_seconds=1)\n")
    assert any("arg-type" in fault for fault in faults([script]))
