"""What holds for all tests: a property has as long as it needs, as the machine may be busy."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
