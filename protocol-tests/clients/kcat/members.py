#!/usr/bin/env python3
"""Members of consumer groups in one process, as ../README.md tells under "Group members": each is a
`kcat -G` of its own, which this only watches.
"""

import re
import subprocess
import sys
import threading

HEARTBEAT_MS, METADATA_AGE_MS, COMMIT_MS = 300, 500, 100
REBALANCED = re.compile(r"^% Group .* rebalanced \(memberid .*\): (assigned|revoked): (.*)$")
REFUSALS = {
    "commit": "commits by itself: now and then, and when it loses partitions",
    "pause": "has no pause",
    "resume": "has no pause",
    "seek": "does not seek within a group",
}
lock = threading.Lock()


def tell(*words):
    with lock:
        print(*words, sep="\t", flush=True)


class Member:
    def __init__(self, bootstrap, name, group, *options):
        self.name, self.owned = name, set()
        options = {"reset": "earliest"} | dict(o.split("=", 1) for o in options)
        settings = {
            "session.timeout.ms": options.get("session", "6000"),
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "topic.metadata.refresh.interval.ms": METADATA_AGE_MS,
            "partition.assignment.strategy": "range",
            "auto.offset.reset": options["reset"],
            "enable.auto.commit": str(options.get("commits") != "never").lower(),
            "auto.commit.interval.ms": COMMIT_MS,
            "fetch.wait.max.ms": 50,
        }
        if "instance" in options:
            settings["group.instance.id"] = options["instance"]
        # A topic whose name begins with ^ is a pattern.
        topics = [options["pattern"]] if "pattern" in options else options["topics"].split(",")
        command = ["kcat", "-b", bootstrap, "-u", "-f", r"%t\t%p\t%o\t%s\n"]
        command += [word for key, value in settings.items() for word in ("-X", f"{key}={value}")]
        self.kcat = subprocess.Popen(
            [*command, "-G", group, *topics], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.watchers = [threading.Thread(target=watch, daemon=True) for watch in (self.records, self.rebalances)]
        for watcher in self.watchers:
            watcher.start()

    def records(self):
        for line in self.kcat.stdout:
            tell(self.name, "record", line.rstrip("\n"))

    def rebalances(self):
        for line in self.kcat.stderr:
            if found := REBALANCED.match(line.rstrip("\n")):
                what, listed = found.groups()
                places = {f"{topic}:{p}" for topic, p in re.findall(r"(\S+) \[(\d+)\]", listed)}
                self.owned = self.owned | places if what == "assigned" else self.owned - places
                tell(self.name, what, ",".join(sorted(self.owned if what == "assigned" else places)))
            elif "All broker connections are down" in line:
                tell(self.name, "n/a", "ends when its broker is away")
            else:
                print(line, end="", file=sys.stderr, flush=True)

    def close(self):
        self.kcat.terminate()
        self.kcat.wait()
        for watcher in self.watchers:
            watcher.join()
        tell(self.name, "closed")


def main(bootstrap):
    members = {}
    for line in sys.stdin:
        command, name, *arguments = line.rstrip("\n").split("\t")
        if command == "open":
            if "assignor=cooperative" in arguments:
                tell(name, "n/a", "assigns eagerly, whatever the assignor")
            else:
                members[name] = Member(bootstrap, name, *arguments)
        elif name not in members:
            tell(name, "n/a", "has no admin API")
        elif command == "close":
            members.pop(name).close()
        else:
            tell(name, "n/a", REFUSALS[command])
    for member in members.values():
        member.kcat.kill()


main(sys.argv[1])
