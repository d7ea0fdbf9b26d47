"""The packages as source text: what they define, import and promise; not imported."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.contract.reading import ROOT, Definition

PACKAGES = ("classroom", "labkit", "tinyworld", "viewers", "workbench")
BUILT = re.compile(r"Built\s+in\s+notebook\s+(\d\d)\.")
BUILT_IN_CHAPTERS = ("functional", "ngram", "tokenizers", "gpt", "finetune")
SMALLEST_COPY = 15

Library = Mapping[str, str]
"""From a module's dotted name, such as "labkit.ngram", to its source."""


def read_library(root: Path = ROOT) -> Library:
    """Read every module of the packages; a package goes by its folder's name."""
    modules = {}
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = path.read_text(encoding="utf-8")
    return modules


def public_definitions(source: str) -> list[Definition]:
    """The functions and classes that a module offers."""
    body = ast.parse(source).body
    return [n for n in body if isinstance(n, Definition) and not n.name.startswith("_")]


def public_names(library: Library) -> dict[str, str]:
    """From each public function or class to the module that has it."""
    return {
        node.name: module
        for module, source in library.items()
        for node in public_definitions(source)
    }


def built(library: Library) -> dict[tuple[str, str], str | None]:
    """From (module, public name) to the chapter that builds it; None where it does not say."""
    found: dict[tuple[str, str], str | None] = {}
    for module, source in library.items():
        if module.split(".")[1:2] and module.split(".")[1] in BUILT_IN_CHAPTERS:
            for node in public_definitions(source):
                match = BUILT.search(ast.get_docstring(node) or "")
                found[module, node.name] = match.group(1) if match else None
    return found


def imported(source: str, module: str = "") -> Iterator[str]:
    """The dotted names that a module imports anywhere in it, relative ones made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            full = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{full}.{alias.name}" for alias in node.names)


class _Plain(ast.NodeTransformer):
    """Take out what a copy may change: docstrings, annotations, names of variables."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def rename(self, name: str) -> str:
        return self.names.setdefault(name, f"name{len(self.names)}")

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, Definition):
            node.name = self.rename(node.name)
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.arg, node.annotation = self.rename(node.arg), None
        if isinstance(node, ast.Name):
            node.id = self.rename(node.id)
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.Assign(targets=[node.target], value=node.value)
        return super().generic_visit(node)


def fingerprint(node: Definition) -> str | None:
    """The code of a definition up to names, types and docstrings; None for one too small to copy.

    >>> a, b = (ast.parse(f"def {n}(x): return [{n}(y - 1, len(x)) for y in x if y > 0]").body[0]
    ...         for n in ("walk", "climb"))
    >>> fingerprint(a) == fingerprint(b)
    True
    """
    copied = ast.parse(ast.unparse(node)).body[0]
    plain = _Plain().visit(copied)
    size = sum(not isinstance(child, ast.expr_context) for child in ast.walk(plain))
    return ast.dump(plain) if size >= SMALLEST_COPY else None


def fingerprints(source: str) -> Iterator[tuple[str, str]]:
    """(fingerprint, name) of every function and class in some code, methods included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Definition):
            mark = fingerprint(node)
            if mark is not None:
                yield mark, node.name
