package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

func describeCluster(c client, _ string) string {
	seen := must(c.cluster())
	equal(len(seen.brokers), 1, "number of brokers")
	equal(seen.controller, seen.brokers[0], "controller")
	equal(seen.brokers[0], c.bootstrap(), "address")
	if !c.abilities().clusterID {
		return "does not tell the cluster id"
	}
	if seen.id == "" {
		fail("no cluster id")
	}
	equal(must(c.cluster()).id, seen.id, "cluster id, asked again")
	return ""
}

func describeConfigs(c client, topic string) string {
	check(c.createTopic(topic, 1, map[string]string{"retention.ms": "86400000"}))
	waitUntil("the topic is known", func() bool { // which takes a broker of Kafka a moment
		_, err := c.topicConfigs(topic)
		return !errors.Is(err, errUnknownTopic)
	})
	configs := must(c.topicConfigs(topic))
	retention, segment := configs["retention.ms"], configs["segment.bytes"]
	equal(retention.value, "86400000", "retention.ms")
	equal(retention.source, sourceTopic, "source of retention.ms")
	equal(segment.value, "1073741824", "segment.bytes")
	equal(segment.isDefault, true, "segment.bytes is a default")
	id, ofBroker, err := c.brokerConfigs()
	check(err)
	equal(ofBroker["node.id"].value, id, "node.id")
	if _, err := c.topicConfigs(topic + "-absent"); !errors.Is(err, errUnknownTopic) {
		fail("configs of an absent topic: %v", err)
	}
	if !c.abilities().readOnlyConfigs {
		return "does not tell what is read-only"
	}
	equal(retention.readOnly || segment.readOnly, false, "a topic config is read-only")
	equal(ofBroker["node.id"].readOnly, true, "node.id is read-only")
	return ""
}

// alter returns when the new value is shown: a real Kafka applies it after the answer.
func alter(c client, topic, key, value string) {
	check(c.setConfig(topic, key, value))
	waitUntil(fmt.Sprintf("%s=%s is shown", key, value), func() bool {
		return must(c.topicConfigs(topic))[key].value == value
	})
}

func alterRetention(c client, topic string) string {
	check(c.createTopic(topic, 1, map[string]string{"segment.ms": "3600000"}))
	old := values("old 0", "old 1", "old 2")
	for i := range old {
		old[i].timestamp = ago(2 * time.Hour)
	}
	send(c, topic, producerOptions{}, old...)
	now := values("new 3", "new 4")
	send(c, topic, producerOptions{}, now...)
	alter(c, topic, "retention.ms", "3600000")
	waitUntil("the old records are gone", func() bool { return must(c.offset(topic, earliest)) == 3 })
	equal(must(c.offset(topic, latest)), 5, "end offset")
	checkValues(readFrom(c, topic, earliest, 2), 3, now)
	return ""
}

func alterTimestampType(c client, topic string) string {
	if reason := c.abilities().noAppendTime; reason != "" {
		panic(notApplicable(reason))
	}
	check(c.createTopic(topic, 1, nil))
	began, hourAgo := time.Now().UnixMilli(), ago(time.Hour)
	send(c, topic, producerOptions{}, record{value: []byte("create time"), timestamp: hourAgo})
	alter(c, topic, "message.timestamp.type", "LogAppendTime")
	send(c, topic, producerOptions{}, record{value: []byte("append time"), timestamp: hourAgo})
	records := readAll(c, topic, 2)
	equal(records[0].timestamp, hourAgo, "timestamp of the producer")
	if at := records[1].timestamp; at < began || at > time.Now().UnixMilli() {
		fail("timestamp of the broker: %d is not between %d and now", at, began)
	}
	if !c.abilities().timestampType {
		return "does not tell the timestamp type"
	}
	equal([]bool{records[0].appendTime, records[1].appendTime}, []bool{false, true}, "is append time")
	return ""
}

func alterCompression(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	sent := numbered(200)
	send(c, topic, producerOptions{}, sent[:100]...)
	alter(c, topic, "compression.type", "gzip")
	send(c, topic, producerOptions{}, sent[100:]...)
	checkValues(readAll(c, topic, len(sent)), 0, sent)
	return ""
}

func alterMaxMessageBytes(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	sent := values(strings.Repeat("x", 5000))
	p := must(c.newProducer(topic, producerOptions{}))
	alter(c, topic, "max.message.bytes", "2000")
	if _, err := p.send(sent...); !errors.Is(err, errMessageTooLarge) {
		fail("5,000 bytes where 2,000 are allowed: %v", err)
	}
	alter(c, topic, "max.message.bytes", "1048588")
	equal(must(p.send(sent...)), []int64{0}, "acknowledged offset")
	check(p.close())
	checkValues(readAll(c, topic, 1), 0, sent)
	return ""
}

func deleteRecords(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	sent := values("0", "1", "2", "3", "4")
	send(c, topic, producerOptions{}, sent...)
	low := must(c.deleteRecords(topic, 3))
	equal(must(c.offset(topic, earliest)), 3, "first offset")
	checkValues(readFrom(c, topic, earliest, 2), 3, sent[3:])
	lost, err := c.newConsumer(topic, consumerOptions{from: 0})
	if err == nil {
		_, err = lost.read(1)
		check(lost.close())
	}
	if !errors.Is(err, errOffsetOutOfRange) {
		fail("reading from offset 0: %v", err)
	}
	must(c.deleteRecords(topic, latest))
	equal(must(c.offset(topic, earliest)), 5, "first offset after all were deleted")
	equal(must(c.offset(topic, latest)), 5, "end offset")
	if low == noOffset {
		return "does not tell the low watermark"
	}
	equal(low, 3, "low watermark")
	return ""
}

func describeLogDirs(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	send(c, topic, producerOptions{}, values(slicesOf(10, strings.Repeat("x", 1000))...)...)
	seen := must(c.replica(topic))
	if seen.size <= 10_000 {
		fail("10 records of 1,000 bytes take %d bytes", seen.size)
	}
	equal(seen.offsetLag, 0, "offset lag")
	equal(seen.future, false, "is a future replica")
	return ""
}

func slicesOf(count int, text string) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = text
	}
	return all
}
