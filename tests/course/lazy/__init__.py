"""Answers that call labkit's own solution: right, but to earn nothing where it is withheld."""
