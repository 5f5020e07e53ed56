"""The loop of `cloudsync watch`: wait for what `rhythm.py` says, run the one `reconcile.apply`,
tell how it ended.

It never asks and grants nothing: what needs a person's word is reported by every run and left
undone.
"""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType

from cloudsync import exit_codes
from cloudsync.config.configuration import Configuration, WatchSettings
from cloudsync.config.models import rhythm_problem
from cloudsync.config.names import not_configured
from cloudsync.model.plan import Granted
from cloudsync.notify import metrics
from cloudsync.notify.counters import Memory, recall, remembering
from cloudsync.notify.notifier import Reporting
from cloudsync.notify.run import Run
from cloudsync.provider.contract import Progress
from cloudsync.provider.phrases import count
from cloudsync.reconcile import run as reconcile
from cloudsync.reconcile.inventories import Inventories
from cloudsync.reconcile.publish import local_hosts, publish_quietly
from cloudsync.reconcile.run import Options, Report, Terms
from cloudsync.render.escape import plain
from cloudsync.rules.frozen import dataclass
from cloudsync.runtime.signals import Interrupted, Interruption
from cloudsync.sources.docker.inspected import Inspections
from cloudsync.state import StateError
from cloudsync.state.lease import Standing
from cloudsync.state.lock import LockHeld
from cloudsync.state.shards import Shard, place_of
from cloudsync.watch.auditing import Auditing
from cloudsync.watch.bell import Bell
from cloudsync.watch.events import Listener, can_listen
from cloudsync.watch.hints import NOTHING, Hints
from cloudsync.watch.keepers import Keepers
from cloudsync.watch.listen import Board, Health, Server
from cloudsync.watch.notify import Systemd
from cloudsync.watch.reloading import Reloading
from cloudsync.watch.rhythm import Pace, Rhythm, Trouble
from cloudsync.watch.room import room_for_listeners
from cloudsync.watch.scope import EVERYTHING, Outlook
from cloudsync.watch.status_page import StatusPage
from cloudsync.watch.store_poll import StorePoll
from cloudsync.watch.ticking import MONOTONIC, Clock

log = logging.getLogger("cloudsync.watch")
LOOK_SECONDS = 2.0
"""So often the loop looks whether the configuration file changed."""
MARGIN_SECONDS = 60.0
STANDBY_SECONDS = 30.0
"""So much later than two intervals after the last run, one that stands by takes over."""
PING_SECONDS = 60.0
"""A health check is pinged so often at most while nothing changes about the exit code."""


class ListenProblem(Exception):
    """The address of `/metrics` cannot be had."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says; None and empty: as the configuration does."""

    interval: float | None = None
    """Seconds."""
    debounce_min: float | None = None
    """Seconds."""
    debounce_max: float | None = None
    """Seconds."""
    listen: tuple[str, int] | None = None
    """A loopback address and a port."""
    metrics_file: Path | None = None
    """A Prometheus textfile."""
    firewalls: tuple[str, ...] = ()
    """The only ones to keep in step."""
    shard: Shard | None = None
    """The only part to keep in step."""

    def over(self, configuration: Configuration) -> WatchSettings:
        """The rhythm in effect."""
        watch = configuration.watch
        return WatchSettings(
            interval=watch.interval if self.interval is None else self.interval,
            debounce_min=watch.debounce_min if self.debounce_min is None else self.debounce_min,
            debounce_max=watch.debounce_max if self.debounce_max is None else self.debounce_max,
            listen=watch.listen if self.listen is None else self.listen,
            poll=watch.poll,
        )

    def problem(self, configuration: Configuration) -> str | None:
        """Why these and the configuration do not go together; None where they do."""
        watch = self.over(configuration)
        unknown = [
            name
            for name in configuration.named(self.firewalls)
            if name not in configuration.firewalls
        ]
        if unknown and configuration.hosts_from_store is None:
            return plain(not_configured("firewall", unknown[0], configuration.firewalls))
        return rhythm_problem(
            *(
                timedelta(seconds=s)
                for s in (watch.interval, watch.debounce_min, watch.debounce_max)
            )
        )


class Service:
    """Runs until a signal ends it. Raises `ConfigError` and `ListenProblem` where it cannot
    begin."""

    def __init__(
        self, path: Path, overrides: Overrides, progress: Progress, clock: Clock = MONOTONIC
    ) -> None:
        self.overrides, self.progress, self.clock = overrides, progress, clock
        self.reloading = Reloading(path, overrides.problem, clock.now)
        self.rhythm = Rhythm(self._pace())
        self.bell, self.board, self.systemd = Bell(), Board(), Systemd()
        self.auditing = Auditing(lambda: self.configuration, self._audited)
        self.status_page = StatusPage(lambda: self.configuration, audit=lambda: self.auditing.last)
        self.board.page = self.status_page.current
        self.board.token = self._page_token
        self.listeners: dict[tuple[str, str], Listener] = {}
        self.hints = Hints(self.bell.ring)
        self._pending = NOTHING
        self._outlook = Outlook()
        self.keepers = Keepers(self.hints.everywhere)
        self.server: Server | None = None
        self._listening: tuple[str, int] | None = None
        self._stop: int | None = None
        self._interruption: Interruption | None = None
        self._reload = False
        self._last_code: int | None = None
        self._last_ping = float("-inf")
        self._told = ""
        self._last_success: float | None = None
        self._begun = self.clock.now()
        self._inventories, self._inspections = Inventories(), Inspections()
        self._poll = StorePoll(self._inventories, self.hints.at)
        self._nonce = secrets.token_hex(8)
        self._not_published = ""
        self._posting = threading.Lock()
        self._memory: Memory | None = None
        self._loaded = False

    @property
    def configuration(self) -> Configuration:
        """The one in effect, with the memory of this shard's runs."""
        current = self.reloading.current
        return replace(current, state=place_of(current.state, self.overrides.shard))

    def run(self) -> int:
        """The whole life of the service; its exit code."""
        with self.bell, self._signals():
            if (problem := self._listen()) is not None:
                raise ListenProblem(problem)
            self._attend()
            self.auditing.start()
            log.info("watching %s", self._what(), extra={"event": "start"})
            self.systemd.ready("the first run is under way")
            try:
                while self._stop is None:
                    self._look()
                    if self._stop is None and self.clock.now() >= self.rhythm.due():
                        self._once()
                        continue
                    left = self.rhythm.due() - self.clock.now()
                    self.systemd.promise(LOOK_SECONDS + MARGIN_SECONDS)
                    self.clock.wait(self.bell, min(left, LOOK_SECONDS))
                    self._take_hints()
            except Interrupted:
                log.debug("the signal came as a run ended")
            finally:
                self._end()
        return exit_codes.DONE

    def _once(self) -> None:
        """One run, and what follows from how it ended."""
        configuration = self.configuration
        firewalls = self._begin()
        published = self._published(configuration) if configuration.publish is not None else True
        if not configuration.firewalls and configuration.publish is not None:
            self._last_success = self.clock.now() if published else self._last_success
            self.rhythm = self.rhythm.end(self.clock.now(), "none" if published else "some", None)
            return
        self.systemd.promise(configuration.run.deadline + MARGIN_SECONDS)
        reporting = Reporting(
            configuration, "watch", metrics_file=self.overrides.metrics_file
        ).begin(ping=False)
        run = self._apply(configuration, reporting, firewalls)
        self._outlook = self._outlook.after(run.report, firewalls)
        run = replace(run, firewalls=firewalls, elsewhere=self._outlook.elsewhere(firewalls))
        memory = reporting.tell(run, ping=self._pings(run))
        if run.well or not run.succeeded:
            self._last_code = run.code
        if run.well:
            self._last_success = self.clock.now()
        self._say(run)
        self._show(run, memory)
        self.rhythm = self.rhythm.end(
            self.clock.now(), _trouble(run), _wake(run.report, self.clock.now())
        )
        self._forget_garbage()

    def _forget_garbage(self) -> None:
        """Sockets of failed connections stand in cycles with their errors, and the process goes on.
        What the first run has loaded stays until the end, and is not looked through again."""
        gc.collect()
        if not self._loaded:
            gc.freeze()
            self._loaded = True

    def _begin(self) -> tuple[str, ...]:
        """A run begins, and sees what happened until now: the firewalls that it is about."""
        self._take_hints()
        now, hint = self.clock.now(), self._pending
        whole = hint.everywhere or self.rhythm.needs_everything(now)
        swarm = self._inspections.swarm
        firewalls = EVERYTHING if whole else self._outlook.scope(hint.hosts, swarm)
        self._pending = NOTHING
        self.rhythm = self.rhythm.begin(now, everything=firewalls == EVERYTHING)
        return firewalls

    def _published(self, configuration: Configuration) -> bool:
        """Whether what this machine's engines answer is in the store. What goes wrong is logged,
        and tried again with the next run."""
        problems = publish_quietly(configuration, self.progress, self._inspections)
        trouble = "; ".join(problems)
        if trouble and trouble != self._not_published:
            log.warning("cloudsync watch: %s", plain(trouble, 500), extra={"event": "publish"})
        elif self._not_published and not trouble:
            log.info("cloudsync watch: published again", extra={"event": "publish"})
        self._not_published = trouble
        return not trouble

    def _apply(
        self, configuration: Configuration, reporting: Reporting, firewalls: tuple[str, ...]
    ) -> Run:
        """A run about these firewalls. `EVERYTHING`: all that the command line names."""
        options = Options(
            firewalls or self.overrides.firewalls,
            Granted(),
            self.overrides.shard,
            self._inventories,
            self._inspections,
        )
        interval = self.overrides.over(configuration).interval
        standing = Standing(2 * interval + STANDBY_SECONDS, self._nonce)
        try:
            self._interruption = Interruption()
            if self._stop is not None:
                raise Interrupted(self._stop)
            report = reconcile.apply(
                configuration,
                options,
                Terms(trigger="watch", standing=standing),
                progress=self.progress,
                interruption=self._interruption,
            )
            self._interruption = None
        except Interrupted as error:
            code = 128 + error.number
            return reporting.over(
                code, error="a signal stopped it before anything was begun", kind="interrupted"
            )
        except LockHeld as error:
            return reporting.over(exit_codes.LOCKED, error=str(error), kind="locked")
        except StateError as error:
            code = exit_codes.TRY_AGAIN if error.temporary else exit_codes.FAILED
            return reporting.over(code, error=str(error), kind="state")
        except Exception as error:
            log.debug(
                "internal error", exc_info=True
            )  # -v shows it; a service outlives the bugs of one run
            return reporting.over(
                exit_codes.FAILED, error=f"internal error: {type(error).__name__}", kind="internal"
            )
        finally:
            self._interruption = None
        return reporting.over(exit_codes.of_report(report), report)

    def _pings(self, run: Run) -> bool:
        """Not for every run of a storm, but at once when the exit code is another one."""
        now = self.clock.now()
        if run.code == self._last_code and now - self._last_ping < PING_SECONDS:
            return False
        self._last_ping = now
        return True

    def _say(self, run: Run) -> None:
        """A line for every change, and for trouble when it is not the same as before."""
        sentence = run.sentence()
        trouble = "" if run.succeeded else sentence
        if run.changed and run.succeeded:
            log.info("cloudsync watch: %s", sentence, extra={"event": "change"})
        elif trouble and not run.skipped and (trouble != self._told or run.changed):
            log.warning("cloudsync watch: %s", sentence, extra={"event": "trouble"})
        elif run.well and self._told:
            log.info("cloudsync watch: all is well again", extra={"event": "recovery"})
        if run.well or (trouble and not run.skipped):
            self._told = trouble

    def _show(self, run: Run, memory: Memory) -> None:
        """For `/metrics`, `/healthz` and `systemctl status`."""
        self._post(memory)
        self._judge(run.sentence())
        at = time.strftime("%H:%M:%S", time.localtime(run.started + run.seconds))
        broken = (
            "the changed configuration cannot be used, the old one is in effect; "
            if self.reloading.problem
            else ""
        )
        self.systemd.status(f"{broken}{at}: {run.sentence()[:300]}")

    def _page_token(self) -> str | None:
        """What a reader of the status page must know. Raises `SecretError`."""
        configuration = self.configuration
        token = configuration.watch.token
        return None if token is None else token.resolve(configuration.base).get_secret_value()

    def _audited(self) -> None:
        """The metrics and the page with what an audit found."""
        self.status_page.forget()
        self._post(None)

    def _post(self, memory: Memory | None) -> None:
        """The metrics after a run, or with None after an audit, whose thread is another: what
        either knows stays, whichever ends last."""
        with self._posting:
            configuration = self.configuration
            latest = memory or self._memory or recall(configuration.state, configuration.owner)
            self._memory = latest
            figures = self.auditing.figures or latest.audit
            self.board.metrics = metrics.text(latest.model_copy(update={"audit": figures}))

    def _judge(self, sentence: str | None = None) -> None:
        now = self.clock.now()
        watch, run = self.overrides.over(self.configuration), self.configuration.run
        allowed = 2 * watch.interval + run.deadline
        age = None if self._last_success is None else now - self._last_success
        healthy = age is not None and age <= allowed
        values = {
            **self.board.health.values,
            "seconds_since_success": None if age is None else round(age, 1),
            "allowed_seconds": allowed,
            "last_exit_code": self._last_code,
            "engines": {
                f"{host} {place}": listener.connected
                for (host, place), listener in self.listeners.items()
            },
            # Any user of the machine may ask: what is wrong with it is for the log.
            "configuration": (
                "the changed one cannot be used (the log says why); the old one is in effect"
                if self.reloading.problem
                else "in effect"
            ),
        }
        if sentence is not None:
            values["last_run"] = sentence
        reason = (
            "a recent run succeeded"
            if healthy
            else "no run has succeeded yet"
            if age is None
            else "no recent run succeeded"
        )
        self.board.health = Health(healthy, reason, values)

    def _look(self) -> None:
        """What else there is to see to: the configuration, and how old the last success is."""
        if self._reload or self.reloading.changed():
            self._reload = False
            self._reload_now()
        self._judge()

    def _reload_now(self) -> None:
        self.systemd.reloading()
        if self.reloading.reload():
            log.info("the configuration was read again", extra={"event": "reload"})
            self.rhythm = replace(self.rhythm, pace=self._pace()).at_once()
            self._outlook = Outlook()
            if (problem := self._listen()) is not None:
                log.error("%s; the old address stays", problem, extra={"event": "reload"})
            self._attend()
            self.systemd.ready("the configuration was read again")
            return
        problem = self.reloading.problem
        log.error(
            "the changed configuration cannot be used, the old one stays in effect: %s",
            plain(problem or "", 1500),
            extra={"event": "reload"},
        )
        with remembering(self.configuration.state, self.configuration.owner) as memory:
            memory.errors["configuration"] = memory.errors.get("configuration", 0) + 1
        self._post(memory)
        self.systemd.ready("the changed configuration cannot be used, the old one is in effect")

    def _listen(self) -> str | None:
        """`/metrics` at the address of the configuration; why not, where that cannot be."""
        wanted = self.overrides.over(self.configuration).listen
        if wanted == self._listening:
            return None
        fresh = None
        if wanted is not None:
            try:
                fresh = Server(wanted, self.board)
            except OSError as error:
                return f"{wanted[0]} port {wanted[1]} cannot be listened at: {error.strerror}"
            log.info(
                "/metrics and /healthz at %s port %d",
                wanted[0],
                fresh.port,
                extra={"event": "listen"},
            )
        if self.server is not None:
            self.server.stop()
        self.server, self._listening = fresh, wanted
        return None

    def _attend(self) -> None:
        """Listen to the engines of the configuration, and to no other."""
        chosen = self.configuration.named(self.overrides.firewalls) or self.configuration.firewalls
        names = {
            host
            for name in chosen
            if name in self.configuration.firewalls
            for host in self.configuration.firewalls[name].hosts
        }
        if self.configuration.publish is not None:
            names |= {host.name for host in local_hosts(self.configuration)}
        hosts = [
            host
            for host in self.configuration.hosts.values()
            if not host.retired and host.name in names
        ]
        wanted = {
            (host.name, str(endpoint))
            for host in hosts
            for endpoint in host.docker
            if can_listen(endpoint)
        }
        for key in self.listeners.keys() - wanted:
            self.listeners.pop(key).stop()
        room = room_for_listeners() - len(self.listeners)
        fresh = sorted(wanted - self.listeners.keys())
        for host, endpoint in fresh[: max(room, 0)]:
            self.listeners[host, endpoint] = Listener(
                host, endpoint, partial(self.hints.at, (host,))
            )
        if (beyond := len(fresh) - max(room, 0)) > 0:
            log.warning(
                "%d engines are read at the interval only: this process may not open enough files"
                " to listen to all of them (LimitNOFILE= of the unit, ulimit -n)",
                beyond,
                extra={"event": "events"},
            )
        self.keepers.attend(self.configuration, chosen)
        self._poll.attend(self.configuration)

    def _take_hints(self) -> None:
        if hint := self.hints.take():
            self._pending |= hint
            self.rhythm = self.rhythm.event(self.clock.now())

    def _pace(self) -> Pace:
        watch = self.overrides.over(self.configuration)
        return Pace(watch.interval, watch.debounce_min, watch.debounce_max)

    def _what(self) -> str:
        watch = self.overrides.over(self.configuration)
        return (
            f"the events of {count(len(self.listeners), 'engine')}, and everything every"
            f" {watch.interval:g} s"
        )

    def _end(self) -> None:
        self.systemd.stopping()
        self.systemd.promise(MARGIN_SECONDS)
        self.auditing.stop()
        self.keepers.stop()
        self._poll.stop()
        for listener in self.listeners.values():
            listener.stop()
        if self.server is not None:
            self.server.stop()
        self.systemd.close()
        log.info("stopped", extra={"event": "stop"})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the service, and the run under way as they end an apply. SIGHUP
        reads the configuration again."""
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._asked_to_stop,
            signal.SIGINT: self._asked_to_stop,
            signal.SIGHUP: self._asked_to_reload,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked_to_stop(self, number: int, _: FrameType | None) -> None:
        if self._stop is not None:
            os._exit(128 + number)
        self._stop = number
        self.bell.ring()
        if self._interruption is not None:
            self._interruption.request(number)

    def _asked_to_reload(self, _: int, __: FrameType | None) -> None:
        self._reload = True
        self.bell.ring()


def _trouble(run: Run) -> Trouble:
    """Whose trouble it is: only what troubles a vendor, or is a bug, makes a pause."""
    if run.skipped:
        return "locked"
    if run.report is None:
        return "none" if run.succeeded else "all"
    failed = {
        outcome.firewall
        for outcome in run.report.outcomes
        if outcome.status in ("failed", "unknown")
    }
    failed |= {f.name for f in run.report.plan.firewalls if f.read.status != "complete"}
    if not failed:
        return "none"
    if run.firewalls:
        return "some"
    return "all" if len(failed) == len(run.report.plan.firewalls) else "some"


def _wake(report: Report | None, now: float) -> float | None:
    """When the first of what is held may close, as a moment of the clock that says `now`."""
    if report is None:
        return None
    untils = [
        held.until
        for firewall in report.plan.firewalls
        for held in firewall.held
        if held.until is not None
    ]
    ahead = [(until - datetime.now(until.tzinfo)).total_seconds() for until in untils]
    return now + max(min(ahead), 1.0) + 1.0 if ahead else None
