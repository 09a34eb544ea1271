"""Rows about group coordinators that are not a load: a rebalance, and a start with many offsets."""

import subprocess
import time

import lives
from stats import interval
from subjects import Kafka, Ottla, Unavailable, load

def rebalance(runner, members, times):
    """L9: members that join and sync, and do it again; the second time waits for nobody."""
    delay_ms = 3000
    out = {"id": "L9", "title": f"classic group of {members} members on as many connections: all join within the "
           "initial delay (taken off) and sync; then all rejoin and sync", "unit": "ms"}
    for kind in (Ottla, Kafka):
        broker = kind(runner.work, runner.pin)
        broker.settings["group.initial.rebalance.delay.ms"] = delay_ms
        try:
            broker.start()
            results = []
            for number in range(times):
                results.append(load("rebalance", "--bootstrap", broker.bootstrap, "--topic", f"group-{number}",
                                    "--connections", members, "--pid", broker.pid, pin=runner.pin))
            out[kind.name] = {
                # Members that come make the broker wait once more.
                "first": interval([result["first_ns"] / 1e6 - 2 * delay_ms for result in results]),
                "again": interval([result["again_ns"] / 1e6 for result in results]),
                "cpu_ms": interval([result["cost"]["broker"]["cpu_ns"] / 1e6 for result in results]),
            }
        except Unavailable:
            out[kind.name] = None
        finally:
            broker.stop()
    return out


def loading(runner, groups, partitions):
    """L16: kill -9, then from exec until every committed offset can be fetched."""
    out = {"id": "L16", "title": f"restart after kill -9 with {groups * partitions} committed offsets "
           f"({groups} groups): exec until all can be fetched", "unit": "ms"}
    for kind in (Ottla, Kafka):
        broker = kind(runner.work, runner.pin)
        try:
            broker.start()
            topic = broker.topic(partitions)
            common = ["--bootstrap", broker.bootstrap, "--topic", topic, "--connections", groups,
                      "--partitions", partitions]
            load("fill", *common, pin=runner.pin)
            broker.child.kill()
            broker.child.wait()
            start = time.monotonic()
            broker.spawn(broker.command(), stdout=subprocess.DEVNULL, cwd=broker.home)
            load("loaded", *common, pin=runner.pin)
            out[kind.name] = {
                "ms": (time.monotonic() - start) * 1000,
                "peak_mb": lives.status_kb(broker.pid, "VmHWM") / 1024,
            }
        except Unavailable:
            out[kind.name] = None
        finally:
            broker.stop()
    return out
