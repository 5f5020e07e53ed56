"""What is Hetzner's own in HTTP: its error codes and its pages."""

from __future__ import annotations

from cloudsync.provider.http import Dialect, Paging

DIALECT = Dialect(
    "Hetzner",
    Paging(50, next="meta.pagination.next_page", total="meta.pagination.total_entries"),
    # https://docs.hetzner.cloud/reference/cloud#errors
    means={
        "rate_limit_exceeded": 429,
        "unauthorized": 401,
        "token_readonly": 403,
        "resource_limit_exceeded": 402,
        "uniqueness_error": 409,
        "conflict": 409,
        "not_found": 404,
        "firewall_resource_not_found": 404,
        # Nothing was done:
        "locked": 503,
        "maintenance": 503,
        "unavailable": 503,
        "resource_unavailable": 503,
        # Nobody knows whether anything was done:
        "timeout": 504,
        "bad_gateway": 504,
        "server_error": 504,
        "service_error": 504,
    },
    advice={
        "unauthorized": "is the token right, and of this project?",
        "token_readonly": "apply needs a token that may read and write",
        "uniqueness_error": "a firewall of this name exists by now",
    },
)
