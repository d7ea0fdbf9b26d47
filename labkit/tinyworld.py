"""TinyWorld for the chapters: the package `tinyworld`, which stands on its own, under one roof."""

from tinyworld import Entropy, Fault, Limits, Story, TinyWorld, Verdict, tasks

__all__ = ["Entropy", "Fault", "Limits", "Story", "TinyWorld", "Verdict", "tasks"]
