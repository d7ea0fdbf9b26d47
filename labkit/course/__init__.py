"""Coursework: what an assignment asks, and how answers are marked and kept.

Of a submission only the source text of the answers is used. Each answer runs in a sandbox, on cases
made from a secret seed, and the values that come back are judged outside it.
"""


class CourseError(RuntimeError):
    """Why a step of the coursework could not be done, as one sentence."""
