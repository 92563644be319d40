"""For all unit tests."""

from hypothesis import HealthCheck, settings

# A machine that stands still for a moment fails no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
