from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.real_parts"]

# On a busy machine a slow example is no finding.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
