package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaGoMember is kafka-go's ConsumerGroup, which is what its Reader has inside, with a Reader for
// each partition of a generation.
type kafkaGoMember struct {
	inner   *kafka.ConsumerGroup
	brokers []string
	told    teller

	lock       sync.Mutex
	generation *kafka.Generation
	read       map[place]int64 // what to commit
}

func (k *kafkaGo) openMember(options memberOptions, told teller) (member, error) {
	switch {
	case options.pattern != "":
		return nil, notApplicable("subscribes to no patterns")
	case options.assignor == "cooperative":
		return nil, notApplicable("has no cooperative assignor")
	case options.commitsItself:
		return nil, notApplicable("its ConsumerGroup commits when it is told to")
	case options.instance != "":
		return nil, notApplicable("has no static members")
	}
	start := kafka.FirstOffset
	if options.latest {
		start = kafka.LastOffset
	}
	brokers := []string{k.bootstrap()}
	inner, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     options.group,
		Brokers:                brokers,
		Topics:                 options.topics,
		GroupBalancers:         []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		SessionTimeout:         options.session,
		HeartbeatInterval:      heartbeat,
		WatchPartitionChanges:  true,
		PartitionWatchInterval: metadataAge,
		JoinGroupBackoff:       100 * time.Millisecond,
		StartOffset:            start,
	})
	m := &kafkaGoMember{inner: inner, brokers: brokers, told: told, read: map[place]int64{}}
	if err == nil {
		go m.generations()
	}
	return m, err
}

func (m *kafkaGoMember) generations() {
	for {
		generation, err := m.inner.Next(context.Background())
		if errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", m.told.name, err)
			continue
		}
		m.begin(generation)
	}
}

func (m *kafkaGoMember) begin(generation *kafka.Generation) {
	m.lock.Lock()
	m.generation = generation
	m.lock.Unlock()
	var owned []place
	for topic, assigned := range generation.Assignments {
		for _, partition := range assigned {
			owned = append(owned, place{topic, int32(partition.ID)})
		}
	}
	m.told.assigned(owned)
	generation.Start(func(ctx context.Context) {
		<-ctx.Done()
		m.told.revoked(owned)
	})
	for topic, assigned := range generation.Assignments {
		for _, partition := range assigned {
			generation.Start(func(ctx context.Context) { m.consume(ctx, topic, partition) })
		}
	}
}

func (m *kafkaGoMember) consume(ctx context.Context, topic string, from kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: m.brokers, Topic: topic, Partition: from.ID, MinBytes: 1, MaxBytes: 1 << 20,
		MaxWait: 50 * time.Millisecond, ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 50 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(from.Offset); err != nil {
		m.told.failed(err)
		return
	}
	for ctx.Err() == nil {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", m.told.name, err)
			}
			continue
		}
		m.lock.Lock()
		m.read[place{topic, int32(from.ID)}] = message.Offset + 1
		m.lock.Unlock()
		m.told.record(place{topic, int32(from.ID)}, message.Offset, message.Value)
	}
}

// commit tries again, as kafka-go's Reader does: the coordinator's connection may have died with its
// broker, and the generation with it.
func (m *kafkaGoMember) commit() error {
	var err error
	for range 100 {
		generation, offsets := m.position()
		if err = generation.CommitOffsets(offsets); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
	return err
}

// position is behind what was read of the partitions that are owned.
func (m *kafkaGoMember) position() (*kafka.Generation, map[string]map[int]int64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	offsets := map[string]map[int]int64{}
	for topic, assigned := range m.generation.Assignments {
		offsets[topic] = map[int]int64{}
		for _, partition := range assigned {
			if offset, ok := m.read[place{topic, int32(partition.ID)}]; ok {
				offsets[topic][partition.ID] = offset
			}
		}
	}
	return m.generation, offsets
}

func (m *kafkaGoMember) commitAsync() error {
	return notApplicable("commits synchronously, or now and then")
}

func (m *kafkaGoMember) pause(place) error { return notApplicable("has no pause") }

func (m *kafkaGoMember) resume(place) error { return notApplicable("has no pause") }

func (m *kafkaGoMember) seek(place, int64) error {
	return notApplicable("does not seek within a group")
}

func (m *kafkaGoMember) close() error { return m.inner.Close() }

// kafkaGoRefusal makes a refusal of the broker's error.
func kafkaGoRefusal(err error) error {
	var code kafka.Error
	if errors.As(err, &code) {
		return refusal(code)
	}
	return err
}

func (k *kafkaGo) listGroups() ([]string, error) {
	answer, err := k.inner.ListGroups(context.Background(), &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, group := range answer.Groups {
		names = append(names, group.GroupID)
	}
	return names, answer.Error
}

func (k *kafkaGo) describeGroup(group string) (describedGroup, error) {
	answer, err := k.inner.DescribeGroups(context.Background(), &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return describedGroup{}, err
	}
	found := answer.Groups[0]
	described := describedGroup{state: found.GroupState, protocol: unknown}
	for _, member := range found.Members {
		owned := map[string][]int{}
		for _, topic := range member.MemberAssignments.Topics {
			owned[topic.Topic] = topic.Partitions
		}
		described.owned = append(described.owned, places(owned))
	}
	return described, found.Error
}

func (k *kafkaGo) groupOffsets(group string) (map[place]int64, error) {
	// Without topics it asks for none.
	topics, err := k.topics()
	if err != nil {
		return nil, err
	}
	asked := map[string][]int{}
	for _, topic := range topics {
		if topic == group {
			asked[topic] = must(k.ledPartitions(topic))
		}
	}
	answer, err := k.inner.OffsetFetch(context.Background(), &kafka.OffsetFetchRequest{GroupID: group, Topics: asked})
	if err != nil {
		return nil, err
	}
	offsets := map[place]int64{}
	for topic, partitions := range answer.Topics {
		for _, p := range partitions {
			offsets[place{topic, int32(p.Partition)}] = p.CommittedOffset
		}
	}
	return offsets, answer.Error
}

func (k *kafkaGo) alterOffset(group string, at place, offset int64) error {
	commit := kafka.OffsetCommit{Partition: int(at.partition), Offset: offset}
	answer, err := k.inner.OffsetCommit(context.Background(), &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{at.topic: {commit}},
	})
	if err != nil {
		return err
	}
	return kafkaGoRefusal(answer.Topics[at.topic][0].Error)
}

func (k *kafkaGo) deleteOffset(group string, at place) error {
	answer, err := k.inner.OffsetDelete(context.Background(), &kafka.OffsetDeleteRequest{
		GroupID: group, Topics: map[string][]int{at.topic: {int(at.partition)}},
	})
	if err != nil {
		return err
	}
	if answer.Error != nil {
		return kafkaGoRefusal(answer.Error)
	}
	return kafkaGoRefusal(answer.Topics[at.topic][0].Error)
}

func (k *kafkaGo) deleteGroup(group string) error {
	answer, err := k.inner.DeleteGroups(context.Background(), &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return err
	}
	return kafkaGoRefusal(answer.Errors[group])
}

func (k *kafkaGo) removeMember(string, string) error {
	return notApplicable("has no static members")
}
