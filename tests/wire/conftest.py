"""How hypothesis runs here: no time limit for an example, and a failure says how to repeat it."""

from hypothesis import settings

settings.register_profile("wire", deadline=None, max_examples=50, print_blob=True)
settings.load_profile("wire")
