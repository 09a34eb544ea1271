"""Rows about a broker's life rather than its load: start, stop, idle, memory, recovery."""

import shutil
import statistics
import subprocess
import time
from pathlib import Path

import subjects
from stats import interval
from subjects import Kafka, Ottla, Unavailable, load, pinned, terminate

GIB = 1 << 30


def status_kb(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def pss_kb(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def switches(pid):
    """Voluntary context switches of each thread."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "voluntary_ctxt_switches" in line and not line.startswith("non"):
                found[task.name] = int(line.split()[1])
    return found


def switched_since(before, pid):
    """By threads that were there; what ended meanwhile slept till then."""
    return sum(count - before.get(task, 0) for task, count in switches(pid).items())


def written_calls(pid):
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("syscw"):
            return int(line.split()[1])
    return 0


def starts(runner, count, kafka_count):
    """L1 and L15: exec to the first acknowledged record, SIGTERM to exit, empty directory."""
    out = {"id": "L1", "title": "exec to first acknowledged record on an auto-created topic, empty directory; "
           "L15: SIGTERM to exit", "unit": "ms"}
    for kind, times in ((Ottla, count), (Kafka, kafka_count)):
        first, stop = [], []
        for _ in range(times):
            broker = kind(runner.work, runner.pin)
            try:
                if kind is Kafka:
                    broker.configure()
                broker.bootstrap = broker.bootstrap or f"127.0.0.1:{subjects.free_port()}"
                command = pinned(0, broker.command(), runner.pin)
                result = load("first", "--bootstrap", broker.bootstrap, "--topic", "first", "--", *command,
                              pin=runner.pin)
                first.append(result["first_acknowledged_ns"] / 1e6)
                stop.append(result["stop_ns"] / 1e6)
            except Unavailable:
                break
            finally:
                broker.stop()
        out[kind.name] = interval(first)
        out[f"{kind.name} p99"] = sorted(first)[int(len(first) * 0.99)] if first else None
        out[f"{kind.name} stop"] = interval(stop)
    out["floor"] = {"median": subjects.floor_once("start", "--count", 30, pin=runner.pin)["p50_ns"] / 1e6}
    return out


def idle(runner, seconds):
    """L2: memory and wake-ups of an idle, empty broker."""
    out = {"id": "L2", "title": "idle empty broker: PSS, wake-ups and write calls per second", "unit": "MB"}
    for kind in (Ottla, Kafka):
        broker = kind(runner.work, runner.pin)
        try:
            broker.start()
            time.sleep(2)
            before, written = switches(broker.pid), written_calls(broker.pid)
            time.sleep(seconds)
            out[kind.name] = {
                "pss_mb": pss_kb(broker.pid) / 1024,
                "wakeups_per_s": switched_since(before, broker.pid) / seconds,
                "writes_per_s": (written_calls(broker.pid) - written) / seconds,
                "threads": len(list(Path(f"/proc/{broker.pid}/task").iterdir())),
            }
        except Unavailable:
            out[kind.name] = None
        finally:
            broker.stop()
    return out


def memory_under_load(runner, seconds):
    """L3, shortened: anonymous memory after P2 and half a minute of it later."""
    out = {"id": "L3", "title": f"anonymous memory under P2, after 1 s and {seconds} s", "unit": "MB"}
    for name, broker in runner.brokers.items():
        topic = broker.topic(100)
        common = ["produce", "--bootstrap", broker.bootstrap, "--topic", topic, "--partitions", 100]
        load(*common, "--run-ms", 1000, pin=runner.pin)
        first = status_kb(broker.pid, "RssAnon") / 1024
        # In an open loop, so that the disk is not what fills up.
        load(*common, "--rate", 4000, "--run-ms", seconds * 1000, pin=runner.pin)
        out[name] = {"first_mb": first, "last_mb": status_kb(broker.pid, "RssAnon") / 1024}
        broker.forget(topic)
    return out


def recovery(runner, gib):
    """L6: kill -9 with gigabytes in active segments, then exec to the first acknowledged record."""
    out = {"id": "L6", "title": f"restart after kill -9 with {gib} GB in active segments", "unit": "ms"}
    for kind in (Ottla, Kafka):
        broker = kind(runner.work, runner.pin)
        try:
            broker.start()
            topic = broker.topic(2 * gib)
            load("produce", "--bootstrap", broker.bootstrap, "--topic", topic, "--partitions", 2 * gib,
                 "--batch-bytes", 1040000, "--run-ms", 120000, "--bytes", gib * GIB, pin=runner.pin)
            broker.child.kill()
            broker.child.wait()
            command = pinned(0, broker.command(), runner.pin)
            start = time.monotonic()
            broker.spawn(broker.command(), stdout=subprocess.DEVNULL, cwd=broker.home)
            broker.wait_until_it_answers()
            first_record(broker, topic, runner.pin)
            out[kind.name] = {
                "ms": (time.monotonic() - start) * 1000,
                "peak_mb": status_kb(broker.pid, "VmHWM") / 1024,
                "read_mb": read_mb(broker.pid),
            }
        except Unavailable:
            out[kind.name] = None
        finally:
            broker.stop()
    return out


def first_record(broker, topic, pin):
    """A real Kafka that listens does not lead yet."""
    deadline = time.monotonic() + subjects.READY_WITHIN_S
    while True:
        try:
            return load("produce", "--bootstrap", broker.bootstrap, "--topic", topic, "--settle-ms", 0,
                        "--batch-bytes", 1, "--bytes", 1, pin=pin)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise


def read_mb(pid):
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("rchar"):
            return int(line.split()[1]) / (1 << 20)
    return 0


def connections(runner, count):
    """L7: what idle connections keep."""
    out = {"id": "L7", "title": f"{count} idle connections: broker memory for each", "unit": "KiB"}
    for kind in (Ottla, Kafka):
        broker = kind(runner.work, runner.pin)
        try:
            broker.start()
            time.sleep(1)
            load("topic", "--bootstrap", broker.bootstrap, "--topic", "one", pin=runner.pin)
            before = status_kb(broker.pid, "VmRSS")
            hold = subprocess.Popen(
                pinned(1, [subjects.LOAD, "hold", "--bootstrap", broker.bootstrap, "--connections", count], runner.pin),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            hold.stdout.readline()
            time.sleep(1)
            after = status_kb(broker.pid, "VmRSS")
            out[kind.name] = {"kib_each": (after - before) / count}
            hold.communicate()
        except Unavailable:
            out[kind.name] = None
        finally:
            broker.stop()
    slab = subjects.floor_once("accept", "--count", 2000, pin=runner.pin)
    out["slab_kib_per_endpoint"] = slab["slab_bytes_per_endpoint"] / 1024
    return out


def deletion(runner, segments):
    """L13, shortened: what retention that removes many segments does to who produces meanwhile."""
    out = {"id": "L13", "title": f"produce at 1,000/s while retention deletes {segments} segments", "unit": "ms"}
    broker = Ottla(runner.work, runner.pin, ["--dev", "--override", "log.retention.check.interval.ms=1000"])
    partitions = 10
    try:
        broker.start()
        # Each batch fills a segment.
        old = broker.topic(partitions, ["segment.bytes=17000"])
        live = broker.topic()
        load("produce", "--bootstrap", broker.bootstrap, "--topic", old, "--partitions", partitions,
             "--settle-ms", 0, "--run-ms", 120000, "--bytes", segments * 16400, pin=runner.pin)
        there = files(broker)
        paced = ["produce", "--bootstrap", broker.bootstrap, "--topic", live, "--batch-bytes", 1, "--rate", 1000,
                 "--connections", 4, "--pid", broker.pid, "--run-ms", 6000]
        quiet = load(*paced, pin=runner.pin)
        load("topic", "--bootstrap", broker.bootstrap, "--topic", old, "--alter", "--config", "retention.bytes=1",
             pin=runner.pin)
        deleting = load(*paced, pin=runner.pin)
        out["ottla"] = {
            "segments_before": there,
            "segments_after": files(broker),
            "quiet_p99_ms": quiet["latency"]["p99_ns"] / 1e6,
            "deleting_p99_ms": deleting["latency"]["p99_ns"] / 1e6,
        }
    finally:
        broker.stop()
    return out


CLEANER = {"log.cleaner.backoff.ms": "100", "log.flush.offset.checkpoint.interval.ms": "1000"}
COMPACTION_WITHIN_S = 300


def compaction(runner, gib, keys, times):
    """L13c: CPU and memory of compacting a log, and what that does to who produces meanwhile."""
    out = {"id": "L13c", "title": f"compact {gib:g} GB of {keys / 1e6:g} M keys, 1 KB records; produce at 1,000/s meanwhile",
           "unit": "CPU-s/GiB"}
    for kind in (Ottla, Kafka):
        broker = kind(runner.work, runner.pin)
        broker.settings |= CLEANER
        try:
            broker.start()
            live = broker.topic()
            paced = ["produce", "--bootstrap", broker.bootstrap, "--topic", live, "--batch-bytes", 1, "--rate", 1000,
                     "--connections", 4, "--pid", broker.pid]
            alone = compacted(runner, broker, gib, keys)
            quiet, loaded = [], []
            for _ in range(times):
                told = load(*paced, "--run-ms", 4000, pin=runner.pin)
                quiet.append(told["latency"]["p99_ns"] / 1e6)
                loaded.append(compacted(runner, broker, gib, keys, paced))
            out[kind.name] = {**alone, "while_producing": loaded, "quiet_p99_ms": interval(quiet),
                              "p99_ms": interval([one["p99_ms"] for one in loaded])}
        except Unavailable:
            out[kind.name] = None
        finally:
            broker.stop()
    if out["ottla"] and out["kafka"]:
        out["x"] = out["ottla"]["cpu_s_per_gib"] / out["kafka"]["cpu_s_per_gib"]
    return out


def compacted(runner, broker, gib, keys, paced=None):
    """Fills a topic, lets it be compacted, and watches; `paced` is a load that runs all the while."""
    topic = broker.topic(1, ["segment.bytes=268435456"])
    load("keyed", "--bootstrap", broker.bootstrap, "--topic", topic, "--keys", keys, "--batch-bytes", 65536,
         "--bytes", int(gib * GIB), pin=runner.pin, timeout=600)
    broker.rest()
    logs = sorted((broker.home / "data" / f"{topic}-0").glob("*.log"))
    size = sum(log.stat().st_size for log in logs[:-1])
    end = int(logs[-1].stem)
    rss, cpu, start = status_kb(broker.pid, "RssAnon"), subjects.cpu_s(broker.pid), time.monotonic()
    load("topic", "--bootstrap", broker.bootstrap, "--topic", topic, "--alter", "--config", "cleanup.policy=compact",
         "--config", "min.cleanable.dirty.ratio=0.0", pin=runner.pin)
    producer = paced and subprocess.Popen(
        pinned(1, [subjects.LOAD, *paced, "--settle-ms", 0, "--run-ms", 4000], runner.pin), stdout=subprocess.PIPE, text=True)
    peak = rss
    while cleaned_to(broker, topic) < end:
        if time.monotonic() - start > COMPACTION_WITHIN_S:
            raise RuntimeError(f"{broker.name} has not compacted within {COMPACTION_WITHIN_S} s")
        peak = max(peak, status_kb(broker.pid, "RssAnon"))
        time.sleep(0.05)
    took, used = time.monotonic() - start, subjects.cpu_s(broker.pid) - cpu
    out = {"took_s": took, "cpu_s": used, "cpu_s_per_gib": used / (size / GIB), "extra_mb": (peak - rss) / 1024,
           "bytes_before": size}
    if producer:
        told = subjects.json.loads(producer.communicate()[0])
        out["p99_ms"] = told["latency"]["p99_ns"] / 1e6
    out["bytes_after"] = sum(log.stat().st_size for log in
                             sorted((broker.home / "data" / f"{topic}-0").glob("*.log"))[:-1])
    broker.forget(topic)
    return out


def cleaned_to(broker, topic):
    try:
        text = (broker.home / "data" / "cleaner-offset-checkpoint").read_text()
    except OSError:
        return 0
    found = [line.split()[2] for line in text.splitlines() if line.startswith(f"{topic} 0 ")]
    return int(found[0]) if found else 0


def files(broker):
    return sum(1 for _ in (broker.home / "data").glob("*/*.log"))
