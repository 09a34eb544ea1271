package main

import (
	"fmt"
	"strings"
	"time"
)

type scenario struct {
	name string
	// run panics to fail; it returns a detail, such as what the client cannot express.
	run func(c client, topic string) string
}

var scenarios = []scenario{
	{"create-topic", createTopic},
	{"auto-create", autoCreate},
	{"delete-and-recreate", deleteAndRecreate},
	{"produce-consume", produceConsume},
	{"codec-none", codec("none")},
	{"codec-gzip", codec("gzip")},
	{"codec-snappy", codec("snappy")},
	{"codec-lz4", codec("lz4")},
	{"codec-zstd", codec("zstd")},
	{"idempotent-produce", idempotentProduce},
	{"record-at-limit", recordAtLimit},
	{"record-too-large", recordTooLarge},
	{"consume-earliest", consumeEarliest},
	{"consume-latest", consumeLatest},
	{"consume-from-offset", consumeFromOffset},
	{"consume-from-timestamp", consumeFromTimestamp},
	{"describe-cluster", describeCluster},
	{"create-partitions", createPartitions},
	{"describe-configs", describeConfigs},
	{"alter-retention", alterRetention},
	{"alter-timestamp-type", alterTimestampType},
	{"alter-compression", alterCompression},
	{"alter-max-message-bytes", alterMaxMessageBytes},
	{"delete-records", deleteRecords},
	{"describe-log-dirs", describeLogDirs},
	{"list-offsets", listOffsets},
	{"many-partitions", manyPartitions},
	{"large-batches", largeBatches},
	{"formats-none", formats("none")},
	{"formats-gzip", formats("gzip")},
	{"formats-snappy", formats("snappy")},
	{"formats-lz4", formats("lz4")},
	{"formats-zstd", formats("zstd")},
	{"restart-produce", restartProduce},
	{"restart-consume", restartConsume},
}

// send uses a producer of its own and returns the offsets.
func send(c client, topic string, options producerOptions, records ...record) []int64 {
	p := must(c.newProducer(topic, options))
	offsets := must(p.send(records...))
	check(p.close())
	return offsets
}

func readFrom(c client, topic string, from int64, count int) []record {
	consumer := must(c.newConsumer(topic, consumerOptions{from: from}))
	records := must(consumer.read(count))
	check(consumer.close())
	return records
}

// readAll reads partition 0, which must hold exactly `count` records.
func readAll(c client, topic string, count int) []record {
	equal(must(c.offset(topic, latest)), int64(count), "end offset")
	return readFrom(c, topic, earliest, count)
}

func values(texts ...string) []record {
	records := make([]record, len(texts))
	for i, text := range texts {
		records[i].value = []byte(text)
	}
	return records
}

// checkValues wants the values of `sent` in order, at consecutive offsets from `first`.
func checkValues(got []record, first int64, sent []record) {
	equal(len(got), len(sent), "number of records")
	for i, r := range got {
		equal(r.offset, first+int64(i), "offset")
		equal(r.value, sent[i].value, fmt.Sprintf("value at %d", r.offset))
	}
}

func consecutive(count int) []int64 {
	offsets := make([]int64, count)
	for i := range offsets {
		offsets[i] = int64(i)
	}
	return offsets
}

// numbered values alone shrink under every codec.
func numbered(count int) []record {
	records := make([]record, count)
	for i := range records {
		records[i].value = fmt.Appendf(nil, "record %d %s", i, strings.Repeat("abcdefgh", 20))
	}
	return records
}

func ago(duration time.Duration) int64 { return time.Now().Add(-duration).UnixMilli() }
