"""Members of consumer groups in one process, as ../README.md tells under "Group members"."""

import queue
import sys
import threading
import traceback

from contract import NotApplicable

# Between two looks at the commands.
POLL_MS = 50
SESSION_TIMEOUT_MS = 6000
HEARTBEAT_MS = 300
METADATA_AGE_MS = 500
COMMIT_MS = 100
UNKNOWN = "?"


class Refused(Exception):
    """The broker's error, by Kafka's name for it."""


def serve(client):
    """Runs commands from stdin until it ends. `client` has

    open_member(group, options, tell)   something with
        poll()                          waits for up to POLL_MS and returns Records; tells what was
                                        assigned and revoked
        commit(how)                     tells "committed" once it is
        pause(place), resume(place), seek(place, offset), close()
    list_groups()                       their names
    describe_group(group)               (state, protocol, what each member owns); "?" for the unknown
    group_offsets(group)                {place: offset}
    alter_offset(group, place, offset), delete_offset(group, place)
    delete_group(group), remove_member(group, instance)
    A place is a pair (topic, partition). What the broker refuses raises Refused.
    """
    members, calls = {}, Calls(client)
    for line in sys.stdin:
        command, name, *arguments = line.rstrip("\n").split("\t")
        if command == "open":
            members[name] = Member(client, name, arguments)
        elif name in members:
            members[name].commands.put((command, arguments))
        else:
            calls.run(command, name, arguments)


lock = threading.Lock()


def tell(*words):
    with lock:
        print(*words, sep="\t", flush=True)


def attempt(name, action):
    """False if it failed, which is told."""
    try:
        action()
        return True
    except NotApplicable as e:
        tell(name, "n/a", e)
        return True
    except Exception as e:
        traceback.print_exc(file=sys.stderr)
        tell(name, "failed", " ".join(f"{type(e).__name__}: {e}".split()))
        return False


def spelled(places):
    return ",".join(f"{topic}:{partition}" for topic, partition in sorted(places))


class Member:
    def __init__(self, client, name, arguments):
        self.client, self.name = client, name
        self.commands = queue.Queue()
        threading.Thread(target=self.run, args=arguments, daemon=True).start()

    def run(self, group, *options):
        options = {"reset": "earliest", "assignor": "range", "commits": "never"} | dict(o.split("=", 1) for o in options)
        opened = []
        if not attempt(self.name, lambda: opened.append(self.client.open_member(group, options, self.tell))):
            return
        for inner in opened:
            while attempt(self.name, lambda: self.step(inner)) and not self.closed:
                pass

    closed = False

    def tell(self, what, *words):
        tell(self.name, what, *words)

    def step(self, inner):
        while not self.commands.empty():
            command, arguments = self.commands.get()
            if command == "close":
                inner.close()
                self.closed = True
                self.tell("closed")
                return
            if command == "commit":
                inner.commit(*arguments)
            else:
                topic, partition, *offset = arguments
                getattr(inner, command)((topic, int(partition)), *map(int, offset))
                self.tell({"pause": "paused", "resume": "resumed", "seek": "sought"}[command])
        for record in inner.poll():
            self.tell("record", record.topic, record.partition, record.offset, record.value.decode())


class Listening:
    """What the rebalance listeners of several libraries have in common."""

    def __init__(self, owned):
        self.owned = owned

    def on_partitions_revoked(self, revoked):
        self.owned.revoke(map(tuple, revoked))

    def on_partitions_assigned(self, assigned):
        self.owned.assign(map(tuple, assigned))


class Owned:
    """What a member owns, told whenever that changes."""

    def __init__(self, tell):
        self.tell, self.places = tell, set()

    def assign(self, places):
        self.places.update(places)
        self.tell("assigned", spelled(self.places))

    def revoke(self, places):
        places = set(places)
        self.places -= places
        self.tell("revoked", spelled(places))


class Calls:
    """The admin calls."""

    def __init__(self, client):
        self.client = client

    def run(self, command, name, arguments):
        def call():
            try:
                tell(name, *getattr(self, command.replace("-", "_"))(*arguments))
            except Refused as e:
                tell(name, "refused", e)

        attempt(name, call)

    def list(self):
        return "groups", ",".join(self.client.list_groups())

    def describe(self, group):
        state, protocol, members = self.client.describe_group(group)
        return "described", state, protocol, *(m if m == UNKNOWN else spelled(m) for m in members)

    def offsets(self, group):
        found = self.client.group_offsets(group)
        return "offsets", ",".join(f"{t}:{p}={offset}" for (t, p), offset in sorted(found.items()))

    def alter_offsets(self, group, topic, partition, offset):
        self.client.alter_offset(group, (topic, int(partition)), int(offset))
        return ("done",)

    def delete_offsets(self, group, topic, partition):
        self.client.delete_offset(group, (topic, int(partition)))
        return ("done",)

    def delete_group(self, group):
        self.client.delete_group(group)
        return ("done",)

    def remove_member(self, group, instance):
        self.client.remove_member(group, instance)
        return ("done",)
