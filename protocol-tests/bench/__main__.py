"""Measures Ottla beside a real Kafka and the floor probe; see scripts/bench."""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import groups
import lives
import report
import subjects
from rows import CPU_ROWS, CpuRow, Runner
from subjects import Floor, Kafka, Ottla, Unavailable, load

LIVES = ["P9", "L1", "L2", "L3", "L6", "L7", "L9", "L13", "L13c", "L15", "L16"]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="P1 P2 … C4 L1 …; all without")
    parser.add_argument("--quick", action="store_true", help="few short rounds: minutes, wide intervals")
    parser.add_argument("--rounds", type=int, help="instead of 9, or 3 with --quick")
    parser.add_argument("--unpinned", dest="pin", action="store_false", help="broker and client on any core")
    parser.add_argument("--without-kafka", action="store_true")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 9)
    options.rows = [row.upper() if row[-1].isdigit() else row for row in options.rows]
    known = {row.id for row in CPU_ROWS} | set(LIVES)
    unknown = [row for row in options.rows if not any(name == row or name.rstrip("abcnr") == row for name in known)]
    if unknown:
        parser.error(f"no such row: {' '.join(unknown)}; there are {' '.join(sorted(known))}")
    return options


def is_wanted(options, name):
    return not options.rows or name in options.rows or name.rstrip("abcnr") in options.rows


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def warm_up(kafka, seconds, pin):
    """The JIT sees every kind of request before anything of Kafka's counts."""
    kinds = [
        ["produce", "--batch-bytes", 1040000],
        ["produce", "--partitions", 100],
        ["produce", "--batch-bytes", 1, "--in-flight", 1, "--connections", 16],
        ["produce", "--batch-bytes", 65536, "--codec", "lz4"],
        ["produce", "--batch-bytes", 65536, "--codec", "zstd"],
        ["tail", "--connections", 20, "--rate", 200],
    ]
    for kind in kinds:
        topic = kafka.topic(100)
        run_ms = seconds * 1000 // (len(kinds) + 1)
        common = ["--bootstrap", kafka.bootstrap, "--topic", topic]
        load(*kind, *common, "--run-ms", run_ms, "--bytes", 4 << 30, pin=pin)
        if kind == kinds[0]:
            load("fetch", "--batch-bytes", 1040000, *common, "--run-ms", run_ms, pin=pin)
        kafka.forget(topic)


def calibration(runner):
    """I5, best E, Q: the machine of this run, in the absolute."""
    def cpu(floor_arguments, load_arguments, unit):
        floor = Floor(runner.work, floor_arguments, runner.pin).start()
        try:
            row = CpuRow("calibration", "", load_arguments, [], unit=unit, run_ms=800)
            return row.cost(runner.once(row, floor, "f"))
        finally:
            floor.stop()

    i5 = cpu(["produce"], ["produce", "--batch-bytes", 1040000], "CPU-s/GiB")
    i1 = cpu(["produce", "--steps", "receive"], ["produce", "--batch-bytes", 1040000], "CPU-s/GiB")
    e1 = cpu(["fetch"], ["fetch"], "CPU-s/GiB")
    e4 = cpu(["fetch", "--source", "copy"], ["fetch"], "CPU-s/GiB")
    q = cpu(["request"], ["produce", "--batch-bytes", 1, "--in-flight", 1], "us/request")
    sync = subjects.floor_once("sync", "--directory", runner.work / "sync", "--count", 50, pin=runner.pin)
    return (f"I1 {i1:.3f}, I5 {i5:.3f}, E1 {e1:.3f}, E4 {e4:.3f} CPU-s/GiB, Q {q:.1f} us, "
            f"fdatasync p50 {sync['took']['p50_ns'] / 1e6:.2f} ms")


def start_brokers(runner, options):
    runner.brokers["ottla"] = Ottla(runner.work, options.pin).start()
    if options.without_kafka:
        return None
    try:
        kafka = Kafka(runner.work, options.pin).start()
    except Unavailable as absent:
        say(f"peer absent: {absent}")
        return None
    cold = None
    if is_wanted(options, "P1"):
        topic = kafka.topic()
        row = CPU_ROWS[0]
        cold = row.cost(runner.once(row, kafka, topic))
        kafka.forget(topic)
    seconds = 15 if options.quick else 70
    say(f"warming Kafka up for {seconds} s")
    warm_up(kafka, seconds, options.pin)
    runner.brokers["kafka"] = kafka
    return cold


def measure(runner, options):
    rows = []

    def add(name, row):
        """A row that fails is named with its reason; the others are still measured."""
        say(name)
        try:
            rows.append(row())
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            say(f"{name} failed: {error}")
            rows.append({"id": name, "failed": str(error)[-300:]})

    loads = [row for row in CPU_ROWS if is_wanted(options, row.id)]
    under_load = {
        "P9": runner.acks_row,
        "L3": lambda: lives.memory_under_load(runner, 5 if options.quick else 20),
    }
    under_load = {name: row for name, row in under_load.items() if is_wanted(options, name)}
    cold = None
    calibrated = calibration(runner)
    say(f"calibration: {calibrated}")
    if loads or under_load:
        cold = start_brokers(runner, options)
        for row in loads:
            if options.quick:
                row.run_ms = min(row.run_ms, 800)
            add(row.id, lambda row=row: runner.cpu_row(row))
        for name, row in under_load.items():
            add(name, row)
    for broker in runner.brokers.values():
        broker.stop()
    alone = {
        "L1": lambda: lives.starts(runner, *((10, 1) if options.quick else (40, 3))),
        "L2": lambda: lives.idle(runner, 5 if options.quick else 10),
        "L6": lambda: lives.recovery(runner, 1 if options.quick else 5),
        "L7": lambda: lives.connections(runner, 1000 if options.quick else 5000),
    }
    alone["L13"] = lambda: lives.deletion(runner, 1000 if options.quick else 10000)
    alone["L9"] = lambda: groups.rebalance(runner, 1000, 3 if options.quick else 5)
    alone["L16"] = lambda: groups.loading(runner, *((100, 1000) if options.quick else (1000, 1000)))
    alone["L13c"] = lambda: lives.compaction(runner, *((0.5, 200_000, 1) if options.quick else (2, 1_000_000, 5)))
    for name, row in alone.items():
        if is_wanted(options, name) or (name == "L1" and is_wanted(options, "L15")):
            add(name, row)
    return {"environment": report.environment(options), "calibration": calibrated, "kafka_cold_p1": cold, "rows": rows}


def main():
    options = arguments()
    directory = subjects.TARGET / "bench"
    work = directory / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    runner = Runner(options.rounds, options.pin, work, say)
    if options.without_kafka:
        subjects.KAFKA_LIB = Path("/nonexistent")
    started = time.monotonic()
    try:
        measured = measure(runner, options)
    finally:
        for broker in runner.brokers.values():
            broker.stop()
        shutil.rmtree(work, ignore_errors=True)
    say(f"took {time.monotonic() - started:.0f} s, report in {directory}")
    print(report.write(measured, directory))


main()
