pytest_plugins = ["tests.real_parts"]
