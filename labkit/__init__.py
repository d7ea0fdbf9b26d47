"""The tools the course builds, one module per concern.

Import what you need from the module that holds it (`from labkit.ngram import kneser_ney`), so that
every name says where it lives. Importing `labkit` itself imports nothing else.
"""

__version__ = "0.1.0"
