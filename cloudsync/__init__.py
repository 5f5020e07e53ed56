"""cloudsync keeps cloud firewalls in step with the ports that Docker containers need."""

__version__ = "0.1.0"
