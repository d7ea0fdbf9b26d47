"""The stage of a question: a copy of labkit without what would answer it.

An answer may use labkit, except `labkit.checks`, which holds the references, `labkit.course`, and
the names that its exercise withholds: their bodies are gone from the copy, so neither importing nor
reading them helps.
"""

import ast
import compileall
import shutil
from collections.abc import Collection
from pathlib import Path

from labkit.course import CourseError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("corpora", "labkit", "tinyworld", "viewers")
LEFT_OUT = ("checks", "course", "__pycache__")
ANY_CHECK = '''\
"""Stands for the exercises while a teacher grades: every check gives back the answer."""


class _Checks:
    def __getattr__(self, name):
        return lambda answer: answer


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Checks()
'''


def make_stage(folder: Path, withheld: Collection[str]) -> None:
    """Write into a new folder what an answer may use and what runs it.

    A withheld name is a function, a class, a method or a whole module or package, with dots. Raises
    CourseError if there is none of that name.
    """
    for package in PACKAGES:
        if package not in withheld:
            ignored = shutil.ignore_patterns(*LEFT_OUT)
            shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    (folder / "labkit" / "checks").mkdir()
    (folder / "labkit" / "checks" / "__init__.py").write_text(ANY_CHECK, encoding="utf-8")
    for name in sorted({*withheld} - {*PACKAGES}):
        withhold(folder, name)
    for script in ("inside.py", "values.py"):
        shutil.copy(Path(__file__).with_name(script), folder / script)
    compileall.compile_dir(folder, quiet=2)


def withhold(folder: Path, name: str) -> None:
    """Empty a function or class, or remove a module, in the copy of labkit in a folder."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        module = folder.joinpath(*parts[:n])
        path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if path.is_file():
            break
    else:
        raise CourseError(f"cannot withhold {name!r}: there is no such module")
    if n == len(parts):
        path.write_text(f"raise ImportError({_why(name)!r})\n", encoding="utf-8")
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: ast.AST = tree
    for part in parts[n:]:
        inner = {getattr(node, "name", ""): node for node in getattr(found, "body", ())}
        if part not in inner:
            raise CourseError(f"cannot withhold {name!r}: {part!r} is not defined there")
        found = inner[part]
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = ast.parse(f"raise NotImplementedError({_why(name)!r})").body
    path.write_text(ast.unparse(tree), encoding="utf-8")


def _why(name: str) -> str:
    return f"{name} is what the question asks for, so it is not to be had here"
