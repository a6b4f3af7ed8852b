"""One supervisor: starts children in order, restarts one that dies, stops all in reverse."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from console.embedded import spawn

FIRST_WAIT_S, MOST_WAIT_S, CALM_S = 0.5, 30.0, 60.0
LOOK_S = 0.2
PRESS_S = 3.0
TAIL_LINES = 8


class Engine(Protocol):
    """What the supervisor needs to know of a child."""

    name: str
    stop_signal: signal.Signals

    def start(self) -> subprocess.Popen[bytes]: ...

    def is_ready(self) -> bool: ...


class StartFailed(RuntimeError):
    """A child did not become ready; the text says what it said last."""


@dataclass
class Child:
    """One engine while it is watched."""

    engine: Engine
    log: Path
    ready_s: float = 30.0
    stop_s: float = 7.0
    # Our own programs end before the engines that they use.
    program: bool = False
    # Sent after PRESS_S to one that would finish its work first: Celery then puts it down.
    press: signal.Signals | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    wait_s: float = FIRST_WAIT_S
    restart_at: float = 0.0
    restarts: int = field(default=0)

    def start(self) -> None:
        self.process = self.engine.start()
        self.started_at = time.monotonic()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask(self, number: signal.Signals) -> None:
        if self.process is not None:
            spawn.ask(self.process, number)

    def sweep(self) -> None:
        if self.process is not None:
            spawn.sweep(self.process)

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        except OSError:
            return ""
        return "\n".join(f"      {line[:200]}" for line in lines)


class Supervisor:
    """Watches over children until SIGINT or SIGTERM. `say` prints one line for people."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.children: list[Child] = []
        self.stopping = False
        self.signals = 0

    def catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def start(self, child: Child) -> None:
        """Start a child and wait until it is ready. Raises StartFailed with its last words."""
        child.start()
        self.children.append(child)
        ready = spawn.wait_until(
            lambda: self.stopping or child.engine.is_ready(), child.process, child.ready_s
        )
        if not ready and not self.stopping:
            raise StartFailed(f"{child.engine.name} did not start. Its last words:\n{child.tail()}")

    def watch(self, also: Callable[[], None]) -> None:
        """Restart what dies, call `also` at every look, until a signal comes."""
        while not self.stopping:
            for child in self.children:
                self._look_after(child)
            also()
            time.sleep(LOOK_S)

    def stop_all(self) -> None:
        """Stop in reverse order, the programs together, then the engines; a second signal forces.

        Together, because each may take its time: one after the other nobody would wait for.
        """
        for program in (True, False):
            self._stop([c for c in reversed(self.children) if c.program == program])

    def _stop(self, children: list[Child]) -> None:
        began = time.monotonic()
        for child in children:
            child.ask(child.engine.stop_signal)
        while alive := [child for child in children if child.runs()]:
            passed = time.monotonic() - began
            for child in alive:
                # Engines are not forced: killed, PostgreSQL would leave its backends behind.
                if passed > child.stop_s or (self.signals > 1 and child.program):
                    child.sweep()
                elif passed > PRESS_S and child.press is not None:
                    child.ask(child.press)
                    child.press = None
            time.sleep(0.05)
        for child in children:
            child.sweep()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.restart_at:
            if now >= child.restart_at:
                child.restart_at = 0.0
                self._restart(child)
            return
        if not child.died():
            if child.restarts and now - child.started_at > CALM_S:
                child.wait_s, child.restarts = FIRST_WAIT_S, 0
            return
        code = child.process.returncode if child.process else 0
        child.sweep()
        self.say(
            f"{child.engine.name} ended ({_why(code)}); starting it again in {child.wait_s:g} s"
        )
        if child.restarts and (tail := child.tail()):
            self.say(f"its last words:\n{tail}")
        child.restart_at = now + child.wait_s
        child.wait_s = min(child.wait_s * 2, MOST_WAIT_S)

    def _restart(self, child: Child) -> None:
        child.restarts += 1
        try:
            child.start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.say(f"{child.engine.name} could not be started: {error}")
            child.restart_at = time.monotonic() + child.wait_s
            return
        self.say(f"{child.engine.name} runs again")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1
        self.stopping = True


def _why(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
