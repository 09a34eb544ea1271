package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What the scenarios want to be told; every other error fails them.
var (
	errTopicExists       = errors.New("the topic exists")
	errUnknownTopic      = errors.New("the topic is unknown")
	errInvalidPartitions = errors.New("the number of partitions is invalid")
	errOffsetOutOfRange  = errors.New("the offset is out of range")
	// The broker's MESSAGE_TOO_LARGE; a refusal by the client itself is another error.
	errMessageTooLarge = errors.New("the broker finds the message too large")
)

// Besides timestamps: what `offset` may be asked for, and the first two as starts of consumers.
const (
	latest       = -1
	earliest     = -2
	maxTimestamp = -3
	// noOffset is the answer where there is none, or where the client does not tell.
	noOffset = -1
)

// client is what the scenarios need of a library. Offsets and timestamps (in ms) are those of
// partition 0. A call that the library cannot express returns notApplicable.
type client interface {
	abilities() abilities
	bootstrap() string
	cluster() (cluster, error)
	createTopic(topic string, partitions int, configs map[string]string) error // errTopicExists
	deleteTopic(topic string) error
	topics() ([]string, error)
	topicID(topic string) (string, error) // "" where the library does not know topic ids
	// ledPartitions are the numbers of the partitions that have a leader, in order.
	ledPartitions(topic string) ([]int, error)
	growTopic(topic string, partitions int) error                   // errInvalidPartitions
	topicConfigs(topic string) (map[string]config, error)           // errUnknownTopic
	brokerConfigs() (broker string, all map[string]config, e error) // of the one broker, with its id
	setConfig(topic, key, value string) error
	deleteRecords(topic string, before int64) (lowWatermark int64, e error)
	replica(topic string) (replica, error)
	offset(topic string, at int64) (int64, error)
	newProducer(topic string, options producerOptions) (producer, error)
	// newConsumer returns once the position is found: records sent later are read from there.
	newConsumer(topic string, options consumerOptions) (consumer, error) // errOffsetOutOfRange
}

type producer interface {
	// send waits for all acknowledgements and returns the offsets; errMessageTooLarge.
	send(records ...record) ([]int64, error)
	close() error
}

type consumer interface {
	// read returns the next records; errOffsetOutOfRange.
	read(count int) ([]record, error)
	close() error
}

type abilities struct {
	noIdempotence   string // the reason, if so
	timestampType   bool
	readOnlyConfigs bool
	clusterID       bool
	noNulls         bool   // null is not told from empty when read
	noAppendTime    string // why the broker's timestamps are not seen, if so
	manyPartitions  string // how a consumer of many partitions is not one, if so
}

type cluster struct {
	id         string
	brokers    []string // addresses
	controller string   // its address
}

type config struct {
	value     string
	source    configSource
	isDefault bool
	readOnly  bool
}

// configSource is the protocol's number.
type configSource int8

const sourceTopic configSource = 1

type replica struct {
	size, offsetLag int64
	future          bool
}

type producerOptions struct {
	codec      string // "" is none
	idempotent bool
	// Many batches of a few records, where otherwise all that is sent together is one batch.
	smallBatches bool
	// Let batches of up to this many bytes through, for the broker to judge; 0 is the default.
	maxBatchBytes int
	// How long to collect records for a batch; 0 is 20 ms.
	linger time.Duration
	// Outlive a broker's restart.
	patient bool
}

type consumerOptions struct {
	from       int64 // an offset, earliest or latest
	partitions []int // none is partition 0
	// Read all partitions there are, and those that come, from their beginning.
	follow bool
}

func (o consumerOptions) partitionsOrFirst() []int {
	if o.partitions == nil {
		return []int{0}
	}
	return o.partitions
}

type record struct {
	key, value []byte // nil is null
	headers    []header
	timestamp  int64
	appendTime bool // the timestamp is the broker's, where the client tells
	partition  int
	offset     int64
}

// String is as `--read-topics` prints records: it tells null from empty.
func (r record) String() string {
	var headers []string
	for _, h := range r.headers {
		headers = append(headers, hexadecimal([]byte(h.key))+"="+hexadecimal(h.value))
	}
	return fmt.Sprintf("%d\t%d\t%s\t%s\t%s",
		r.offset, r.timestamp, hexadecimal(r.key), hexadecimal(r.value), strings.Join(headers, ","))
}

func hexadecimal(bytes []byte) string {
	if bytes == nil {
		return "-"
	}
	return hex.EncodeToString(bytes)
}

type header struct {
	key   string
	value []byte
}
