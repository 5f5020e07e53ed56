"""Findings about reverse proxies: CS031 to CS033."""

from __future__ import annotations

from collections.abc import Iterator

from cloudsync.audit import tables
from cloudsync.audit.findings import Finding
from cloudsync.audit.hints import of_opening
from cloudsync.audit.published import about_workload
from cloudsync.model.machine_facts import Facts, Workload


def find(facts: Facts) -> Iterator[Finding]:
    """Every finding of this family but for published ports, which `published.py` goes through."""
    tunnelled = any(tables.is_image(workload, tables.TUNNELS) for workload in facts.workloads)
    for workload in facts.workloads:
        if not tables.is_image(workload, tables.PROXIES):
            continue
        if not tunnelled:
            yield from _on_loopback(facts, workload)
        yield from _dashboard(facts, workload)


def _on_loopback(facts: Facts, workload: Workload) -> Iterator[Finding]:
    words = (*workload.command, *workload.labels, *workload.environment)
    certificates = any("acme" in word.lower() or "letsencrypt" in word.lower() for word in words)
    serving = [publish for publish in workload.published if publish.container_port in (80, 443)]
    if certificates and serving and all(publish.is_loopback for publish in serving):
        yield about_workload(
            "CS031", "low", facts, workload,
            "it asks for certificates from the Internet, and is published on loopback only",
            of_opening(serving),
        )  # fmt: skip


def _dashboard(facts: Facts, workload: Workload) -> Iterator[Finding]:
    """Middlewares with a password that the router of the dashboard names and that are not there."""
    for router in sorted(_dashboards(workload)):
        names = workload.labels.get(f"traefik.http.routers.{router}.middlewares", "")
        for name in filter(None, (word.strip() for word in names.split(","))):
            missing = _missing(facts, workload, name)
            if missing is not None:
                yield about_workload(
                    "CS033", "high", facts, workload,
                    f"its dashboard's router names the middleware {name}, {missing}: nothing asks "
                    "for a password",
                )  # fmt: skip
                return


def _dashboards(workload: Workload) -> set[str]:
    """Routers of a proxy's own labels that lead to its API: said so, or named like it with no
    service of their own."""
    routers: dict[str, set[str]] = {}
    for key in workload.labels:
        words = key.split(".")
        if key.startswith("traefik.http.routers.") and len(words) > 4:
            routers.setdefault(words[3], set()).add(words[4])
    return {
        name
        for name, keys in routers.items()
        if workload.labels.get(f"traefik.http.routers.{name}.service") == "api@internal"
        or ("service" not in keys and any(word in name for word in ("dashboard", "api", "traefik")))
    }


def _missing(facts: Facts, workload: Workload, name: str) -> str | None:
    """Why a middleware does not exist; None if it does."""
    plain, _, provider = name.partition("@")
    if provider == "file":
        by_file = any("providers.file" in word for word in (*workload.command, *workload.labels))
        return None if by_file else "and no file provider is configured"
    defined = {
        key.split(".")[3]
        for other in facts.workloads
        for key in other.labels
        if key.startswith("traefik.http.middlewares.") and len(key.split(".")) > 3
    }
    return None if provider not in ("", "docker") or plain in defined else "which is not defined"
