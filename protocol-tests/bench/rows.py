"""The rows of performance.md section 6 that one broker can show."""

import os
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import subjects
from stats import disturbed, interval
from subjects import Floor, load

GIB = 1 << 30
MAX_TRIES = 3


@dataclass
class CpuRow:
    """The same load on Kafka, Ottla and the floor, in interleaved rounds; broker CPU per unit."""

    id: str
    title: str
    load: list
    floor: list
    unit: str = "CPU-s/GiB"
    partitions: int = 1
    goal_x: float = 1.0
    goal_f: float = 9.0
    run_ms: int = 1200
    # Few enough that the page cache takes them without reclaim.
    bytes: int = 700 << 20
    # Floors beside the first; the cheapest of a round counts.
    more_floors: list = field(default_factory=list)
    # Bytes produced once, before a row that reads.
    filled_with: list = field(default_factory=list)
    latency: bool = False
    # What the floor is asked where it knows only produce requests.
    floor_load: list = None
    # ns per unit that the floor's loop leaves out, with the reason in the title.
    floor_adds: float = 0.0

    def load_of(self, subject):
        return self.floor_load if self.floor_load and isinstance(subject, Floor) else self.load

    def cost(self, result):
        cpu = result["cost"]["broker"]["cpu_ns"]
        match self.unit:
            case "CPU-s/GiB":
                return cpu / 1e9 / (result["bytes"] / GIB)
            case "us/request":
                return cpu / 1e3 / result["requests"]
            case "us/record":
                return cpu / 1e3 / result["records"]


PRODUCE_FLOOR = ["produce", "--steps", "sum-and-write"]
KIB64 = ["--record-bytes", 1024, "--batch-bytes", 65536]
SMALL = ["--batch-bytes", 1, "--in-flight", 1]

CPU_ROWS = [
    CpuRow("P1", "1 KB records, 1 MB requests, 1 partition, acks=1, 5 in flight; floor I5",
           ["produce", "--batch-bytes", 1040000], [*PRODUCE_FLOOR, "--chunk", 262144],
           goal_x=0.35, goal_f=1.5),
    CpuRow("P2", "1 KB records, 16 KiB batches, 100 partitions, acks=1; floor I3 + CRC",
           ["produce"], [*PRODUCE_FLOOR, "--chunk", 20480, "--files", 100], partitions=100,
           goal_x=0.35, goal_f=2.0),
    CpuRow("P3", "100 B records, 16 KiB batches; floor I5 at 16 KiB + 11 ns per record",
           ["produce", "--record-bytes", 100], [*PRODUCE_FLOOR, "--chunk", 20480],
           unit="us/record", goal_x=0.3, goal_f=1.5, floor_adds=0.011),
    CpuRow("P5", "one 1 KB record per request, closed loop, 16 connections; floor Q",
           ["produce", *SMALL, "--connections", 16], ["request"],
           unit="us/request", goal_x=0.5, goal_f=1.6),
    CpuRow("P5a", "one 1 KB record per request, closed loop, 1 connection; floor Q",
           ["produce", *SMALL], ["request"], unit="us/request", goal_x=0.5, goal_f=1.6),
    CpuRow("P5b", "one 100 B record per request, closed loop, 16 connections; floor Q",
           ["produce", *SMALL, "--connections", 16, "--record-bytes", 100], ["request"],
           unit="us/request", goal_x=0.5, goal_f=1.6),
    CpuRow("P5c", "one 1 KB record per request, 5 in flight, 16 connections; floor Q",
           ["produce", "--batch-bytes", 1, "--connections", 16], ["request"],
           unit="us/request", goal_x=0.5, goal_f=1.6),
    CpuRow("P7n", "no compression, 64 KiB batches: what P7 and P8 are compared with; floor I5",
           ["produce", *KIB64], [*PRODUCE_FLOOR, "--chunk", 69632], goal_x=0.35, goal_f=1.5),
    CpuRow("P7", "lz4, 64 KiB batches; floor I5",
           ["produce", *KIB64, "--codec", "lz4"], [*PRODUCE_FLOOR, "--chunk", 69632], goal_x=0.3, goal_f=1.5),
    CpuRow("P8", "zstd, 64 KiB batches; floor I5",
           ["produce", *KIB64, "--codec", "zstd"], [*PRODUCE_FLOOR, "--chunk", 69632], goal_x=0.3, goal_f=1.5),
    CpuRow("C2", "catch-up from the page cache, 1 MiB fetches, read_uncommitted; best raw loop",
           ["fetch"], ["fetch", "--range", 1048576], goal_x=1.1, goal_f=1.3, bytes=8 * GIB,
           filled_with=["produce"],
           more_floors=[["fetch", "--range", 65536], ["fetch", "--source", "copy", "--range", 65536],
                        ["fetch", "--source", "memory", "--range", 65536]]),
    CpuRow("C2r", "the same, read_committed",
           ["fetch", "--isolation", 1], ["fetch", "--range", 1048576], goal_x=1.1, goal_f=1.3,
           bytes=8 * GIB, filled_with=["produce"],
           more_floors=[["fetch", "--range", 65536]]),
    CpuRow("C4", "1 writer of 16 KiB batches at 100/s, 100 tail consumers; floor: 100 sends",
           ["tail", "--connections", 100, "--rate", 100], ["request"], goal_x=1.0, goal_f=1.2, run_ms=2000),
    CpuRow("C1", "tail read 1:1 at 50 MB/s, 1 KB records; arrival p50 and p99.9; floor: 2 RTT",
           ["tail", "--connections", 1, "--rate", 3052], ["request"], goal_x=0.5, goal_f=9.0,
           run_ms=2500, latency=True),
    CpuRow("L9h", "heartbeats of members of 16 groups, closed loop on 16 connections (goal: 40 us); floor Q",
           ["heartbeat", "--connections", 16], ["request"], unit="us/request", goal_x=0.5, goal_f=2.0,
           floor_load=["produce", *SMALL, "--connections", 16, "--record-bytes", 100]),
    CpuRow("L10", "offset commits of 16 groups, closed loop on 16 connections; floor Q",
           ["commit", "--connections", 16], ["request"], unit="us/request", goal_x=0.5, goal_f=2.5,
           floor_load=["produce", *SMALL, "--connections", 16, "--record-bytes", 100]),
    CpuRow("L10a", "offset commits on one connection: commit p50 (goal: 0.2 x Kafka); floor Q",
           ["commit"], ["request"], unit="us/request", goal_x=0.5, goal_f=2.5, latency=True,
           floor_load=["produce", *SMALL, "--record-bytes", 100]),
]


def in_order(subjects_of_round, number):
    """The order is turned round by round, so that none always comes first."""
    turn = number % len(subjects_of_round)
    return subjects_of_round[turn:] + subjects_of_round[:turn]


class Runner:
    """Runs rows over the subjects that are there."""

    def __init__(self, rounds, pin, work, say):
        self.rounds, self.pin, self.work, self.say = rounds, pin, work, say
        self.brokers = {}

    def once(self, row, broker, topic):
        arguments = [*row.load_of(broker), "--bootstrap", broker.bootstrap, "--topic", topic, "--pid", broker.pid,
                     "--partitions", row.partitions, "--run-ms", row.run_ms, "--bytes", row.bytes]
        return load(*arguments, pin=self.pin)

    def counted(self, row, broker, topic):
        """One repetition that was not disturbed, or None after three tries."""
        for _ in range(MAX_TRIES):
            fresh = topic or broker.topic(row.partitions)
            try:
                result = self.once(row, broker, fresh)
            finally:
                if not topic:
                    broker.forget(fresh)
            reason = disturbed(result["cost"], row.latency)
            if reason is None:
                return result
            self.say(f"  {row.id} {broker.name}: repeated, {reason}")
        return None

    def cpu_row(self, row):
        floors = [Floor(self.work, arguments, self.pin).start() for arguments in [row.floor, *row.more_floors]]
        participants = [*self.brokers.values(), *floors]
        topics = {}
        try:
            for broker in self.brokers.values():
                if row.filled_with:
                    topics[broker] = broker.topic(row.partitions)
                    load(*row.filled_with, "--bootstrap", broker.bootstrap, "--topic", topics[broker],
                         "--settle-ms", 0, "--run-ms", 20000, "--bytes", 512 << 20, pin=self.pin)
            raw = []
            for number in range(self.rounds):
                results = {
                    subject: self.counted(row, subject, topics.get(subject) or ("f" if subject in floors else None))
                    for subject in in_order(participants, number)
                }
                costs = {name: results[broker] for name, broker in self.brokers.items()}
                cheapest = [results[floor] for floor in floors if results[floor]]
                costs["floor"] = min(cheapest, key=row.cost) if cheapest else None
                raw.append(costs)
        finally:
            for floor in floors:
                floor.stop()
            for broker, topic in topics.items():
                broker.forget(topic)
        return self.judged(row, raw)

    def judged(self, row, raw):
        def costs(name):
            return [row.cost(costs[name]) + (row.floor_adds if name == "floor" else 0)
                    for costs in raw if costs.get(name)]

        def ratios(name):
            pairs = [(costs["ottla"], costs[name]) for costs in raw if costs.get("ottla") and costs.get(name)]
            added = row.floor_adds if name == "floor" else 0
            return [row.cost(ours) / (row.cost(theirs) + added) for ours, theirs in pairs]

        out = {"id": row.id, "title": row.title, "unit": row.unit, "rounds": raw,
               "ottla": interval(costs("ottla")), "kafka": interval(costs("kafka")),
               "floor": interval(costs("floor")), "x": interval(ratios("kafka")), "f": interval(ratios("floor")),
               "goal_x": row.goal_x, "goal_f": row.goal_f}
        enough = (self.rounds + 1) // 2
        out["noisy"] = len(costs("ottla")) < enough
        if row.latency or row.id.startswith("C4"):
            for key in ("p50_ns", "p99_ns", "p99_9_ns"):
                out[key] = {name: interval([costs[name]["latency"][key] / 1e6 for costs in raw if costs.get(name)])
                            for name in ("ottla", "kafka", "floor")}
        return out

    def acks_row(self):
        """P9: what an acknowledgement costs us."""
        ottla = self.brokers["ottla"]
        raw = []
        variants = {"0": 0, "1": 1, "all": -1}
        rows = {name: CpuRow(f"P9 acks={name}", "", ["produce", "--acks", acks], []) for name, acks in variants.items()}
        for number in range(self.rounds):
            raw.append({name: self.counted(rows[name], ottla, None) for name in in_order(list(rows), number)})
        out = {"id": "P9", "title": "16 KiB batches, 5 in flight, acks 0 / 1 / all at replication factor 1",
               "unit": "CPU-s/GiB", "rounds": raw}
        for name, row in rows.items():
            counted = [result[name] for result in raw if result[name]]
            out[f"acks={name}"] = interval([row.cost(result) for result in counted])
            out[f"p50_ms acks={name}"] = interval([result["latency"]["p50_ns"] / 1e6 for result in counted])
        medians = [out[f"acks={name}"]["median"] for name in variants if out[f"acks={name}"]]
        out["spread"] = max(medians) / min(medians) - 1 if len(medians) == 3 else None
        return out
