"""Everything about the reader's machine and folder, nothing about language models.

It opens JupyterLab, brings the reader's copy of the chapters up to date and says what is wrong with
a machine. It uses labkit; of labkit only the command (`labkit lab`, `doctor`, `reader`) uses it.
"""
