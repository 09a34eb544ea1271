package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// saramaClient is sarama, set to speak as to a broker of some version.
type saramaClient struct {
	address string
	version sarama.KafkaVersion
	inner   sarama.Client
	admin   sarama.ClusterAdmin
	// What setConfig has set by topic: before Kafka 2.3 the whole set is replaced at once.
	set map[string]map[string]*string
}

func newSarama(bootstrap string, version sarama.KafkaVersion) client {
	s := &saramaClient{address: bootstrap, version: version, set: map[string]map[string]*string{}}
	s.inner = must(sarama.NewClient([]string{bootstrap}, s.config()))
	s.admin = must(sarama.NewClusterAdminFromClient(s.inner))
	return s
}

func (s *saramaClient) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = s.version
	config.Metadata.AllowAutoTopicCreation = false
	config.Metadata.RefreshFrequency = 500 * time.Millisecond
	// A topic is usable a while after its creation; by default sarama tries again for 750 ms, here for 120 s.
	config.Metadata.Retry.Max = 480
	config.Producer.Retry.Max = 1200
	config.Net.DialTimeout = 60 * time.Second
	config.Net.ReadTimeout = 60 * time.Second
	config.Net.WriteTimeout = 60 * time.Second
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	config.Consumer.Return.Errors = true
	return config
}

func (s *saramaClient) bootstrap() string { return s.address }

func (s *saramaClient) abilities() abilities {
	return abilities{readOnlyConfigs: true}
}

func (s *saramaClient) cluster() (cluster, error) {
	brokers, controller, err := s.admin.DescribeCluster()
	var seen cluster
	for _, broker := range brokers {
		seen.brokers = append(seen.brokers, broker.Addr())
		if broker.ID() == controller {
			seen.controller = broker.Addr()
		}
	}
	return seen, err
}

func (s *saramaClient) createTopic(topic string, partitions int, configs map[string]string) error {
	detail := &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: 1, ConfigEntries: map[string]*string{},
	}
	for key, value := range configs {
		detail.ConfigEntries[key] = &value
	}
	s.set[topic] = detail.ConfigEntries
	err := s.admin.CreateTopic(topic, detail, false)
	if errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return errTopicExists
	}
	return err
}

func (s *saramaClient) deleteTopic(topic string) error { return s.admin.DeleteTopic(topic) }

func (s *saramaClient) topics() ([]string, error) {
	if err := s.inner.RefreshMetadata(); err != nil {
		return nil, err
	}
	return s.inner.Topics()
}

func (s *saramaClient) topicID(topic string) (string, error) {
	described, err := s.admin.DescribeTopics([]string{topic})
	if err != nil || described[0].Version < 10 {
		return "", err
	}
	return described[0].Uuid.String(), nil
}

func (s *saramaClient) ledPartitions(topic string) ([]int, error) {
	described, err := s.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, err
	}
	var led []int
	for _, partition := range described[0].Partitions {
		if partition.Leader >= 0 {
			led = append(led, int(partition.ID))
		}
	}
	slices.Sort(led)
	return led, nil
}

func (s *saramaClient) growTopic(topic string, partitions int) error {
	err := s.admin.CreatePartitions(topic, int32(partitions), nil, false)
	if errors.Is(err, sarama.ErrInvalidPartitions) {
		return errInvalidPartitions
	}
	return err
}

func (s *saramaClient) topicConfigs(topic string) (map[string]config, error) {
	all, err := s.configs(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return nil, errUnknownTopic
	}
	return all, err
}

func (s *saramaClient) brokerConfigs() (string, map[string]config, error) {
	id := fmt.Sprint(s.inner.Brokers()[0].ID())
	all, err := s.configs(sarama.ConfigResource{Type: sarama.BrokerResource, Name: id})
	return id, all, err
}

func (s *saramaClient) configs(of sarama.ConfigResource) (map[string]config, error) {
	entries, err := s.admin.DescribeConfig(of)
	all := map[string]config{}
	for _, e := range entries {
		isDefault := e.Default || e.Source == sarama.SourceDefault
		all[e.Name] = config{e.Value, configSource(e.Source), isDefault, e.ReadOnly}
	}
	return all, err
}

func (s *saramaClient) setConfig(topic, key, value string) error {
	if s.version.IsAtLeast(sarama.V2_3_0_0) {
		entry := sarama.IncrementalAlterConfigsEntry{
			Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value,
		}
		entries := map[string]sarama.IncrementalAlterConfigsEntry{key: entry}
		return s.admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false)
	}
	s.set[topic][key] = &value
	return s.admin.AlterConfig(sarama.TopicResource, topic, s.set[topic], false)
}

func (s *saramaClient) deleteRecords(topic string, before int64) (int64, error) {
	return noOffset, s.admin.DeleteRecords(topic, map[int32]int64{0: before})
}

func (s *saramaClient) replica(topic string) (replica, error) {
	described, err := s.admin.DescribeLogDirs([]int32{s.inner.Brokers()[0].ID()})
	if err != nil {
		return replica{}, err
	}
	for _, directories := range described {
		for _, directory := range directories {
			for _, t := range directory.Topics {
				if t.Topic == topic && t.Partitions[0].PartitionID == 0 {
					p := t.Partitions[0]
					return replica{p.Size, p.OffsetLag, p.IsTemporary}, noError(directory.ErrorCode)
				}
			}
		}
	}
	return replica{}, errors.New("no directory lists the partition")
}

func noError(code sarama.KError) error {
	if code == sarama.ErrNoError {
		return nil
	}
	return code
}

func (s *saramaClient) offset(topic string, at int64) (int64, error) {
	if at == maxTimestamp {
		return noOffset, notApplicable("lists offsets with versions that have no largest timestamp")
	}
	// The topic may have been deleted and created since the last look.
	if err := s.inner.RefreshMetadata(topic); err != nil {
		return noOffset, err
	}
	return s.inner.GetOffset(topic, 0, at)
}

var saramaCodecs = map[string]sarama.CompressionCodec{
	"":       sarama.CompressionNone,
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func (s *saramaClient) newProducer(topic string, options producerOptions) (producer, error) {
	config := s.config()
	config.Metadata.AllowAutoTopicCreation = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Compression = saramaCodecs[options.codec]
	config.Producer.Flush.Frequency = max(options.linger, 20*time.Millisecond)
	if options.idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1 // sarama insists
	}
	if options.smallBatches {
		config.Producer.Flush.Frequency = 0
		config.Producer.Flush.MaxMessages = 10
	}
	if options.maxBatchBytes > 0 {
		config.Producer.MaxMessageBytes = options.maxBatchBytes
	}
	inner, err := sarama.NewSyncProducer([]string{s.address}, config)
	return &saramaProducer{inner, topic}, err
}

type saramaProducer struct {
	inner sarama.SyncProducer
	topic string
}

func (p *saramaProducer) send(records ...record) ([]int64, error) {
	var messages []*sarama.ProducerMessage
	for _, r := range records {
		message := &sarama.ProducerMessage{Topic: p.topic, Partition: int32(r.partition)}
		if r.key != nil {
			message.Key = sarama.ByteEncoder(r.key)
		}
		if r.value != nil {
			message.Value = sarama.ByteEncoder(r.value)
		}
		for _, h := range r.headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.key), Value: h.value})
		}
		if r.timestamp != 0 {
			message.Timestamp = time.UnixMilli(r.timestamp)
		}
		messages = append(messages, message)
	}
	var refused sarama.ProducerErrors
	err := p.inner.SendMessages(messages)
	if errors.As(err, &refused) {
		err = refused[0].Err
	}
	// sarama's own size check is a ConfigurationError.
	if errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		return nil, errMessageTooLarge
	}
	var offsets []int64
	for _, message := range messages {
		offsets = append(offsets, message.Offset)
	}
	return offsets, err
}

func (p *saramaProducer) close() error { return p.inner.Close() }

func (s *saramaClient) newConsumer(topic string, options consumerOptions) (consumer, error) {
	if err := s.inner.RefreshMetadata(topic); err != nil {
		return nil, err
	}
	inner, err := sarama.NewConsumerFromClient(s.inner)
	if err != nil {
		return nil, err
	}
	c := &saramaConsumer{funnel: newFunnel(), inner: inner, topic: topic}
	if options.follow {
		c.whileOpen(c.readNewPartitions)
		return c, nil
	}
	for _, partition := range options.partitionsOrFirst() {
		err = errors.Join(err, c.add(int32(partition), options.from))
	}
	return c, err
}

type saramaConsumer struct {
	*funnel
	inner      sarama.Consumer
	topic      string
	partitions []sarama.PartitionConsumer
}

// sarama has no consumer, but one in a group, that takes up new partitions by itself.
func (c *saramaConsumer) readNewPartitions() error {
	known, err := c.inner.Partitions(c.topic)
	for partition := len(c.partitions); partition < len(known); partition++ {
		err = errors.Join(err, c.add(int32(partition), earliest))
	}
	return err
}

func (c *saramaConsumer) add(partition int32, from int64) error {
	// sarama's OffsetNewest and OffsetOldest are the protocol's numbers. They are resolved here.
	p, err := c.inner.ConsumePartition(c.topic, partition, from)
	if errors.Is(err, sarama.ErrOffsetOutOfRange) {
		return errOffsetOutOfRange
	}
	if err != nil {
		return err
	}
	c.partitions = append(c.partitions, p)
	c.sources.Go(func() {
		for m := range p.Messages() {
			if !c.put(arrival{record: saramaRecord(m)}) {
				return
			}
		}
	})
	// Lost connections are tried again; the reader's patience ends what never recovers.
	c.sources.Go(func() {
		for err := range p.Errors() {
			fmt.Fprintf(os.Stderr, "%v\n", err)
		}
	})
	return nil
}

func saramaRecord(m *sarama.ConsumerMessage) record {
	got := record{
		key: m.Key, value: m.Value,
		timestamp: m.Timestamp.UnixMilli(), partition: int(m.Partition), offset: m.Offset,
	}
	for _, h := range m.Headers {
		got.headers = append(got.headers, header{string(h.Key), h.Value})
	}
	return got
}

func (c *saramaConsumer) close() error {
	close(c.closed)
	for _, p := range c.partitions {
		p.AsyncClose()
	}
	c.sources.Wait()
	return c.inner.Close()
}
