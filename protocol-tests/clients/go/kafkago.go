package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaGo is segmentio's kafka-go: its Client for administration, Writer and Reader for records.
type kafkaGo struct {
	address net.Addr
	inner   *kafka.Client
}

func newKafkaGo(bootstrap string) client {
	address := kafka.TCP(bootstrap)
	return &kafkaGo{address, &kafka.Client{Addr: address, Timeout: patience, Transport: newTransport()}}
}

func newTransport() *kafka.Transport {
	// By default it asks for metadata every 6 s. The same time limits how long an answer may take.
	return &kafka.Transport{MetadataTTL: time.Second}
}

func (k *kafkaGo) bootstrap() string { return k.address.String() }

func (k *kafkaGo) abilities() abilities {
	return abilities{
		noIdempotence:   "its Writer has no idempotence",
		noAppendTime:    "its Reader shows the producer's timestamp whatever the type",
		noNulls:         true,
		clusterID:       true,
		readOnlyConfigs: true,
		manyPartitions:  "a Reader, and a connection, for each partition",
	}
}

func (k *kafkaGo) cluster() (cluster, error) {
	answer, err := k.inner.Metadata(context.Background(), &kafka.MetadataRequest{})
	if err != nil {
		return cluster{}, err
	}
	seen := cluster{id: answer.ClusterID, controller: addressOf(answer.Controller)}
	for _, broker := range answer.Brokers {
		seen.brokers = append(seen.brokers, addressOf(broker))
	}
	return seen, nil
}

func addressOf(broker kafka.Broker) string {
	return net.JoinHostPort(broker.Host, fmt.Sprint(broker.Port))
}

func (k *kafkaGo) createTopic(topic string, partitions int, configs map[string]string) error {
	asked := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}
	for key, value := range configs {
		asked.ConfigEntries = append(asked.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	answer, err := k.inner.CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{asked},
	})
	if err != nil {
		return err
	}
	if errors.Is(answer.Errors[topic], kafka.TopicAlreadyExists) {
		return errTopicExists
	}
	return answer.Errors[topic]
}

func (k *kafkaGo) deleteTopic(topic string) error {
	answer, err := k.inner.DeleteTopics(context.Background(), &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

func (k *kafkaGo) topics() ([]string, error) {
	answer, err := k.inner.Metadata(context.Background(), &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, topic := range answer.Topics {
		names = append(names, topic.Name)
	}
	return names, nil
}

func (k *kafkaGo) topicID(string) (string, error) { return "", nil }

func (k *kafkaGo) ledPartitions(topic string) ([]int, error) {
	answer, err := k.inner.Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	var led []int
	for _, partition := range answer.Topics[0].Partitions {
		if partition.Leader.Port != 0 {
			led = append(led, partition.ID)
		}
	}
	slices.Sort(led)
	return led, nil
}

func (k *kafkaGo) growTopic(topic string, partitions int) error {
	answer, err := k.inner.CreatePartitions(context.Background(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(partitions)}},
	})
	if err != nil {
		return err
	}
	if errors.Is(answer.Errors[topic], kafka.InvalidPartitionNumber) {
		return errInvalidPartitions
	}
	return answer.Errors[topic]
}

func (k *kafkaGo) topicConfigs(topic string) (map[string]config, error) {
	all, err := k.configs(kafka.ResourceTypeTopic, topic)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		return nil, errUnknownTopic
	}
	return all, err
}

func (k *kafkaGo) brokerConfigs() (string, map[string]config, error) {
	answer, err := k.inner.Metadata(context.Background(), &kafka.MetadataRequest{})
	if err != nil {
		return "", nil, err
	}
	id := fmt.Sprint(answer.Brokers[0].ID)
	all, err := k.configs(kafka.ResourceTypeBroker, id)
	return id, all, err
}

func (k *kafkaGo) configs(kind kafka.ResourceType, name string) (map[string]config, error) {
	answer, err := k.inner.DescribeConfigs(context.Background(), &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kind, ResourceName: name}},
	})
	if err != nil {
		return nil, err
	}
	all := map[string]config{}
	for _, e := range answer.Resources[0].ConfigEntries {
		const sourceDefault = 5
		source := configSource(e.ConfigSource)
		all[e.ConfigName] = config{e.ConfigValue, source, source == sourceDefault, e.ReadOnly}
	}
	return all, answer.Resources[0].Error
}

func (k *kafkaGo) setConfig(topic, key, value string) error {
	answer, err := k.inner.IncrementalAlterConfigs(context.Background(), &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic,
			ResourceName: topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{
				Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet,
			}},
		}},
	})
	if err != nil {
		return err
	}
	return answer.Resources[0].Error
}

func (k *kafkaGo) deleteRecords(string, int64) (int64, error) {
	return noOffset, notApplicable("has no call to delete records")
}

func (k *kafkaGo) replica(string) (replica, error) {
	return replica{}, notApplicable("has no call to describe log directories")
}

func (k *kafkaGo) offset(topic string, at int64) (int64, error) {
	switch at {
	case latest:
		offsets, err := k.listOffset(topic, kafka.LastOffsetOf(0))
		return offsets.LastOffset, err
	case earliest:
		// Its Client files the answer under the timestamp -1 that a broker sends: as the last offset.
		offsets, err := k.listOffset(topic, kafka.FirstOffsetOf(0))
		return max(offsets.FirstOffset, offsets.LastOffset), err
	case maxTimestamp:
		return noOffset, notApplicable("does not list the offset of the largest timestamp")
	}
	offsets, err := k.listOffset(topic, kafka.TimeOffsetOf(0, time.UnixMilli(at)))
	for offset := range offsets.Offsets {
		return offset, err
	}
	return noOffset, err
}

func (k *kafkaGo) listOffset(topic string, asked kafka.OffsetRequest) (kafka.PartitionOffsets, error) {
	request := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {asked}}}
	answer, err := k.inner.ListOffsets(context.Background(), request)
	for closed := 0; errors.Is(err, io.ErrUnexpectedEOF) && closed < 5; closed++ {
		// That a pooled connection is closed the Client learns, and tells, at the next request only.
		answer, err = k.inner.ListOffsets(context.Background(), request)
	}
	if err != nil {
		return kafka.PartitionOffsets{}, err
	}
	offsets := answer.Topics[topic][0]
	return offsets, offsets.Error
}

var kafkaGoCodecs = map[string]kafka.Compression{
	"gzip":   kafka.Gzip,
	"snappy": kafka.Snappy,
	"lz4":    kafka.Lz4,
	"zstd":   kafka.Zstd,
}

func (k *kafkaGo) newProducer(topic string, options producerOptions) (producer, error) {
	p := &kafkaGoProducer{transport: newTransport()}
	p.inner = &kafka.Writer{
		Addr:                   k.address,
		Topic:                  topic,
		Balancer:               kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(int) }),
		RequiredAcks:           kafka.RequireAll,
		Compression:            kafkaGoCodecs[options.codec],
		BatchTimeout:           max(options.linger, 20*time.Millisecond),
		Transport:              p.transport,
		AllowAutoTopicCreation: true,
		Completion: func(messages []kafka.Message, err error) {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			for _, m := range messages {
				if err == nil {
					p.completed = append(p.completed, m.Offset)
				}
			}
		},
	}
	if options.maxBatchBytes > 0 {
		p.inner.BatchBytes = int64(options.maxBatchBytes)
	}
	if options.patient {
		p.inner.MaxAttempts = 600
		p.inner.WriteBackoffMax = 200 * time.Millisecond
	}
	return p, nil
}

type kafkaGoProducer struct {
	inner     *kafka.Writer
	transport *kafka.Transport
	mutex     sync.Mutex
	completed []int64
}

func (p *kafkaGoProducer) send(records ...record) ([]int64, error) {
	ctx, cancel := withPatience()
	defer cancel()
	var messages []kafka.Message
	for _, r := range records {
		message := kafka.Message{Key: r.key, Value: r.value, WriterData: r.partition}
		for _, h := range r.headers {
			message.Headers = append(message.Headers, kafka.Header{Key: h.key, Value: h.value})
		}
		if r.timestamp != 0 {
			message.Time = time.UnixMilli(r.timestamp)
		}
		messages = append(messages, message)
	}
	err := p.inner.WriteMessages(ctx, messages...)
	// A topic that is being created is the caller's affair, says its documentation.
	for err == kafka.UnknownTopicOrPartition || err == kafka.LeaderNotAvailable {
		time.Sleep(50 * time.Millisecond) // between two looks
		err = p.inner.WriteMessages(ctx, messages...)
	}
	var refused kafka.WriteErrors
	if errors.As(err, &refused) && errors.Is(refused[0], kafka.MessageSizeTooLarge) {
		return nil, errMessageTooLarge
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	offsets := p.completed
	p.completed = nil
	return offsets, err
}

func (p *kafkaGoProducer) close() error {
	defer p.transport.CloseIdleConnections()
	return p.inner.Close()
}

func (k *kafkaGo) newConsumer(topic string, options consumerOptions) (consumer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &kafkaGoConsumer{funnel: newFunnel(), from: k, topic: topic, ctx: ctx, cancel: cancel}
	if options.follow {
		c.whileOpen(c.readNewPartitions)
		return c, nil
	}
	for _, partition := range options.partitionsOrFirst() {
		c.add(partition, options.from)
	}
	timeout := time.After(patience)
	for _, located := range c.located {
		select {
		case <-located:
		case <-timeout:
			return nil, errors.Join(errors.New("the reader found no position"), c.close())
		}
	}
	return c, nil
}

type kafkaGoConsumer struct {
	*funnel
	from    *kafkaGo
	topic   string
	ctx     context.Context
	cancel  context.CancelFunc
	located []<-chan struct{} // of the readers, by partition
}

// A Reader reads one partition; only a group takes up new ones.
func (c *kafkaGoConsumer) readNewPartitions() error {
	led, err := c.from.ledPartitions(c.topic)
	for partition := len(c.located); partition < len(led); partition++ {
		c.add(partition, earliest)
	}
	return err
}

func (c *kafkaGoConsumer) add(partition int, from int64) {
	located := make(chan struct{})
	c.located = append(c.located, located)
	var once sync.Once
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:   []string{c.from.bootstrap()},
		Topic:     c.topic,
		Partition: partition,
		MaxWait:   50 * time.Millisecond,
		// Only its log tells that the reader has looked its position up.
		Logger: kafka.LoggerFunc(func(format string, _ ...any) {
			if strings.Contains(format, "is seeking to offset") {
				once.Do(func() { close(located) })
			}
		}),
		ErrorLogger: kafka.LoggerFunc(func(string, ...any) {}),
	})
	// kafka-go's LastOffset and FirstOffset are the protocol's numbers.
	check(reader.SetOffset(from))
	c.sources.Go(func() {
		defer reader.Close()
		for {
			m, err := reader.ReadMessage(c.ctx)
			switch {
			case c.ctx.Err() != nil:
				return
			case err != nil:
				// Tried again; the patience of `read` ends what never recovers.
				fmt.Fprintf(os.Stderr, "%v\n", err)
			case !c.put(arrival{record: kafkaGoRecord(m)}):
				return
			}
		}
	})
}

func kafkaGoRecord(m kafka.Message) record {
	got := record{
		key: m.Key, value: m.Value,
		timestamp: m.Time.UnixMilli(), partition: m.Partition, offset: m.Offset,
	}
	for _, h := range m.Headers {
		got.headers = append(got.headers, header{h.Key, h.Value})
	}
	return got
}

func (c *kafkaGoConsumer) close() error {
	close(c.closed)
	c.cancel()
	c.sources.Wait()
	return nil
}
