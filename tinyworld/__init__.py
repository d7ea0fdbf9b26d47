"""TinyWorld: stories whose distribution is known exactly, in two languages, and their judge.

A story, English or Chinese, is drawn from a small simulated world: people go places, hold, lose,
hide and mend things, feel, believe and promise. Every text has one derivation, so its probability
is known exactly, and with it the entropy that no model can beat. The judge reads any text and says
whether it means something: grammatical, free of contradictions, and resolved.

>>> text = "One sunny morning, Mia was in the barn. Ben ran to the lake."
>>> verdict = TinyWorld.full("en").judge(text)
>>> verdict.fault.reason
'sentence 2: Ben ran to the lake, but nobody knows where Ben is'

A tool, free in every chapter; chapter 46 is about what models learn of it.
"""

from tinyworld.judge import Fault, Verdict
from tinyworld.story import Limits
from tinyworld.tinyworld import Entropy, Story, TinyWorld

__all__ = ["Entropy", "Fault", "Limits", "Story", "TinyWorld", "Verdict"]
