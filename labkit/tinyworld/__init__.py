"""TinyWorld: stories whose distribution is known exactly, in two languages, and their judge.

A story, English or Chinese, is drawn from a small simulated world: people go places, hold, lose, hide and mend things,
feel, believe and promise. Every text has one derivation, so its probability is known to the last
digit, and with it the entropy that no model can beat. The judge reads any text and says whether it
means something: it is grammatical, nobody gives away what they do not hold, the plot resolves.

>>> world = TinyWorld.full(language="en")
>>> world.judge("On a sunny morning, Mia was in the kitchen. Ben gave it to Mia.").fault.reason
'sentence 2: Ben gave it to Mia, but it is not clear who or what “it” is'

A tool, free in every chapter; chapter 46 is about what models learn of it.
"""

from labkit.tinyworld.judge import Fault, Verdict
from labkit.tinyworld.story import Limits
from labkit.tinyworld.tinyworld import Entropy, Story, TinyWorld

__all__ = ["Entropy", "Fault", "Limits", "Story", "TinyWorld", "Verdict"]
