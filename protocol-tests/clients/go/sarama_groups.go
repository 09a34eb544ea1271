package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/IBM/sarama"
)

type saramaMember struct {
	inner  sarama.ConsumerGroup
	told   teller
	cancel context.CancelFunc
	ended  sync.WaitGroup

	lock    sync.Mutex
	session sarama.ConsumerGroupSession // nil between two
}

func (s *saramaClient) openMember(options memberOptions, told teller) (member, error) {
	if options.pattern != "" {
		return nil, notApplicable("subscribes to no patterns")
	}
	if options.assignor == "cooperative" {
		return nil, notApplicable("has no cooperative assignor")
	}
	if options.instance != "" && !s.version.IsAtLeast(sarama.V2_4_0_0) {
		return nil, notApplicable("has no static members when set to Kafka 2.1")
	}
	config := s.config()
	config.Consumer.Group.InstanceId = options.instance
	config.Consumer.Group.Session.Timeout = options.session
	config.Consumer.Group.Heartbeat.Interval = heartbeat
	config.Consumer.Offsets.AutoCommit.Enable = options.commitsItself
	config.Consumer.Offsets.AutoCommit.Interval = commitInterval
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	if options.latest {
		config.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	inner, err := sarama.NewConsumerGroup([]string{s.address}, options.group, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &saramaMember{inner: inner, told: told, cancel: cancel}
	m.ended.Go(func() {
		for ctx.Err() == nil {
			if err := inner.Consume(ctx, options.topics, m); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", told.name, err)
			}
		}
	})
	// Lost connections are tried again.
	go func() {
		for err := range inner.Errors() {
			fmt.Fprintf(os.Stderr, "%s: %v\n", told.name, err)
		}
	}()
	return m, nil
}

// Setup, Cleanup and ConsumeClaim are called by sarama for every session.
func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	m.session = session
	m.lock.Unlock()
	m.told.assigned(places(session.Claims()))
	return nil
}

func (m *saramaMember) Cleanup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	m.session = nil
	m.lock.Unlock()
	m.told.revoked(places(session.Claims()))
	return nil
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		m.told.record(place{message.Topic, message.Partition}, message.Offset, message.Value)
	}
	return nil
}

func (m *saramaMember) commit() error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session == nil {
		return errors.New("no session")
	}
	m.session.Commit()
	return nil
}

func (m *saramaMember) commitAsync() error {
	return notApplicable("commits synchronously, or now and then")
}

func (m *saramaMember) pause(at place) error {
	m.inner.Pause(map[string][]int32{at.topic: {at.partition}})
	return nil
}

func (m *saramaMember) resume(at place) error {
	m.inner.Resume(map[string][]int32{at.topic: {at.partition}})
	return nil
}

func (m *saramaMember) seek(place, int64) error {
	return notApplicable("a claim begins where it begins: there is no seek within a session")
}

func (m *saramaMember) close() error {
	m.cancel()
	m.ended.Wait()
	return m.inner.Close()
}

// saramaRefusal makes a refusal of the broker's error.
func saramaRefusal(err error) error {
	var code sarama.KError
	if errors.As(err, &code) && code != sarama.ErrNoError {
		return refusal(code)
	}
	return err
}

func (s *saramaClient) listGroups() ([]string, error) {
	listed, err := s.admin.ListConsumerGroups()
	var names []string
	for name := range listed {
		names = append(names, name)
	}
	return names, err
}

func (s *saramaClient) describeGroup(group string) (describedGroup, error) {
	all, err := s.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return describedGroup{}, err
	}
	described := describedGroup{state: all[0].State, protocol: all[0].Protocol}
	for _, member := range all[0].Members {
		assigned, err := member.GetMemberAssignment()
		if err != nil {
			return described, err
		}
		described.owned = append(described.owned, places(assigned.Topics))
	}
	return described, nil
}

func (s *saramaClient) groupOffsets(group string) (map[place]int64, error) {
	found, err := s.admin.ListConsumerGroupOffsets(group, nil)
	offsets := map[place]int64{}
	if err == nil {
		for topic, partitions := range found.Blocks {
			for partition, block := range partitions {
				offsets[place{topic, partition}] = block.Offset
			}
		}
	}
	return offsets, err
}

func (s *saramaClient) alterOffset(group string, at place, offset int64) error {
	offsets := map[string]map[int32]sarama.OffsetAndMetadata{at.topic: {at.partition: {Offset: offset, LeaderEpoch: -1}}}
	answer, err := s.admin.AlterConsumerGroupOffsets(group, offsets, nil)
	if err != nil {
		return err
	}
	return noError(answer.Errors[at.topic][at.partition])
}

func (s *saramaClient) deleteOffset(group string, at place) error {
	if !s.version.IsAtLeast(sarama.V2_4_0_0) {
		return notApplicable("does not delete offsets when set to Kafka 2.1")
	}
	return saramaRefusal(s.admin.DeleteConsumerGroupOffset(group, at.topic, at.partition))
}

func (s *saramaClient) deleteGroup(group string) error {
	return saramaRefusal(s.admin.DeleteConsumerGroup(group))
}

func (s *saramaClient) removeMember(group, instance string) error {
	answer, err := s.admin.RemoveMemberFromConsumerGroup(group, []string{instance})
	if err != nil {
		return err
	}
	for _, member := range answer.Members {
		if member.Err != sarama.ErrNoError {
			return saramaRefusal(member.Err)
		}
	}
	return saramaRefusal(noError(answer.Err))
}
