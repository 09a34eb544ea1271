"""What kcat prints with the format `%o %T %K %S %h\\n%k%s`, as the record lines of ../README.md."""

import sys


def field(stream, length):
    """A length of -1 is null."""
    return stream.read(length).hex() if length >= 0 else "-"


def header(text):
    key, _, value = text.partition("=")
    # kcat's word for null; no header here has it as its value.
    return key.encode().hex() + "=" + ("-" if value == "NULL" else value.encode().hex())


for line in sys.stdin.buffer:
    offset, timestamp, key_length, value_length, headers = line.decode().rstrip("\n").split(" ", 4)
    key, value = (field(sys.stdin.buffer, int(length)) for length in (key_length, value_length))
    headers = ",".join(header(text) for text in headers.split(",") if text)
    print("record", sys.argv[1], offset, timestamp, key, value, headers, sep="\t")
