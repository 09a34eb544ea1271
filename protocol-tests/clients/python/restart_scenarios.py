"""The broker is killed and started again in the middle of things."""

import sys
import threading
from collections import deque

from contract import Record, check_values, equal, read, read_all

WINDOW = 100
AT_LEAST = 500


class Restart:
    """Asks the runner for a restart; `done` is set when the broker serves again."""

    def __init__(self):
        self.done = threading.Event()
        print("restart-broker", flush=True)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        if sys.stdin.readline().strip() == "restarted":
            self.done.set()


def restart_produce(client, topic):
    client.create_topic(topic, 1)
    restart, offsets, pending, after = None, [], deque(), 0
    # In flight: a real Kafka forgets the last but one batch of a producer when it starts.
    with client.producer(idempotent=client.idempotent, in_flight=1, batch_size=2000) as producer:
        while after < AT_LEAST:
            while len(pending) < WINDOW:
                pending.append(producer.begin(topic, Record(value=b"%d" % (len(offsets) + len(pending)))))
            offsets.append(pending.popleft().wait())
            if restart is None and len(offsets) >= AT_LEAST:
                restart = Restart()
            after += restart is not None and restart.done.is_set()
        offsets += [ack.wait() for ack in pending]
    stored = read_all(client, topic, client.end_offset(topic))
    if client.idempotent:
        check_values(stored, 0, [b"%d" % n for n in range(len(offsets))])
        equal(offsets, list(range(len(offsets))), "acknowledged offsets")
        return None
    for n, offset in enumerate(offsets):
        equal(stored[offset].value, b"%d" % n, f"value at {offset}")
    # A repetition goes back to a number that is there; nothing may be skipped.
    highest = -1
    for record in stored:
        number = int(record.value)
        if number > highest + 1:
            raise AssertionError(f"{number} follows {highest}")
        highest = max(highest, number)
    return f"not idempotent: {len(stored) - len(offsets)} repetitions"


def restart_consume(client, topic):
    client.create_topic(topic, 1)
    values = [b"%d" % n for n in range(200)]
    with (
        client.producer(idempotent=client.idempotent) as producer,
        client.consumer([(topic, 0)], "earliest") as reader,
    ):
        producer.send(topic, [Record(value=v) for v in values[:100]])
        check_values(read(reader, 100), 0, values[:100])
        restart = Restart()
        while not restart.done.is_set():
            equal(reader.poll(), [], "records while nothing is written")
        producer.send(topic, [Record(value=v) for v in values[100:]])
        check_values(read(reader, 100), 100, values[100:])
        equal(reader.poll(), [], "records behind the last")


ALL = {"restart-produce": restart_produce, "restart-consume": restart_consume}
