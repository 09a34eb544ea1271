package main

import (
	"errors"
	"fmt"
	"slices"
)

func createTopic(c client, topic string) string {
	check(c.createTopic(topic, 3, nil))
	waitForPartitions(c, topic, 3)
	if err := c.createTopic(topic, 3, nil); !errors.Is(err, errTopicExists) {
		fail("second creation: %v", err)
	}
	return ""
}

func waitForPartitions(c client, topic string, count int) {
	wanted := make([]int, count)
	for i := range wanted {
		wanted[i] = i
	}
	waitUntil(fmt.Sprintf("%d partitions in the metadata", count), func() bool {
		return slices.Equal(must(c.ledPartitions(topic)), wanted)
	})
}

func autoCreate(c client, topic string) string {
	sent := values("first try")
	equal(send(c, topic, producerOptions{}, sent...), []int64{0}, "acknowledged offsets")
	checkValues(readAll(c, topic, 1), 0, sent)
	return ""
}

func deleteAndRecreate(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	oldID := must(c.topicID(topic))
	send(c, topic, producerOptions{}, values("old 0", "old 1", "old 2")...)
	readAll(c, topic, 3)
	check(c.deleteTopic(topic))
	waitUntil("topic gone", func() bool { return !slices.Contains(must(c.topics()), topic) })
	check(c.createTopic(topic, 1, nil))
	sent := values("new 0")
	send(c, topic, producerOptions{}, sent...)
	checkValues(readAll(c, topic, 1), 0, sent)
	if oldID == "" {
		return "does not know topic ids"
	}
	if newID := must(c.topicID(topic)); newID == oldID {
		fail("the new topic has the old topic's id %s", oldID)
	}
	return ""
}

func createPartitions(c client, topic string) string {
	check(c.createTopic(topic, 1, nil))
	p := must(c.newProducer(topic, producerOptions{}))
	consumer := must(c.newConsumer(topic, consumerOptions{from: earliest, follow: true}))
	must(p.send(record{value: []byte("to partition 0")}))
	records := must(consumer.read(1))
	check(c.growTopic(topic, 3))
	for partition := 1; partition <= 2; partition++ {
		sent := record{value: fmt.Appendf(nil, "to partition %d", partition), partition: partition}
		var refusal error
		waitUntil(fmt.Sprintf("the producer knows partition %d", partition), func() bool {
			_, refusal = p.send(sent)
			return refusal == nil
		})
	}
	records = append(records, must(consumer.read(2))...)
	slices.SortFunc(records, func(a, b record) int { return a.partition - b.partition })
	for i, r := range records {
		equal(r.partition, i, "partition")
		equal(r.offset, 0, "offset")
		equal(string(r.value), fmt.Sprintf("to partition %d", i), "value")
	}
	check(consumer.close())
	check(p.close())
	if err := c.growTopic(topic, 3); !errors.Is(err, errInvalidPartitions) {
		fail("not more than there are: %v", err)
	}
	return ""
}

func manyPartitions(c client, topic string) string {
	const partitions, each = 100, 10
	check(c.createTopic(topic, partitions, nil))
	waitForPartitions(c, topic, partitions)
	var sent []record
	all := make([]int, partitions)
	for i := range partitions * each {
		partition := i % partitions
		all[partition] = partition
		value := fmt.Appendf(nil, "record %d", i/partitions)
		sent = append(sent, record{value: value, partition: partition})
	}
	send(c, topic, producerOptions{}, sent...)
	consumer := must(c.newConsumer(topic, consumerOptions{from: earliest, partitions: all}))
	next := make([]int64, partitions)
	for _, r := range must(consumer.read(len(sent))) {
		equal(r.offset, next[r.partition], fmt.Sprintf("offset in partition %d", r.partition))
		equal(string(r.value), fmt.Sprintf("record %d", r.offset), "value")
		next[r.partition]++
	}
	check(consumer.close())
	return c.abilities().manyPartitions
}
