"""What is measured: Ottla, a real Kafka, and the floor probe. Each runs as a process of its own on
core 0; the load runs on core 1."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OTTLA = Path(os.environ.get("OTTLA_BINARY", TARGET / "release" / "ottla")).resolve()
LOAD = TARGET / "tools" / "load"
FLOOR = TARGET / "tools" / "floor"
KAFKA_LIB = Path(os.environ.get("KAFKA_HOME", TARGET / "test-tools" / "kafka")) / "lib"
READY_WITHIN_S = 60
REST_WITHIN_S = 20
LOOK_S = 0.2
# Of a core; less is rest.
BUSY = 0.1
# What Kafka's own start script passes, and the heap that performance.md gives it.
JVM = [
    "-server", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
]
SHARED = {
    "log.segment.delete.delay.ms": "100",
    "auto.create.topics.enable": "true",
    "group.initial.rebalance.delay.ms": "0",
}


class Unavailable(Exception):
    """A peer that is not installed."""


def pinned(core, command, pin):
    return ["taskset", "--cpu-list", str(core), *map(str, command)] if pin else list(map(str, command))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


def load(*arguments, pin=True, timeout=180):
    """Runs the load; its JSON."""
    command = pinned(1, [LOAD, *arguments], pin)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def cpu_s(pid):
    """CPU time of the living threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass  # it has just ended
    return total / 1e9


class Process:
    """A started process and its directory; both are gone after stop()."""

    name = ""

    def __init__(self, directory, pin=True):
        self.settings = dict(SHARED)
        Path(directory).mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=directory))
        self.pin = pin
        self.child = None
        self.bootstrap = None
        self.topics = 0

    @property
    def pid(self):
        return self.child.pid

    def spawn(self, command, **more):
        self.log = open(self.home / "output", "ab")
        self.child = subprocess.Popen(pinned(0, command, self.pin), stderr=self.log, **more)

    def stop(self):
        if self.child is not None:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def topic(self, partitions=1, configs=()):
        """A fresh topic; its name."""
        self.topics += 1
        name = f"t{self.topics}"
        configs = [part for config in configs for part in ("--config", config)]
        load("topic", "--bootstrap", self.bootstrap, "--topic", name, "--partitions", partitions, *configs)
        self.rest()
        return name

    def rest(self):
        """Waits for the end of what goes on behind an answer: logs made and deleted, code compiled."""
        deadline = time.monotonic() + REST_WITHIN_S
        used = cpu_s(self.pid)
        while time.monotonic() < deadline:
            time.sleep(LOOK_S)
            before, used = used, cpu_s(self.pid)
            if used - before < BUSY * LOOK_S:
                return

    def forget(self, topic):
        load("topic", "--bootstrap", self.bootstrap, "--topic", topic, "--delete")

    def wait_until_it_answers(self):
        deadline = time.monotonic() + READY_WITHIN_S
        host, port = self.bootstrap.split(":")
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self.last_words()}")
            try:
                socket.create_connection((host, int(port)), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"{self.name} does not answer: {self.last_words()}")

    def last_words(self):
        return (self.home / "output").read_text(errors="replace")[-2000:]


class Ottla(Process):
    name = "ottla"

    def __init__(self, directory, pin=True, arguments=()):
        super().__init__(directory, pin)
        self.arguments = arguments

    def command(self):
        settings = {
            "listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": self.home / "data",
            **self.settings,
        }
        overrides = [part for key, value in settings.items() for part in ("--override", f"{key}={value}")]
        return [OTTLA, *self.arguments, *overrides]

    def start(self):
        self.bootstrap = self.bootstrap or f"127.0.0.1:{free_port()}"
        self.spawn(self.command(), stdout=subprocess.DEVNULL, cwd=self.home)
        return self.wait_until_it_answers()


class Kafka(Process):
    name = "kafka"

    def configure(self):
        if not KAFKA_LIB.is_dir():
            raise Unavailable("Kafka: run scripts/setup")
        self.bootstrap = f"127.0.0.1:{free_port()}"
        controller = f"127.0.0.1:{free_port()}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.home / "data",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            **self.settings,
        }
        self.properties = self.home / "server.properties"
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        self.logging = self.home / "log4j2.yaml"
        self.logging.write_text(
            "Configuration: {Appenders: {Console: {name: OUT, PatternLayout: {pattern: '%p %m%n'}}},"
            " Loggers: {Root: {level: WARN, AppenderRef: {ref: OUT}}}}\n"
        )
        format_it = ["kafka.tools.StorageTool", "format", "--cluster-id", "5L6g3nShT-eMCtK--X86sw"]
        java = [*self.java("-Xmx256m"), *format_it, "--config", str(self.properties)]
        subprocess.run(java, check=True, capture_output=True)
        return self

    def java(self, *options):
        return ["java", *options, f"-Dlog4j2.configurationFile={self.logging}", "-cp", f"{KAFKA_LIB}/*"]

    def command(self):
        return [*self.java(*JVM), "kafka.Kafka", str(self.properties)]

    def start(self):
        if self.bootstrap is None:
            self.configure()
        self.spawn(self.command(), stdout=self.home.joinpath("stdout").open("ab"), cwd=self.home)
        return self.wait_until_it_answers()


class Floor(Process):
    """One loop of the floor probe."""

    name = "floor"

    def __init__(self, directory, arguments, pin=True):
        super().__init__(directory, pin)
        self.arguments = arguments

    def start(self):
        command = [FLOOR, *self.arguments, "--directory", self.home]
        self.spawn(command, stdout=subprocess.PIPE, text=True)
        self.bootstrap = self.child.stdout.readline().strip()
        if not self.bootstrap:
            raise RuntimeError(f"the floor ended: {self.last_words()}")
        return self

    def topic(self, partitions=1, configs=()):
        return "f"

    def forget(self, topic):
        pass


def terminate(process):
    """SIGTERM; seconds until the process has gone."""
    start = time.monotonic()
    process.child.send_signal(signal.SIGTERM)
    process.child.wait(READY_WITHIN_S)
    return time.monotonic() - start


def floor_once(*arguments, pin=True):
    done = subprocess.run(pinned(0, [FLOOR, *arguments], pin), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
