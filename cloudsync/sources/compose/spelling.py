"""Keys that are nearly one that counts: docker compose refuses them, and to pass them over would
hide ports."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

from cloudsync.sources.compose.nodes import ComposeError, Mapping

TOP = ("name", "include", "services", "networks")
SERVICE = (
    "ports", "labels", "label_file", "network_mode", "networks", "extends", "profiles", "scale",
    "deploy", "build", "provider",
)  # fmt: skip
"""The keys that are read."""

_OTHERS = frozenset((
    # of a file
    "configs", "jobs", "models", "secrets", "version", "volumes",
    # of a service
    "annotations", "attach", "blkio_config", "cap_add", "cap_drop", "cgroup", "cgroup_parent",
    "command", "configs", "container_name", "cpu_count", "cpu_percent", "cpu_period",
    "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset",
    "credential_spec", "depends_on", "develop", "device_cgroup_rules", "devices", "dns",
    "dns_opt", "dns_search", "domainname", "entrypoint", "env_file", "environment", "expose",
    "external_links", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname", "image",
    "init", "ipc", "isolation", "links", "logging", "mac_address", "mem_limit",
    "mem_reservation", "mem_swappiness", "memswap_limit", "models", "oom_kill_disable",
    "oom_score_adj", "pid", "pids_limit", "platform", "post_start", "pre_start", "pre_stop",
    "privileged", "pull_policy", "pull_refresh_after", "read_only", "restart", "runtime",
    "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal",
    "storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "use_api_socket", "user", "userns_mode",
    "uts", "volumes", "volumes_from", "working_dir",
))  # fmt: skip
"""The other keys of the specification."""
_NEAR = 0.7
_MAX_UNKNOWN = 200
"""So many unknown keys of one mapping are compared with ours."""


def check_spelling(table: Mapping, known: tuple[str, ...]) -> None:
    """Raises `ComposeError` for a key that is none of the specification, but nearly one of
    `known`."""
    unknown = [
        key
        for key in table.entries
        if key not in known and key not in _OTHERS and not key.startswith("x-")
    ]
    for key in unknown[:_MAX_UNKNOWN]:
        if near := _nearest(key[:60], known):
            raise ComposeError(table.keys[key], f'unknown key {key[:60]!r}, did you mean "{near}"?')


@lru_cache(1024)
def _nearest(key: str, known: tuple[str, ...]) -> str | None:
    near = get_close_matches(key, known, 1, _NEAR)
    return near[0] if near else None
