"""Hypothesis measures no times here: a pause of a shared machine is no failure of a pure function."""

from hypothesis import HealthCheck, settings

settings.register_profile("pure", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pure")
