"""What is installed, for whom, and that its lists agree with each other."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import labkit

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
NEEDS = [
    Requirement(line)
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
]
LOCK = [
    line
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PINS = {canonicalize_name(pin.name): pin for pin in map(Requirement, LOCK)}
HERE = {name: pin for name, pin in PINS.items() if pin.marker is None or pin.marker.evaluate()}
OLDEST = "3.11.0"


def pinned(name: str) -> Version:
    (clause,) = PINS[canonicalize_name(name)].specifier
    return Version(clause.version)


SYSTEMS = [
    {**system, "python_version": python, "python_full_version": f"{python}.5", "extra": ""}
    for python in ("3.11", "3.12", "3.13")
    for system in (
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
    )
]


def applies(requirement: Requirement, system: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(system)


def test_every_line_of_the_lock_pins_one_public_version() -> None:
    one = re.compile(r"[\w.-]+==[\w.]+(; .+)?")
    assert [line for line in LOCK if not one.fullmatch(line)] == []


def test_the_lock_names_nothing_twice() -> None:
    assert len(PINS) == len(LOCK)


def test_torch_is_pinned_without_the_tag_of_a_build() -> None:
    assert "torch==2.13.0" in LOCK


@pytest.mark.parametrize("need", NEEDS, ids=str)
def test_what_labkit_needs_is_pinned_at_a_version_it_accepts(need: Requirement) -> None:
    assert need.specifier.contains(pinned(need.name))
    assert PINS[canonicalize_name(need.name)].marker is None


def test_what_runs_here_is_what_is_pinned() -> None:
    running = {name: metadata.version(name).partition("+")[0] for name in HERE}
    assert running == {name: str(pinned(name)) for name in HERE}


def test_every_pin_runs_on_the_oldest_python() -> None:
    needs = {name: metadata.metadata(name).get_all("Requires-Python") or [""] for name in HERE}
    refused = {n: need for n, (need,) in needs.items() if not SpecifierSet(need).contains(OLDEST)}
    assert refused == {}


def test_what_a_pinned_package_needs_is_pinned_too() -> None:
    """On every system; torch's CUDA libraries, which torch itself pins, are left to torch."""
    loose = [
        f"{name} needs {need} on {system['sys_platform']} with Python {system['python_version']}"
        for name, pin in HERE.items()
        for need in map(Requirement, metadata.requires(name) or [])
        for system in SYSTEMS
        if applies(pin, system) and applies(need, system)
        if not (name == "torch" and system["sys_platform"] == "linux")
        if canonicalize_name(need.name) not in PINS
        or not applies(PINS[canonicalize_name(need.name)], system)
        or not need.specifier.contains(pinned(need.name), prereleases=True)
    ]
    assert loose == []


def test_the_markers_of_the_lock_are_few_and_known() -> None:
    markers = {str(pin.marker) for pin in PINS.values() if pin.marker is not None}
    assert markers == {
        str(Marker(text))
        for text in (
            'sys_platform == "darwin"',
            'sys_platform != "win32"',
            'os_name == "nt"',
            'os_name != "nt"',
            'python_version < "3.12"',
        )
    }


def test_the_conda_file_has_the_keys_that_conda_knows() -> None:
    assert CONDA.keys() == {"name", "channels", "dependencies"}
    assert CONDA["name"] == "labkit"
    assert CONDA["channels"] == ["conda-forge"]


def test_the_conda_file_leaves_every_version_but_pythons_to_the_lock() -> None:
    from rattler import MatchSpec

    *specs, pip = CONDA["dependencies"]
    parsed = {str(spec.name.normalized): spec for spec in map(MatchSpec, specs)}
    assert parsed.keys() == {"python", "pip"}
    assert parsed["pip"].version is None
    assert str(parsed["python"].version).startswith(PROJECT["requires-python"])
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\d+(?:\.\d+)+", text)) == {"3.11", "3.14"}


def test_one_version_and_one_holder_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert citation["version"] == PROJECT["version"] == labkit.__version__
    assert " AND ".join(citation["license"]) == PROJECT["license"]
    assert citation["authors"] == [{"name": "The labkit authors"}]
    assert "MIT License" in licence
    assert "CC BY 4.0" in licence
    assert licence.count("The labkit authors") == 2


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@needs_make
def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert found is not None
    said = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    named = set(re.findall(r"^make (\w+)", said.stdout, re.MULTILINE))
    assert named == set(found[1].split()) - {"help", "setup"}


@needs_make
@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("lab", '".venv/bin/python" -m labkit lab --no-browser'),
        ("notebooks", '".venv/bin/python" -m tests.contract.execute'),
        ("experiments", '".venv/bin/python" -m experiments.run'),
        ("readme", '".venv/bin/python" -m experiments.readme'),
        ("bench", '".venv/bin/python" -m benchmarks.run'),
    ],
)
def test_a_target_sets_up_and_then_runs_one_program(target: str, last: str, tmp_path: Path) -> None:
    folder = tmp_path / "a path with 空格"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    command = [
        "make",
        "--no-print-directory",
        "-n",
        target,
        "LAB_ARGS=--no-browser",
        "PYTHON=python 3",
    ]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert '"python 3" bootstrap.py' in lines
    assert lines[-1].endswith(last)


@needs_make
def test_make_test_checks_the_code_and_stores_no_live_output() -> None:
    command = ["make", "--no-print-directory", "-n", "test"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    programs = re.findall(r"-m (\w+)", said.stdout)
    assert programs == ["ruff", "mypy", "pytest"]
    assert "LABKIT_STATIC=1 TQDM_DISABLE=1" in said.stdout.splitlines()[-1]


@needs_make
def test_without_any_python_make_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("sh", "make"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    command = ["make", "setup"]
    environment = {"PATH": str(tmp_path)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "install Python 3.11 or newer" in result.stderr


class Host:
    """A machine made of scripts that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        (folder / ".ci").mkdir()
        shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
        for name in ("bash", "dirname"):
            (self.programs / name).symlink_to(str(shutil.which(name)))
        self.add("make", "python3")
        self.add("id", body="echo 0")

    def add(self, *names: str, body: str = "") -> None:
        """Put programs on the machine; they succeed unless the body says otherwise."""
        for name in names:
            path = self.programs / name
            path.write_text(
                f'#!{shutil.which("bash")}\necho "{name} $*" >> "{self.folder}/calls"\n{body}\n',
                encoding="utf-8",
            )
            path.chmod(0o755)

    def run(self) -> tuple[list[str], str]:
        """Run `.ci/run`; return what it called that matters, and what it said on stderr."""
        result = subprocess.run(
            ["bash", ".ci/run"],
            cwd=self.folder,
            env={"PATH": str(self.programs)},
            capture_output=True,
            text=True,
            check=True,
        )
        calls = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return [call for call in calls if call.split()[0] in ("apt-get", "sudo", "make")], (
            result.stderr
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


INSTALL = "apt-get install --yes --no-install-recommends"


def test_ci_installs_what_is_missing_then_tests(host: Host) -> None:
    host.add("apt-get")
    host.add("python3", body="exit 1")
    calls, _ = host.run()
    packages = "chromium bubblewrap fonts-noto-cjk python3-venv"
    assert calls == ["apt-get update", f"{INSTALL} {packages}", "make test"]


def test_ci_installs_nothing_when_all_is_there(host: Host) -> None:
    host.add("apt-get", "google-chrome", "bwrap")
    host.add("fc-list", body="echo Noto")
    assert host.run() == (["make test"], "")


def test_ci_knows_a_font_without_fontconfig(host: Host) -> None:
    host.add("apt-get", "chromium", "bwrap", "dpkg")
    assert host.run() == (["make test"], "")


def test_ci_asks_sudo_when_it_is_not_root(host: Host) -> None:
    host.add("apt-get", "sudo")
    host.add("id", body="echo 1000")
    calls, _ = host.run()
    assert calls[0] == "sudo apt-get update"
    assert calls[-1] == "make test"


@pytest.mark.parametrize(("programs", "reason"), [((), "no apt-get"), (("apt-get",), "Only root")])
def test_ci_says_so_and_goes_on_where_it_cannot_install(
    programs: tuple[str, ...], reason: str, host: Host
) -> None:
    host.add(*programs)
    host.add("id", body="echo 1000")
    calls, said = host.run()
    assert calls == ["make test"]
    assert reason in said
    assert "chromium" in said


def test_ci_fails_when_the_tests_do(host: Host) -> None:
    host.add("chromium", "dpkg")
    host.add("make", body="exit 3")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        host.run()
    assert caught.value.returncode == 3


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
