"""The set-up: what it refuses, what it explains, what it repairs, and when it does nothing.

A scripted interpreter stands in for the one inside `.venv`, so nothing is downloaded or installed.
"""

import ast
import errno
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONNECTION = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)'\n"
    "ERROR: Could not find a version that satisfies the requirement a==1 (from versions: none)\n"
    "ERROR: No matching distribution found for a==1"
)


def load_bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load_bootstrap()


class FakePip:
    """Plays the commands of a set-up: makes the venv's files, then prints and returns as told."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.says = ""
        self.code = 0

    def __call__(self, command: list[str], log: object, root: Path) -> object:
        self.commands.append(command)
        env = bootstrap.environment_in(root)
        if "venv" in command:
            env.python.parent.mkdir(parents=True)
            (env.venv / "pyvenv.cfg").touch()
            env.python.touch()
            return iter(())
        env.log.write_text(self.says, encoding="utf-8")
        if self.code:
            raise bootstrap.BootstrapError(bootstrap.explain(self.says.splitlines(), self.code))
        name = "labkit-0.1.0" if "--editable" in command else "numpy-2.4.6"
        place = env.venv / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info"
        place.mkdir(parents=True, exist_ok=True)
        return iter(())

    @property
    def verbs(self) -> list[str]:
        """What was run, in order."""
        words = {"venv": "venv", "-r": "pins", "--editable": "labkit"}
        return [
            verb for command in self.commands for word, verb in words.items() if word in command
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "a path with 空格"
    root.mkdir()
    (root / "requirements.lock").write_text("numpy==2.4.6\n", encoding="utf-8")
    (root / "pyproject.toml").write_text("", encoding="utf-8")
    return root


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip()
    monkeypatch.setattr(bootstrap, "run_logged", fake)
    monkeypatch.setattr(bootstrap.subprocess, "check_output", lambda *_, **__: sys.version.encode())
    return fake


def set_up(root: Path) -> None:
    bootstrap.bootstrap(bootstrap.environment_in(root))


def test_every_python_since_3_6_can_read_it() -> None:
    ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_it_needs_the_standard_library_only() -> None:
    tree = ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 9, 2), (3, 10, 13), (2, 7, 18)])
def test_an_old_python_is_named_in_one_sentence(
    version: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bootstrap.main(version) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ".".join(map(str, version)) in error
    assert "3.11 or newer" in error


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 20, 0), (4, 0, 0)])
def test_a_new_python_is_accepted(version: tuple[int, ...]) -> None:
    bootstrap.check_python(version, "python3")


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_venv_module_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(bootstrap.BootstrapError, match=f"{module}.*apt install python3-venv"):
        bootstrap.check_venv_module("python3")


def test_too_little_space_is_refused_with_both_numbers(
    folder: Path, pip: FakePip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bootstrap.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_500_000_000)
    )
    with pytest.raises(bootstrap.BootstrapError, match=r"1\.5 GB free .* needs 3\.0 GB"):
        set_up(folder)
    assert pip.commands == []
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (CONNECTION, "could not be reached"),
        (CONNECTION.splitlines()[1] + "\n" + CONNECTION.splitlines()[2], "offers a==1"),
        ("ERROR: No matching distribution found for torch==2.13.0", "has no torch==2.13.0"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk is full"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "PIP_CERT"),
        ("ERROR: HTTP error 403 while getting https://x", "refused access"),
        ("ERROR: 401 Client Error: Unauthorized for url", "refused access"),
        ("noise\nERROR: something {new} happened.", "something {new} happened"),
        ("noise", "gave no reason"),
    ],
)
def test_pips_failure_is_explained_in_one_sentence(says: str, expected: str) -> None:
    sentence = bootstrap.explain(says.splitlines(), 1)
    assert expected in sentence
    assert "install.log" in sentence
    assert "\n" not in sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")


def test_an_installer_that_was_killed_is_named() -> None:
    assert "signal 9" in bootstrap.explain([], -9)


def test_a_second_run_starts_nothing(folder: Path, pip: FakePip) -> None:
    set_up(folder)
    assert pip.verbs == ["venv", "pins", "labkit"]
    set_up(folder)
    assert len(pip.commands) == 3
    assert not (folder / ".venv" / "unfinished").exists()


def change_lock(root: Path) -> None:
    (root / "requirements.lock").write_text("numpy==2.5.0\n", encoding="utf-8")


def change_project(root: Path) -> None:
    (root / "pyproject.toml").write_text("[project]\n", encoding="utf-8")


def lose_package(root: Path) -> None:
    os.rmdir(root / ".venv" / "lib" / "python3.11" / "site-packages" / "numpy-2.4.6.dist-info")


def lose_stamp(root: Path) -> None:
    (root / ".venv" / "labkit-stamp.json").unlink()


def break_stamp(root: Path) -> None:
    (root / ".venv" / "labkit-stamp.json").write_text("[1", encoding="utf-8")


def lose_python(root: Path) -> None:
    bootstrap.environment_in(root).python.unlink()


def leave_unfinished(root: Path) -> None:
    (root / ".venv" / "unfinished").touch()


def pretend_other(key: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / ".venv" / "labkit-stamp.json"
        stamp = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**stamp, key: "another"}), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (change_lock, ["pins", "labkit"]),
        (change_project, ["pins", "labkit"]),
        (lose_package, ["pins", "labkit"]),
        (lose_stamp, ["pins", "labkit"]),
        (break_stamp, ["pins", "labkit"]),
        (pretend_other("python"), ["pins", "labkit"]),
        (lose_python, ["venv", "pins", "labkit"]),
        (leave_unfinished, ["venv", "pins", "labkit"]),
        (pretend_other("root"), ["venv", "pins", "labkit"]),
    ],
)
def test_a_damaged_environment_is_repaired_once(
    damage: Callable[[Path], None], expected: list[str], folder: Path, pip: FakePip
) -> None:
    set_up(folder)
    damage(folder)
    pip.commands.clear()
    set_up(folder)
    assert pip.verbs == expected
    set_up(folder)
    assert pip.verbs == expected


def test_another_python_builds_anew(
    folder: Path, pip: FakePip, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(folder)
    change_lock(folder)
    monkeypatch.setattr(bootstrap.subprocess, "check_output", lambda *_, **__: b"3.11.0 (other)")
    pip.commands.clear()
    set_up(folder)
    assert pip.verbs == ["venv", "pins", "labkit"]


def test_a_first_set_up_that_failed_is_done_anew(folder: Path, pip: FakePip) -> None:
    pip.says, pip.code = CONNECTION, 1
    with pytest.raises(bootstrap.BootstrapError, match="could not be reached"):
        set_up(folder)
    assert (folder / ".venv" / "unfinished").exists()
    pip.code = 0
    pip.commands.clear()
    set_up(folder)
    assert pip.verbs == ["venv", "pins", "labkit"]


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (CONNECTION, ["pins", "labkit"]),
        (f"Installing collected packages: numpy\n{CONNECTION}", ["venv", "pins", "labkit"]),
    ],
)
def test_an_update_that_failed_keeps_what_still_works(
    says: str, expected: list[str], folder: Path, pip: FakePip
) -> None:
    set_up(folder)
    change_lock(folder)
    pip.says, pip.code = says, 1
    with pytest.raises(bootstrap.BootstrapError):
        set_up(folder)
    assert bootstrap.environment_in(folder).python.exists()
    pip.code = 0
    pip.commands.clear()
    set_up(folder)
    assert pip.verbs == expected


def test_old_files_are_gone_after_building_anew(folder: Path, pip: FakePip) -> None:
    set_up(folder)
    leave_unfinished(folder)
    (folder / ".venv" / "lib" / "half a package").mkdir()
    outside = folder / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (folder / ".venv" / "link").symlink_to(outside, target_is_directory=True)
    set_up(folder)
    assert not (folder / ".venv" / "lib" / "half a package").exists()
    assert (outside / "kept").exists()


def test_files_of_others_in_the_way_are_not_deleted(folder: Path, pip: FakePip) -> None:
    (folder / ".venv").mkdir()
    (folder / ".venv" / "thesis.tex").touch()
    with pytest.raises(bootstrap.BootstrapError, match="move it away"):
        set_up(folder)
    assert (folder / ".venv" / "thesis.tex").exists()
    assert pip.commands == []


def test_a_file_called_venv_is_refused(folder: Path, pip: FakePip) -> None:
    (folder / ".venv").touch()
    with pytest.raises(bootstrap.BootstrapError, match="is a file"):
        set_up(folder)


@pytest.mark.parametrize("home", ["", None])
def test_an_empty_home_is_not_handed_on(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    variables = bootstrap.child_environment()
    assert "HOME" not in variables
    assert variables["PIP_USER"] == "0"


def test_what_a_command_says_reaches_the_log_and_the_sentence(tmp_path: Path) -> None:
    script = "print('ERROR: ünknown trouble'); raise SystemExit(3)"
    with (tmp_path / "log").open("wb") as log:
        lines = bootstrap.run_logged([sys.executable, "-X", "utf8", "-c", script], log, tmp_path)
        assert next(lines) == "ERROR: ünknown trouble"
        with pytest.raises(bootstrap.BootstrapError, match="ünknown trouble"):
            next(lines)
    assert "ünknown trouble" in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_command_does_not_outlive_its_set_up(tmp_path: Path) -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with (tmp_path / "log").open("wb") as log:
        lines = bootstrap.run_logged([sys.executable, "-c", script], log, tmp_path)
        process = int(next(lines))
        lines.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def copy_of(folder: Path, *, lock: str) -> Path:
    """Return a folder with the real bootstrap.py, run as a program in the tests below."""
    (folder / "bootstrap.py").write_bytes((ROOT / "bootstrap.py").read_bytes())
    (folder / "requirements.lock").write_text(lock, encoding="utf-8")
    return folder / "bootstrap.py"


def run(program: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_without_an_index_the_program_ends_with_one_sentence(folder: Path) -> None:
    program = copy_of(folder, lock="numpy==2.4.6\n")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "HOME": ""}
    result = run(program, PIP_CONFIG_FILE=os.devnull, **offline)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "numpy==2.4.6" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert "numpy==2.4.6" in (folder / ".venv" / "install.log").read_text(encoding="utf-8")


def test_a_missing_lock_ends_with_one_sentence(folder: Path) -> None:
    program = copy_of(folder, lock="")
    (folder / "requirements.lock").unlink()
    result = run(program)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "requirements.lock" in result.stderr


def test_a_full_disk_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(env: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bootstrap, "bootstrap", fail)
    assert bootstrap.main() == 1
    assert capsys.readouterr().err.startswith("The disk is full: make room")


def test_an_interruption_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(env: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "bootstrap", interrupt)
    assert bootstrap.main() == 130
    assert "run the same command again" in capsys.readouterr().err
