"""Settings that all tests share."""

from hypothesis import settings

# An example that is slow on a busy machine is no fault, and no test here is about time.
settings.register_profile("course", deadline=None)
settings.load_profile("course")
