package main

import (
	"fmt"
	"time"
)

func consumeEarliest(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	sent := values("a", "b", "c")
	send(c, topic, producerOptions{}, sent[:2]...)
	send(c, topic, producerOptions{}, sent[2:]...)
	checkValues(readFrom(c, topic, earliest, 3), 0, sent)
	return ""
}

func consumeLatest(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	send(c, topic, producerOptions{}, values("before 0", "before 1")...)
	consumer := must(c.newConsumer(topic, consumerOptions{from: latest}))
	after := values("after 2", "after 3")
	send(c, topic, producerOptions{}, after...)
	checkValues(must(consumer.read(2)), 2, after)
	check(consumer.close())
	return ""
}

func consumeFromOffset(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	sent := values("0", "1", "2", "3", "4")
	send(c, topic, producerOptions{}, sent...)
	checkValues(readFrom(c, topic, 3, 2), 3, sent[3:])
	return ""
}

// sendAt sends one batch for each timestamp, base + it.
func sendAt(c client, topic string, base int64, timestamps ...int64) []record {
	check(c.createTopic(topic, 1, nil))
	p := must(c.newProducer(topic, producerOptions{}))
	var sent []record
	for _, at := range timestamps {
		r := record{value: fmt.Appendf(nil, "at %d", at), timestamp: base + at}
		must(p.send(r))
		sent = append(sent, r)
	}
	check(p.close())
	return sent
}

// The answer is the first offset whose timestamp is not below the one asked for.
func consumeFromTimestamp(c client, topic string) string {
	base := ago(time.Minute)
	sent := sendAt(c, topic, base, 1000, 3000, 2000, 4000)
	for _, look := range []struct{ at, offset int64 }{{0, 0}, {1000, 0}, {1001, 1}, {3001, 3}, {4001, noOffset}} {
		found := must(c.offset(topic, base+look.at))
		equal(found, look.offset, fmt.Sprintf("first offset at or after %d", look.at))
	}
	from := must(c.offset(topic, base+2500))
	checkValues(readFrom(c, topic, from, 3), 1, sent[1:])
	return ""
}

func listOffsets(c client, topic string) string {
	base := ago(time.Minute)
	sendAt(c, topic, base, 1000, 3000, 2000)
	equal(must(c.offset(topic, earliest)), 0, "earliest")
	equal(must(c.offset(topic, latest)), 3, "latest")
	equal(must(c.offset(topic, base+1500)), 1, "first at or after 1500")
	of, err := c.offset(topic, maxTimestamp)
	if reason, no := err.(notApplicable); no {
		return string(reason)
	}
	check(err)
	equal(of, 1, "offset of the largest timestamp")
	return ""
}
