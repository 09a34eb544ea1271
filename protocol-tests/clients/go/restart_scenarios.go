package main

import (
	"bufio"
	"fmt"
	"os"
)

// restart asks for another broker process; the channel closes when that serves.
func restart() <-chan struct{} {
	restarted := make(chan struct{})
	fmt.Println("restart-broker")
	go func() {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if line != "restarted\n" {
			fmt.Fprintf(os.Stderr, "instead of `restarted` came %q, %v\n", line, err)
			return
		}
		close(restarted)
	}()
	return restarted
}

func restartProduce(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	idempotent := c.abilities().noIdempotence == ""
	p := must(c.newProducer(topic, producerOptions{idempotent: idempotent, patient: true}))
	// Values by acknowledged offset. Waiting for each send keeps one request in flight.
	acknowledged := map[int64]string{}
	sent := 0
	sendSome := func() {
		var records []record
		for range 20 {
			records = append(records, record{value: fmt.Appendf(nil, "%d", sent+len(records))})
		}
		for i, offset := range must(p.send(records...)) {
			acknowledged[offset] = string(records[i].value)
		}
		sent += len(records)
	}
	for sent < 500 {
		sendSome()
	}
	for restarted, after := restart(), 0; after < 500; sendSome() {
		select {
		case <-restarted:
			after += 20
		default:
		}
	}
	check(p.close())
	equal(len(acknowledged), sent, "acknowledged offsets")
	next := 0
	for _, r := range readAll(c, topic, int(must(c.offset(topic, latest)))) {
		if wanted, ok := acknowledged[r.offset]; ok {
			equal(string(r.value), wanted, fmt.Sprintf("value acknowledged at %d", r.offset))
			equal(wanted, fmt.Sprint(next), "order of what was acknowledged")
			next++
		} else if idempotent {
			fail("offset %d was never acknowledged: %q", r.offset, r.value)
		}
	}
	equal(next, sent, "acknowledged records that are read")
	if !idempotent {
		return c.abilities().noIdempotence
	}
	return ""
}

func restartConsume(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	p := must(c.newProducer(topic, producerOptions{patient: true}))
	sent := numbered(200)
	must(p.send(sent[:100]...))
	consumer := must(c.newConsumer(topic, consumerOptions{from: earliest}))
	checkValues(must(consumer.read(100)), 0, sent[:100])
	<-restart()
	must(p.send(sent[100:]...))
	checkValues(must(consumer.read(100)), 100, sent[100:])
	check(consumer.close())
	check(p.close())
	equal(must(c.offset(topic, latest)), 200, "end offset")
	return ""
}
