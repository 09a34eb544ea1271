package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz is franz-go, with its admin package kadm.
type franz struct {
	address string
	admin   *kadm.Client
}

func newFranz(bootstrap string) client {
	f := &franz{address: bootstrap}
	f.admin = kadm.NewClient(must(f.newClient()))
	return f
}

func (f *franz) newClient(options ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{
		kgo.SeedBrokers(f.address),
		kgo.RetryTimeout(patience),
		// A creation that is sent again finds the topic.
		kgo.RequestTimeoutOverhead(patience),
		kgo.MetadataMaxAge(500 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	return kgo.NewClient(append(common, options...)...)
}

func withPatience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func (f *franz) bootstrap() string { return f.address }

func (f *franz) abilities() abilities {
	return abilities{timestampType: true, clusterID: true}
}

func (f *franz) cluster() (cluster, error) {
	ctx, cancel := withPatience()
	defer cancel()
	metadata, err := f.admin.BrokerMetadata(ctx)
	seen := cluster{id: metadata.Cluster}
	for _, broker := range metadata.Brokers {
		address := net.JoinHostPort(broker.Host, fmt.Sprint(broker.Port))
		seen.brokers = append(seen.brokers, address)
		if broker.NodeID == metadata.Controller {
			seen.controller = address
		}
	}
	return seen, err
}

func (f *franz) createTopic(topic string, partitions int, configs map[string]string) error {
	ctx, cancel := withPatience()
	defer cancel()
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	_, err := f.admin.CreateTopic(ctx, int32(partitions), 1, values, topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return errTopicExists
	}
	return err
}

func (f *franz) deleteTopic(topic string) error {
	ctx, cancel := withPatience()
	defer cancel()
	_, err := f.admin.DeleteTopic(ctx, topic)
	return err
}

func (f *franz) topics() ([]string, error) {
	ctx, cancel := withPatience()
	defer cancel()
	listed, err := f.admin.ListTopics(ctx)
	return listed.Names(), err
}

// detail comes from a client of its own: the other one may still have it from before.
func (f *franz) detail(topic string) (kadm.TopicDetail, error) {
	inner, err := f.newClient()
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	defer inner.Close()
	ctx, cancel := withPatience()
	defer cancel()
	listed, err := kadm.NewClient(inner).ListTopics(ctx, topic)
	return listed[topic], err
}

func (f *franz) topicID(topic string) (string, error) {
	detail, err := f.detail(topic)
	return detail.ID.String(), err
}

func (f *franz) ledPartitions(topic string) ([]int, error) {
	detail, err := f.detail(topic)
	var led []int
	for number, partition := range detail.Partitions {
		if partition.Leader >= 0 {
			led = append(led, int(number))
		}
	}
	slices.Sort(led)
	return led, err
}

func (f *franz) growTopic(topic string, partitions int) error {
	ctx, cancel := withPatience()
	defer cancel()
	answer, err := f.admin.UpdatePartitions(ctx, partitions, topic)
	if err != nil {
		return err
	}
	if errors.Is(answer[topic].Err, kerr.InvalidPartitions) {
		return errInvalidPartitions
	}
	return answer[topic].Err
}

func (f *franz) topicConfigs(topic string) (map[string]config, error) {
	ctx, cancel := withPatience()
	defer cancel()
	described, err := f.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	return franzConfigs(described[0])
}

func (f *franz) brokerConfigs() (string, map[string]config, error) {
	ctx, cancel := withPatience()
	defer cancel()
	brokers, err := f.admin.ListBrokers(ctx)
	if err != nil {
		return "", nil, err
	}
	described, err := f.admin.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	if err != nil {
		return "", nil, err
	}
	configs, err := franzConfigs(described[0])
	return described[0].Name, configs, err
}

func franzConfigs(described kadm.ResourceConfig) (map[string]config, error) {
	if errors.Is(described.Err, kerr.UnknownTopicOrPartition) {
		return nil, errUnknownTopic
	}
	all := map[string]config{}
	for _, c := range described.Configs {
		isDefault := c.Source == kmsg.ConfigSourceDefaultConfig
		all[c.Key] = config{value: c.MaybeValue(), source: configSource(c.Source), isDefault: isDefault}
	}
	return all, described.Err
}

func (f *franz) setConfig(topic, key, value string) error {
	ctx, cancel := withPatience()
	defer cancel()
	altered, err := f.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err != nil {
		return err
	}
	return altered[0].Err
}

func (f *franz) deleteRecords(topic string, before int64) (int64, error) {
	ctx, cancel := withPatience()
	defer cancel()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, before, -1)
	answer, err := f.admin.DeleteRecords(ctx, offsets)
	if err != nil {
		return noOffset, err
	}
	deleted, _ := answer.Lookup(topic, 0)
	return deleted.LowWatermark, deleted.Err
}

func (f *franz) replica(topic string) (replica, error) {
	ctx, cancel := withPatience()
	defer cancel()
	var wanted kadm.TopicsSet
	wanted.Add(topic, 0)
	described, err := f.admin.DescribeAllLogDirs(ctx, wanted)
	if err != nil {
		return replica{}, err
	}
	for _, broker := range described {
		if found, ok := broker.LookupPartition(topic, 0); ok {
			return replica{found.Size, found.OffsetLag, found.IsFuture}, broker.Error()
		}
	}
	return replica{}, errors.New("no directory lists the partition")
}

func (f *franz) offset(topic string, at int64) (int64, error) {
	ctx, cancel := withPatience()
	defer cancel()
	var listed kadm.ListedOffsets
	var err error
	switch at {
	case latest:
		listed, err = f.admin.ListEndOffsets(ctx, topic)
	case earliest:
		listed, err = f.admin.ListStartOffsets(ctx, topic)
	case maxTimestamp:
		listed, err = f.admin.ListMaxTimestampOffsets(ctx, topic)
	default:
		listed, err = f.admin.ListOffsetsAfterMilli(ctx, at, topic)
	}
	if err != nil {
		return noOffset, err
	}
	found, ok := listed.Lookup(topic, 0)
	if !ok {
		return noOffset, errors.New("no offset listed for partition 0")
	}
	if at >= 0 && found.Timestamp == -1 {
		// kadm has put the end offset here.
		return noOffset, found.Err
	}
	return found.Offset, found.Err
}

var franzCodecs = map[string]kgo.CompressionCodec{
	"":       kgo.NoCompression(),
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (f *franz) newProducer(topic string, options producerOptions) (producer, error) {
	settings := []kgo.Opt{
		kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(franzCodecs[options.codec]),
		kgo.ProducerLinger(max(options.linger, 20*time.Millisecond)),
	}
	if !options.idempotent {
		settings = append(settings, kgo.DisableIdempotentWrite())
	}
	if options.smallBatches {
		settings = append(settings, kgo.ProducerBatchMaxBytes(2000))
	}
	if options.maxBatchBytes > 0 {
		settings = append(settings, kgo.ProducerBatchMaxBytes(int32(options.maxBatchBytes)))
	}
	inner, err := f.newClient(settings...)
	return &franzProducer{inner, topic}, err
}

type franzProducer struct {
	inner *kgo.Client
	topic string
}

func (p *franzProducer) send(records ...record) ([]int64, error) {
	ctx, cancel := withPatience()
	defer cancel()
	var all []*kgo.Record
	for _, r := range records {
		sent := &kgo.Record{Topic: p.topic, Partition: int32(r.partition), Key: r.key, Value: r.value}
		for _, h := range r.headers {
			sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: h.key, Value: h.value})
		}
		if r.timestamp != 0 {
			sent.Timestamp = time.UnixMilli(r.timestamp)
		}
		all = append(all, sent)
	}
	var offsets []int64
	for _, result := range p.inner.ProduceSync(ctx, all...) {
		if errors.Is(result.Err, kerr.MessageTooLarge) {
			return nil, errMessageTooLarge
		}
		if result.Err != nil {
			return nil, result.Err
		}
		offsets = append(offsets, result.Record.Offset)
	}
	return offsets, nil
}

func (p *franzProducer) close() error {
	p.inner.Close()
	return nil
}

func (f *franz) newConsumer(topic string, options consumerOptions) (consumer, error) {
	// Positions are looked up in the background; the first fetch tells that they are found.
	fetching := &firstFetch{seen: make(chan struct{})}
	settings := []kgo.Opt{kgo.FetchMaxWait(50 * time.Millisecond), kgo.WithHooks(fetching)}
	if options.follow {
		settings = append(settings,
			kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	} else {
		settings = append(settings,
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: franzStarts(options)}),
			// A wrong position must be an error, not a silent jump.
			kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	}
	inner, err := f.newClient(settings...)
	if err != nil {
		return nil, err
	}
	select {
	case <-fetching.seen:
		return &franzConsumer{inner}, nil
	case <-time.After(patience):
		inner.Close()
		return nil, errors.New("the consumer does not begin to fetch")
	}
}

func franzStarts(options consumerOptions) map[int32]kgo.Offset {
	start := kgo.NewOffset().At(options.from)
	switch options.from {
	case earliest:
		start = kgo.NewOffset().AtStart()
	case latest:
		start = kgo.NewOffset().AtEnd()
	}
	starts := map[int32]kgo.Offset{}
	for _, partition := range options.partitionsOrFirst() {
		starts[int32(partition)] = start
	}
	return starts
}

type firstFetch struct {
	once sync.Once
	seen chan struct{}
}

func (f *firstFetch) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == kmsg.Fetch.Int16() {
		f.once.Do(func() { close(f.seen) })
	}
}

type franzConsumer struct{ inner *kgo.Client }

func (c *franzConsumer) read(count int) ([]record, error) {
	ctx, cancel := withPatience()
	defer cancel()
	var records []record
	for len(records) < count {
		fetches := c.inner.PollRecords(ctx, count-len(records))
		if err := fetches.Err(); errors.Is(err, kerr.OffsetOutOfRange) {
			return nil, errOffsetOutOfRange
		} else if err != nil {
			return nil, fmt.Errorf("%d of %d records arrived: %w", len(records), count, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got := record{
				key: r.Key, value: r.Value,
				timestamp: r.Timestamp.UnixMilli(), appendTime: r.Attrs.TimestampType() == 1,
				partition: int(r.Partition), offset: r.Offset,
			}
			for _, h := range r.Headers {
				got.headers = append(got.headers, header{h.Key, h.Value})
			}
			records = append(records, got)
		})
	}
	return records, nil
}

func (c *franzConsumer) close() error {
	c.inner.Close()
	return nil
}
