"""The command `labkit`, and what it does for the reader's machine and folder.

It opens JupyterLab, brings the reader's copy of the chapters up to date, says what is wrong with a
machine, and calls labkit to train, to write and to prepare texts. labkit does not use it.
"""
