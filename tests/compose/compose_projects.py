"""Random Compose projects, of everything that decides a port and of how people combine it: several
files, `extends`, `include`, `!reset`, `!override`, profiles, variables, anchors, several documents.

Variables that decide something are set or have a default; where nothing runs, or where cloudsync
does not look, they need not be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

SERVICES = ("web", "api", "db", "mail")
BASES = ("base", "common", "web")
NETWORKS = ("front", "back")
MODES = ("host", "none", "bridge", "service:web", "service:db", "service:mail", "service:api")
EXTENSIONS = ("x", 3, {"a": 1}, {"a": [1]}, [1], None)
ADDRESSES = (
    "127.0.0.1",
    "203.0.113.7",
    "0.0.0.0",
    "[2001:db8::7]",
    "${BIND}",
    "${EMPTY}",
    "${NIL:-}",
)
NUMBERS = ("80", "443", "8080", "${A}", "${B:-81}", "${NO:-82}", "${A:+83}", "$A", "${EMPTY:-84}")
VARIABLES = {"A": "8443", "B": "9443", "BIND": "127.0.0.1", "EMPTY": "", "P": "debug"}

IDLE = {"image": "x", "profiles": ["never"], "ports": ["${UNSET}:99"], "networks": ["unknown"]}
"""A service that does not run, and would be refused if it did."""


@dataclass
class Generated:
    """A project as files, and how it is named to both readers."""

    files: dict[str, str] = field(default_factory=dict)
    compose: list[str] = field(default_factory=lambda: ["."])
    env_file: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)

    def words(self) -> list[str]:
        """The same for docker compose."""
        words = [word for profile in self.profiles for word in ("--profile", profile)]
        words += [word for file in self.env_file for word in ("--env-file", file)]
        return words + [word for file in self.compose if file != "." for word in ("-f", file)]


@dataclass(frozen=True)
class Tagged:
    """A value with `!reset` or `!override`."""

    tag: str
    value: Any


@dataclass(frozen=True)
class Alias:
    """`*name`, or with `anchor` the value at `&name`."""

    name: str
    value: Any = None


def project(random: Random, *, v5: bool, density: float = 1.0) -> Generated:
    """A project. `v5`: also what docker compose takes since v5 only: an include whose services the
    file changes. `density`: how much more of everything that is rare."""
    made = Generated()
    maker = _Maker(random, made, v5=v5, density=density)
    maker.project()
    return made


class _Maker:
    def __init__(self, random: Random, made: Generated, *, v5: bool, density: float) -> None:
        self.random, self.made, self.v5, self.density = random, made, v5, density
        self.depth = 0
        self.names = 0

    def chance(self, of: float) -> bool:
        return self.random.random() < min(of * self.density, 0.85)

    def pick(self, values: Sequence[Any]) -> Any:
        return self.random.choice(values)

    def some(self, values: Sequence[Any], most: int = 3) -> list[Any]:
        return self.random.sample(list(values), self.random.randint(1, min(most, len(values))))

    def project(self) -> None:
        env = dict(VARIABLES)
        layout = self.pick(("folder", "folder", "override", "override", "named", "elsewhere"))
        folder = ""
        if layout == "elsewhere":
            folder = "deploy/"
            env["COMPOSE_FILE"] = "deploy/compose.yaml" + self.pick(("", ":deploy/more.yaml"))
            self.made.files["deploy/.env"] = "A=7443\nINNER=$A\nB=${BIND:-x}\n"
        if self.chance(0.3):
            env["COMPOSE_PROFILES"] = self.pick(("debug", "debug,tools", "*", ""))
        if self.chance(0.2):
            self.made.profiles = self.some(("debug", "tools"))
        if self.chance(0.2):
            self.made.env_file = ["prod.env"]
            self.made.files["prod.env"] = dotenv({**VARIABLES, "A": "6443"})
            if layout == "elsewhere":
                self.made.files["prod.env"] += f"COMPOSE_FILE={env['COMPOSE_FILE']}\n"
        self.made.files[".env"] = dotenv(env)
        main = f"{folder}compose.yaml"
        known = self.file(main, folder, known=set())
        if layout == "override":
            self.file("compose.override.yaml", folder, known, over=True)
        if layout == "named":
            self.file("prod.yaml", folder, known, over=True)
            self.made.compose = ["compose.yaml", "prod.yaml"]
        if ":" in env.get("COMPOSE_FILE", ""):
            self.file("deploy/more.yaml", folder, known, over=True)

    def file(self, path: str, folder: str, known: set[str], *, over: bool = False) -> set[str]:
        """Write a file. `known`: the services of the files before; returned with its own. `folder`:
        what its paths are relative to."""
        documents = [self.document(folder, known, over=over)]
        if self.chance(0.08):
            known = known | set(documents[-1]["services"])
            documents.append(self.document(folder, known, over=True))
        self.made.files[path] = "---\n".join(emit(document) for document in documents)
        return known | set(documents[-1]["services"])

    def document(self, folder: str, known: set[str], *, over: bool) -> dict[str, Any]:
        names = self.some(SERVICES) if not over else sorted({*self.some(SERVICES, 2), "web"})
        included: set[str] = set()
        document: dict[str, Any] = {}
        if self.chance(0.2):
            document["name"] = self.pick(("shop", "Shop_1", "${NO:-shop}"))
        if self.depth < 2 and self.chance(0.3):
            document["include"], included = self.includes(folder)
        if not self.v5:
            names = [name for name in names if name not in included]
        document["services"] = self.services(names, folder, included, known)
        if self.chance(0.2):
            document["services"]["idle"] = dict(IDLE)
        if self.chance(0.15) and "web" in document["services"]:
            document["x-web"] = Alias("web", self.body(over=False))
            document = {"x-web": document.pop("x-web"), **document}
            web = document["services"]["web"]
            if isinstance(web, dict):
                document["services"]["web"] = {"<<": Alias("web"), **web}
        same = "include" in document and not self.v5
        document["networks"] = {name: None if same else self.network() for name in NETWORKS}
        return document

    def network(self) -> Any:
        return self.pick(
            (None, None, {"internal": self.pick(("yes", "off", True, "${NO:-false}"))})
        )

    def services(
        self, names: list[str], folder: str, included: set[str], known: set[str]
    ) -> dict[str, Any]:
        """Services by name; one may extend a sibling that extends nothing itself. Those that are
        also included neither extend nor are extended: versions differ in what comes first."""
        services: dict[str, Any] = {}
        for name in names:
            extendable = [
                sibling
                for sibling, body in services.items()
                if isinstance(body, dict) and "extends" not in body and sibling not in included
            ]
            services[name] = self.service(extendable, folder, known=name in known)
            if name in included and isinstance(services[name], dict):
                services[name].pop("extends", None)
        return services

    def service(self, siblings: list[str], folder: str, *, known: bool) -> Any:
        """`known`: an earlier file has it."""
        if known and self.chance(0.08):
            return Tagged("!reset", None) if self.chance(0.5) else None
        body = self.body(over=known)
        if self.chance(0.3):
            body["extends"] = self.extends(siblings, folder)
        if known and self.chance(0.08):
            return Tagged("!override", untagged(body))
        return body

    def body(self, *, over: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"image": "nginx:${TAG}"}
        if self.chance(0.75):
            body["ports"] = self.tagged(
                [self.port() for _ in range(self.random.randint(0, 3))], over
            )
        if self.chance(0.3):
            body["labels"] = self.tagged(self.labels(), over)
        if self.chance(0.25):
            networks = self.some(NETWORKS)
            body["networks"] = self.tagged(
                networks if self.chance(0.5) else dict.fromkeys(networks), over
            )
        elif self.chance(0.15):
            body["network_mode"] = self.tagged(self.pick(MODES), over)
        if self.chance(0.2):
            body["profiles"] = self.tagged(self.some(("debug", "tools", "${P}")), over)
        if self.chance(0.1):
            body["deploy"] = self.tagged({"replicas": self.pick((0, 1, 2, "${NO:-0}"))}, over)
        if self.chance(0.2):
            body["environment"] = {"SECRET": "${UNSET}", "B": "$$x"}
        if self.chance(0.08):
            body["x-more"] = self.tagged(self.pick(EXTENSIONS), over)
        return body

    def tagged(self, value: Any, over: bool) -> Any:
        if not self.chance(0.3 if over else 0.1):
            return value
        return Tagged("!override", value) if self.chance(0.6) else Tagged("!reset", None)

    def port(self) -> Any:
        host, target = self.pick(NUMBERS), self.pick(("80", "81", "${A}"))
        form = self.random.randrange(8)
        if form == 0:
            return {"target": 80, "published": self.pick(("8080", "${A}", "8000-8003"))}
        if form == 1:
            return {"target": 53, "published": "53", "protocol": "udp", "host_ip": "127.0.0.1"}
        if form == 2:
            return self.pick(
                (f"{target}", 443, "127.0.0.1::90", "7000-7002:7000-7002", "9000-9003:90")
            )
        if form in (3, 4):
            return f"{self.pick(ADDRESSES)}:{host}:{target}"
        return f"{host}:{target}{self.pick(('', '', '/udp', '/tcp'))}"

    def labels(self) -> Any:
        labels = {
            "cloudsync.expose": "false",
            "cloudsync.sources": "${NO:-any}",
            "other": "${UNSET}",
        }
        mine = {key: labels[key] for key in self.some(list(labels))}
        if self.chance(0.5):
            return mine
        listed = [f"{key}={value}" for key, value in mine.items()]
        return [*listed, "traefik.http.${UNSET}.rule=x"] if self.chance(0.3) else listed

    def extends(self, siblings: list[str], folder: str) -> Any:
        if not siblings or self.chance(0.5):
            self.names += 1
            path = f"{self.pick(('', 'lib/'))}common{self.names}.yaml"
            base = self.pick(BASES)
            self.base_file(folder + path, base)
            return {"file": path, "service": base}
        return self.pick(siblings)

    def base_file(self, path: str, base: str) -> None:
        """A file that is extended from: the service may extend another of the same file, or of
        another one."""
        services: dict[str, Any] = {base: self.body(over=self.chance(0.5))}
        if self.chance(0.5):
            services["deeper"] = self.body(over=False)
            services[base]["extends"] = self.pick(("deeper", {"service": "deeper"}))
        elif self.chance(0.3):
            self.names += 1
            other = f"other{self.names}.yaml"
            folder = path.rpartition("/")[0]
            self.base_file(f"{folder}/{other}" if folder else other, "deep")
            services[base]["extends"] = {"file": other, "service": "deep"}
        if self.chance(0.4):
            services["unused"] = {"image": "x", "ports": ["${UNSET}:1"]}
        self.made.files[path] = emit({"services": services})

    def includes(self, folder: str) -> tuple[list[Any], set[str]]:
        self.depth += 1
        entries: list[Any] = []
        names: set[str] = set()
        for _ in range(self.random.randint(1, 2)):
            self.names += 1
            inner = f"inc{self.names}/"
            path = f"{inner}compose.yaml"
            mine = [f"s{self.names}"]
            if self.v5 and self.chance(0.6):
                mine.append("web")
            services = self.services(mine, folder + inner, set(), set())
            document = {"services": services, "networks": dict.fromkeys(NETWORKS)}
            if self.depth < 2 and self.chance(0.3):
                document["include"], _ = self.includes(folder + inner)
            self.made.files[folder + path] = emit(document)
            if self.chance(0.6):
                self.made.files[f"{folder}{inner}.env"] = "A=5443\nB=$A\nNO=${C:-5}\n"
            names.update(mine)
            entries.append(
                self.pick((path, {"path": path}, self.long_include(path, inner, folder)))
            )
        self.depth -= 1
        return entries, names

    def long_include(self, path: str, inner: str, folder: str) -> Any:
        env = "/dev/null"
        if not folder:  # docker compose looks for those of nested ones in the wrong folder
            env = self.pick((env, f"{inner}extra.env"))
            self.made.files[f"{inner}extra.env"] = "NO=4443\n"
        return {"path": [path], "env_file": env}


def untagged(body: dict[str, Any]) -> dict[str, Any]:
    """A body without tags, and without what it resets: they mean nothing inside of `!override`."""
    values = {
        key: child.value if isinstance(child, Tagged) else child for key, child in body.items()
    }
    return {
        key: value
        for key, value in values.items()
        if not (isinstance(body[key], Tagged) and value is None)
    }


def dotenv(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def emit(value: Any, indent: int = 0) -> str:
    """A document as YAML, collections in block style."""
    return "".join(_lines(value, indent))


def _lines(value: dict[str, Any], indent: int) -> list[str]:
    pad = "  " * indent
    lines = []
    for key, child in value.items():
        is_plain = key == "<<" or key.replace("-", "").isalnum()
        prefix = f"{pad}{key if is_plain else json.dumps(key)}:"
        tag = ""
        if isinstance(child, Tagged):
            tag, child = f" {child.tag}", child.value
        if isinstance(child, Alias):
            if child.value is None:
                lines.append(f"{prefix} *{child.name}\n")
                continue
            tag, child = f" &{child.name}", child.value
        if isinstance(child, dict) and child:
            lines.append(f"{prefix}{tag}\n")
            lines += _lines(child, indent + 1)
        elif isinstance(child, list) and child:
            lines.append(f"{prefix}{tag}\n")
            lines += [f"{pad}  - {json.dumps(item)}\n" for item in child]
        else:
            lines.append(f"{prefix}{tag} {json.dumps(child)}\n")
    return lines
