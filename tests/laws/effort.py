"""How long hypothesis looks: a little in CI, long at night."""

from hypothesis import HealthCheck, settings

few = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
