pytest_plugins = ["cloudsync.testing"]
