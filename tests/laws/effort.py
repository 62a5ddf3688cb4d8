"""How long hypothesis looks: a little in CI (and without shrinking), long at night."""

from hypothesis import HealthCheck, Phase, settings

few = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
