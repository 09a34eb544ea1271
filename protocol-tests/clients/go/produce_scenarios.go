package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A lone record with a value of this size makes a batch of 1048588 bytes: max.message.bytes.
const largestValue = 1048516

// tableOfRecords is that of ../README.md without its bulk.
func tableOfRecords() []record {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	headers := []header{
		{"twice", []byte("1")}, {"other", []byte("x")}, {"twice", []byte("2")}, {"empty", []byte{}},
	}
	return []record{
		{key: []byte("key"), value: []byte("value"), headers: headers},
		{value: []byte("no key")},
		{key: []byte("no value")},
		{key: []byte{}, value: []byte{}},
		{key: []byte("bytes"), value: everyByte},
		{},
		{key: []byte("null header"), value: []byte("value"), headers: []header{{"null", nil}}},
	}
}

// sendAndReadBack wants `records` at the offsets from 0, field by field.
func sendAndReadBack(c client, topic string, options producerOptions, records []record) string {
	check(c.createTopic(topic, 1, nil))
	base := ago(time.Minute)
	for i := range records {
		records[i].timestamp = base + int64(i)
		records[i].offset = int64(i)
	}
	equal(send(c, topic, options, records...), consecutive(len(records)), "acknowledged offsets")
	for i, got := range readAll(c, topic, len(records)) {
		wanted := records[i]
		if c.abilities().noNulls {
			got, wanted = withoutNulls(got), withoutNulls(wanted)
		}
		equal(got, wanted, fmt.Sprintf("record %d", i))
	}
	if c.abilities().noNulls {
		return "reads null as empty, or empty as null"
	}
	return ""
}

func withoutNulls(r record) record {
	r.key, r.value = append([]byte{}, r.key...), append([]byte{}, r.value...)
	headers := r.headers
	r.headers = nil
	for _, h := range headers {
		r.headers = append(r.headers, header{h.key, append([]byte{}, h.value...)})
	}
	return r
}

func produceConsume(c client, topic string) string {
	return sendAndReadBack(c, topic, producerOptions{}, tableOfRecords())
}

func codec(name string) func(c client, topic string) string {
	return func(c client, topic string) string {
		check(c.createTopic(topic, 1, nil))
		sent := numbered(200)
		equal(send(c, topic, producerOptions{codec: name}, sent...), consecutive(200), "acknowledged offsets")
		checkValues(readAll(c, topic, len(sent)), 0, sent)
		return ""
	}
}

func idempotentProduce(c client, topic string) string {
	if reason := c.abilities().noIdempotence; reason != "" {
		panic(notApplicable(reason))
	}
	check(c.createTopic(topic, 1, nil))
	sent := numbered(5000)
	offsets := send(c, topic, producerOptions{idempotent: true, smallBatches: true}, sent...)
	equal(offsets, consecutive(len(sent)), "acknowledged offsets")
	checkValues(readAll(c, topic, len(sent)), 0, sent)
	return ""
}

func recordAtLimit(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	sent := record{value: bytes.Repeat([]byte("0123456789abcdef"), largestValue/16+1)[:largestValue]}
	send(c, topic, producerOptions{maxBatchBytes: 2_000_000}, sent)
	checkValues(readAll(c, topic, 1), 0, []record{sent})
	return ""
}

func recordTooLarge(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	p := must(c.newProducer(topic, producerOptions{maxBatchBytes: 2_000_000}))
	if _, err := p.send(record{value: make([]byte, largestValue+1)}); !errors.Is(err, errMessageTooLarge) {
		fail("one byte too much: %v", err)
	}
	fits := values("fits")
	must(p.send(fits...))
	check(p.close())
	checkValues(readAll(c, topic, 1), 0, fits)
	return ""
}

func largeBatches(c client, topic string) string {
	check(c.createTopic(topic, 1, map[string]string{"max.message.bytes": "10485760"}))
	random := rand.NewChaCha8([32]byte{})
	sent := make([]record, 6)
	for i := range sent {
		sent[i].value = make([]byte, 1_000_000)
		if i == 5 {
			sent[i].value = make([]byte, 6_000_000)
		}
		_, _ = random.Read(sent[i].value) // never fails
	}
	// The client must have all five before it sends the first.
	options := producerOptions{maxBatchBytes: 10_000_000, linger: 500 * time.Millisecond}
	p := must(c.newProducer(topic, options))
	equal(must(p.send(sent[:5]...)), consecutive(5), "acknowledged offsets")
	equal(must(p.send(sent[5])), []int64{5}, "acknowledged offset")
	check(p.close())
	checkValues(readAll(c, topic, len(sent)), 0, sent)
	return ""
}
