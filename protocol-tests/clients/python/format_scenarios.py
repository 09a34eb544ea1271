"""The records that every client writes for every other."""

from contract import Record, equal, millis_ago, numbered, read_all


def table(client):
    """The table of ../README.md, each record with its index, without what the client cannot send."""
    headers = [("twice", b"1"), ("other", b"x"), ("twice", b"2"), ("empty", b"")]
    records = [
        Record(b"key", b"value", headers),
        Record(None, b"no key"),
        Record(b"no value", None),
        Record(b"", b""),
        Record(b"bytes", bytes(range(256))),
        Record(None, None),
        Record(b"null header", b"value", [("null", None)]),
    ]
    records += [Record(b"key %d" % n, value, [("bulk", b"yes")]) for n, value in enumerate(numbered(50))]
    base = millis_ago(60_000)
    return [
        record._replace(timestamp=base + index)
        for index, record in enumerate(records)
        if not (index == 5 and not client.sends_null_key_with_null_value)
        and not (index == 6 and not client.sends_null_headers)
    ]


def left_out(client):
    lacking = [] if client.sends_null_headers else ["null header value"]
    lacking += [] if client.sends_null_key_with_null_value else ["null key with null value"]
    return "refuses to send: " + ", ".join(lacking) if lacking else None


def formats(codec, client, topic):
    client.create_topic(topic, 1)
    records = [r._replace(offset=offset, topic=topic) for offset, r in enumerate(table(client))]
    with client.producer(codec=codec, linger_ms=20) as producer:
        equal(producer.send(topic, records), [r.offset for r in records], "acknowledged offsets")
    for got, wanted in zip(read_all(client, topic, len(records)), records):
        equal(got, wanted, "record")
    return left_out(client)
