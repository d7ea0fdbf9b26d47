"""labkit and workbench against the rules, and each rule against a small library that breaks it."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.contract import rules_library as rules
from tests.contract.library import Library, built, fingerprint, imported, read_library
from tests.contract.reading import ROOT, definitions

LIBRARY = read_library()
BAD: list[tuple[Callable[[Library], list[str]], Library]] = [
    (rules.imports_point_down, {"labkit.ngram": "from labkit.viz import curves"}),
    (rules.imports_point_down, {"labkit.ngram": "def f():\n    import labkit.viz.charts"}),
    (rules.imports_point_down, {"labkit.datasets": "", "labkit.datasets.a": "from ..viz import x"}),
    (rules.imports_point_down, {"labkit.novelty": ""}),
    (rules.imports_point_down, {"labkit.functional": "from labkit.gpt import GPT"}),
    (rules.imports_point_down, {"labkit.gpt": "from labkit.training import train"}),
    (rules.imports_point_down, {"labkit.viz": "def f():\n    from workbench import machine"}),
    (rules.imports_point_down, {"labkit.datasets": "import workbench.reader"}),
    (rules.imports_point_down, {"labkit.course": "import workbench"}),
    (rules.imports_point_down, {"workbench.doctor": "from workbench.command import main"}),
    (rules.imports_point_down, {"workbench.novelty": ""}),
    (rules.imports_point_down, {"labkit.machine": ""}),
    (
        rules.imports_point_down,
        {"labkit.training": "", "labkit.training.loop": "from labkit.viz import curves"},
    ),
    (
        rules.imports_in_no_circle,
        {"labkit.viz": "import labkit.checks", "labkit.checks": "from labkit import viz"},
    ),
    (
        rules.imports_in_no_circle,
        {
            "workbench.doctor": "from workbench import machine",
            "workbench.machine": "from workbench.doctor import Finding",
        },
    ),
    (
        rules.nearly_empty_package,
        {"labkit": "from labkit.model import LanguageModel", "workbench": ""},
    ),
    (rules.nearly_empty_package, {"labkit": "", "workbench": "from workbench import doctor"}),
    (rules.modules_are_small, {"labkit.ngram": "x = 1\n" * 351}),
    (rules.modules_are_small, {f"labkit.m{i}": "x = 1\n" * 300 for i in range(20)}),
    (rules.modules_are_small, {"workbench.machine": "x = 1\n" * 351}),
    (rules.modules_are_small, {f"workbench.m{i}": "x = 1\n" * 250 for i in range(4)}),
    (rules.modules_are_small, {f"labkit.course.m{i}": "x = 1\n" * 300 for i in range(6)}),
    (rules.modules_are_small, {f"classroom.m{i}": "x = 1\n" * 300 for i in range(6)}),
    (rules.functions_are_short, {"labkit.ngram": "def f():\n" + "    x = 1\n" * 40}),
    (rules.functions_are_short, {"workbench.lab": "def f():\n" + "    x = 1\n" * 40}),
    (rules.quiet_and_safe, {"labkit.ngram": "print(1)"}),
    (rules.quiet_and_safe, {"labkit.notebook": "eval('1')"}),
    (rules.quiet_and_safe, {"labkit.ngram": "try:\n    f()\nexcept:\n    pass"}),
    (rules.quiet_and_safe, {"labkit.ngram": "def f():\n    global x\n    x = 1"}),
    (rules.quiet_and_safe, {"labkit.ngram": "import pickle"}),
    (rules.quiet_and_safe, {"workbench.machine": "print(1)"}),
    (rules.quiet_and_safe, {"workbench.doctor": "try:\n    f()\nexcept:\n    pass"}),
    (rules.quiet_and_safe, {"workbench.reader": "from pickle import loads"}),
    (rules.says_where_it_is_built, {"labkit.ngram": "def f():\n    'Count.'"}),
    (rules.says_where_it_is_built, {"labkit.gpt": "class A:\n    'Built in notebook 3.'"}),
]
GOOD: Library = {
    "labkit": '"""Nearly empty."""',
    "labkit.ngram": 'def f():\n    """Count. Built in\n    notebook 12."""\n    return 1',
    "labkit.viz": "from labkit.ngram import f\nfrom labkit.viz.charts import g",
    "labkit.viz.charts": "def g():\n    return 1\n" + "x = 1\n" * 300,
    "labkit.notebook": "def show():\n    print(1)" + "\n    x = 1" * 38,
    "labkit.checks.ch99": "y = 2\n" * 349,
    "labkit.__main__": "from workbench.command import main\n",
    "workbench": '"""Nearly empty."""',
    "workbench.command": "from workbench.doctor import report\nprint(1)",
    "workbench.doctor": "from labkit.viz import g\nfrom workbench import machine\nprint(1)",
    "workbench.machine": "import labkit.datasets\n" + "x = 1\n" * 349,
}


@pytest.mark.parametrize("rule", {rule: None for rule, _ in BAD}, ids=lambda rule: rule.__name__)
def test_the_library_keeps(rule: Callable[[Library], list[str]]) -> None:
    assert rule(LIBRARY) == []
    assert rule(GOOD) == []


@pytest.mark.parametrize("place", range(len(BAD)), ids=lambda i: f"{i}-{BAD[i][0].__name__}")
def test_bad_library_breaks(place: int) -> None:
    rule, library = BAD[place]
    assert rule(library) != []


def test_light_modules_import_no_torch() -> None:
    light = [module for module in LIBRARY if rules.is_light(module)]
    assert {"labkit", "labkit.checks", "labkit.notebook"} <= set(light)
    assert {name for name in LIBRARY if name.startswith("workbench")} <= set(light)
    program = (
        "import importlib, sys\n"
        f"for name in {light}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, f'{name} imports torch'\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_what_an_import_statement_names() -> None:
    source = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\n"
    assert list(imported(source, "labkit.viz.charts")) == [
        "a.b",
        "c.d",
        "labkit.viz.e",
        "labkit.f.g",
    ]


def test_built_reads_the_docstring_of_each_public_object() -> None:
    library = {
        "labkit.ngram": GOOD["labkit.ngram"] + "\n\ndef _hidden(): ...\n\nclass New: ...",
        "labkit.metrics": "def other(): ...",
    }
    assert built(library) == {("labkit.ngram", "f"): "12", ("labkit.ngram", "New"): None}


ORIGINAL = """
def total(values: list[int], start: int = 0) -> int:
    \"\"\"Add up.\"\"\"
    for value in values:
        start = start + value
    return start
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("values", "numbers", True),
        ('"""Add up."""', '"""Sum, said otherwise."""', True),
        (": list[int]", "", True),
        ("def total", "@cache\ndef add_up", True),
        ("start + value", "value + start", False),
        ("= 0", "= 1", False),
        ("return start", "return values", False),
    ],
)
def test_a_fingerprint_sees_through_names_types_and_docstrings_only(
    old: str, new: str, same: bool
) -> None:
    (original,), (changed,) = definitions(ORIGINAL), definitions(ORIGINAL.replace(old, new))
    assert fingerprint(original) is not None
    assert (fingerprint(original) == fingerprint(changed)) is same


def test_what_is_too_small_to_be_a_copy_has_no_fingerprint() -> None:
    assert fingerprint(definitions("def first(values):\n    return values[0]")[0]) is None
