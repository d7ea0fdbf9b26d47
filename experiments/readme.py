"""`python -m experiments.readme`: write the README's tables from what was recorded."""

import csv
import json
import re
from pathlib import Path

from labkit.files import write_atomically
from labkit.metrics import read_league
from labkit.recorded import read_recording
from labkit.viz import league_table

ROOT = Path(__file__).resolve().parents[1]


def chapters_table(root: Path = ROOT) -> str:
    """List the chapters with their titles, minutes to read, and measured processor time."""
    with open(root / "benchmarks" / "chapters.csv", encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        seconds = {row["file"]: float(row["cpu_seconds_measured"]) for row in rows}
    lines = ["| chapter | the question | minutes to read | CPU-seconds |", "|---|---|--:|--:|"]
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        title, question = _title(notebook)
        minutes = notebook["metadata"]["labkit"]["minutes"]
        link = f"[{title}](notebooks/{path.name})"
        lines.append(f"| {link} | {question} | {minutes} | {seconds[path.name]:.0f} |")
    return "\n".join(lines)


def _title(notebook: dict) -> tuple[str, str]:
    """Return a chapter's heading and the first paragraph below it, its question."""
    source = "".join(notebook["cells"][0]["source"])
    heading, question = (part.strip() for part in source.split("\n\n")[:2])
    return heading.lstrip("# "), " ".join(question.split()).strip("*")


MEASURES = ("accuracy", "exact match", "last word", "BLEU", "ROUGE-L", "exact", "followed")
"""What a task is judged by in the README, the first of these that was measured."""
LANGUAGE_MODELS = {
    *("head only", "all weights", "LoRA", "label words", "label words, calibrated"),
    *("written", "written, may refuse", "pointed", "BM25, storyteller chooses"),
    *("this course's model", "SFT", "DPO", "RL"),
}
"""Systems that are made of one of the course's models; all others are baselines."""
TRUTHS = {"told again, truly", "true answers"}


def tasks_table(root: Path = ROOT) -> str:
    """List, for each task and text, the best baseline and the best of the course's models."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for path in sorted((root / "experiments").glob("tasks_*.csv")):
        for row in read_recording(path.stem, path.parent).rows:
            if row["system"] not in TRUTHS:
                found.setdefault((row["task"], row["data"]), []).append(dict(row))
    lines = [
        "| task | text | measure | best without a language model | best of this course's models "
        "| its CPU-seconds |",
        "|---|---|---|---|---|--:|",
    ]
    for (task, data), rows in found.items():
        measure = next((m for m in MEASURES if any(row["metric"] == m for row in rows)), "")
        judged = [row for row in rows if row["metric"] == measure]
        ours = [row for row in judged if row["system"] in LANGUAGE_MODELS]
        others = [row for row in judged if row["system"] not in LANGUAGE_MODELS]
        if ours and others:
            best, other = (max(some, key=lambda r: float(r["value"])) for some in (ours, others))
            cells = [task, data, measure, _scored(other), _scored(best)]
            seconds = float(best["cpu_seconds"]) + float(best.get("pretraining_seconds") or 0)
            lines.append(f"| {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def _scored(row: dict[str, str]) -> str:
    """Tell a system with its value and interval, shares in percent."""
    percent = float(row["high"]) <= 1
    value, low, high = (
        f"{(100 if percent else 1) * float(row[name]):.1f}" for name in ("value", "low", "high")
    )
    return f"{row['system']}: **{value}{' %' * percent}** ({low} to {high})"


def with_blocks(old: str, blocks: dict[str, str], file: str) -> str:
    """Return a text with its generated blocks, between two comment lines each, replaced."""
    for name, content in blocks.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(old):
            raise ValueError(f"{file} has no block {name}: put its two comment lines back")
        old = pattern.sub(r"\g<1>" + content.replace("\\", r"\\") + r"\n\g<2>", old)
    return old


def readme_text(old: str, root: Path = ROOT) -> str:
    """Return the README with its generated blocks replaced."""
    blocks = {
        "chapters": chapters_table(root),
        "league": league_table(read_league()).markdown(),
        "tasks": tasks_table(root),
    }
    return with_blocks(old, blocks, "README.md")


def main() -> None:
    """Write README.md."""
    path = ROOT / "README.md"
    write_atomically(path, readme_text(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
