"""Takes the place of kafka-python's test/service.py, which starts brokers and which its source
distribution leaves out. Here the broker runs already (KAFKA_URI)."""


class ExternalService:
    def __init__(self, host, port):
        self.host = host
        self.port = port


class SpawnedService:
    def __init__(self, *_arguments):
        raise RuntimeError("only the broker at KAFKA_URI is there")
