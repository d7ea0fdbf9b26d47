"""Pictures that answer: look inside a model by mouse or keys, in JupyterLab or in a file by itself.

They work on any model that offers labkit's interface, on models of Hugging Face and on arrays, and
need no network and no build step. `labkit.viz` passes them on to the chapters.
"""
