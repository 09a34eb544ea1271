package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type franzMember struct {
	inner *kgo.Client
	told  teller
}

func (f *franz) openMember(options memberOptions, told teller) (member, error) {
	m := &franzMember{told: told}
	balancer := kgo.RangeBalancer()
	if options.assignor == "cooperative" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	start := kgo.NewOffset().AtStart()
	if options.latest {
		start = kgo.NewOffset().AtEnd()
	}
	gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { told.revoked(places(lost)) }
	settings := []kgo.Opt{
		kgo.ConsumerGroup(options.group),
		kgo.Balancers(balancer),
		kgo.SessionTimeout(options.session),
		kgo.HeartbeatInterval(heartbeat),
		kgo.ConsumeResetOffset(start),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			told.assigned(places(assigned))
		}),
		kgo.OnPartitionsRevoked(gone),
		kgo.OnPartitionsLost(gone),
	}
	if options.commitsItself {
		settings = append(settings, kgo.AutoCommitInterval(commitInterval))
	} else {
		settings = append(settings, kgo.DisableAutoCommit())
	}
	if options.pattern != "" {
		settings = append(settings, kgo.ConsumeRegex(), kgo.ConsumeTopics(options.pattern))
	} else {
		settings = append(settings, kgo.ConsumeTopics(options.topics...))
	}
	if options.instance != "" {
		settings = append(settings, kgo.InstanceID(options.instance))
	}
	var err error
	m.inner, err = f.newClient(settings...)
	if err == nil {
		go m.read()
	}
	return m, err
}

func (m *franzMember) read() {
	for {
		fetches := m.inner.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			m.told.record(place{r.Topic, r.Partition}, r.Offset, r.Value)
		})
	}
}

func (m *franzMember) commit() error {
	ctx, cancel := withPatience()
	defer cancel()
	return m.inner.CommitUncommittedOffsets(ctx)
}

func (m *franzMember) commitAsync() error {
	ctx, cancel := withPatience()
	go func() {
		defer cancel()
		if err := m.inner.CommitUncommittedOffsets(ctx); err != nil {
			m.told.failed(err)
			return
		}
		tell(m.told.name, "committed")
	}()
	return nil
}

func (m *franzMember) pause(at place) error {
	m.inner.PauseFetchPartitions(map[string][]int32{at.topic: {at.partition}})
	return nil
}

func (m *franzMember) resume(at place) error {
	m.inner.ResumeFetchPartitions(map[string][]int32{at.topic: {at.partition}})
	return nil
}

func (m *franzMember) seek(at place, offset int64) error {
	to := kgo.EpochOffset{Epoch: -1, Offset: offset}
	m.inner.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.topic: {at.partition: to}})
	return nil
}

func (m *franzMember) close() error {
	m.inner.Close()
	return nil
}

// franzRefusal makes a refusal of the broker's error.
func franzRefusal(err error) error {
	var of *kerr.Error
	if errors.As(err, &of) {
		return refusal(of.Code)
	}
	return err
}

func (f *franz) listGroups() ([]string, error) {
	ctx, cancel := withPatience()
	defer cancel()
	listed, err := f.admin.ListGroups(ctx)
	return listed.Groups(), err
}

func (f *franz) describeGroup(group string) (describedGroup, error) {
	ctx, cancel := withPatience()
	defer cancel()
	all, err := f.admin.DescribeGroups(ctx, group)
	found := all[group]
	described := describedGroup{state: found.State, protocol: found.Protocol}
	for _, member := range found.Members {
		owned := map[string][]int32{}
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				owned[topic.Topic] = topic.Partitions
			}
		}
		described.owned = append(described.owned, places(owned))
	}
	return described, errors.Join(err, found.Err)
}

func (f *franz) groupOffsets(group string) (map[place]int64, error) {
	ctx, cancel := withPatience()
	defer cancel()
	found, err := f.admin.FetchOffsets(ctx, group)
	offsets := map[place]int64{}
	found.Each(func(o kadm.OffsetResponse) { offsets[place{o.Topic, o.Partition}] = o.At })
	return offsets, errors.Join(err, found.Error())
}

func (f *franz) alterOffset(group string, at place, offset int64) error {
	ctx, cancel := withPatience()
	defer cancel()
	offsets := kadm.Offsets{}
	offsets.AddOffset(at.topic, at.partition, offset, -1)
	answer, err := f.admin.CommitOffsets(ctx, group, offsets)
	return franzRefusal(errors.Join(err, answer.Error()))
}

func (f *franz) deleteOffset(group string, at place) error {
	ctx, cancel := withPatience()
	defer cancel()
	asked := kadm.TopicsSet{}
	asked.Add(at.topic, at.partition)
	answer, err := f.admin.DeleteOffsets(ctx, group, asked)
	return franzRefusal(errors.Join(err, answer.Error()))
}

func (f *franz) deleteGroup(group string) error {
	ctx, cancel := withPatience()
	defer cancel()
	answer, err := f.admin.DeleteGroup(ctx, group)
	return franzRefusal(errors.Join(err, answer.Err))
}

func (f *franz) removeMember(group, instance string) error {
	ctx, cancel := withPatience()
	defer cancel()
	answer, err := f.admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(instance))
	return franzRefusal(errors.Join(err, answer.Error()))
}
