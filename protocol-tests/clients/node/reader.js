'use strict'
// kafkajs reads in groups only, and these programs use none. This reader drives the parts below its
// consumer: the cluster with its brokers and metadata, the Fetch request, the consumer's batches.

const Cluster = require('kafkajs/src/cluster')
const Batch = require('kafkajs/src/consumer/batch')
const LoggerConsole = require('kafkajs/src/loggers/console')
const socketFactory = require('kafkajs/src/network/socketFactory')
const { createLogger, LEVELS } = require('kafkajs/src/loggers')
const { aWhile, fail, PATIENCE_MS } = require('./check')

class Reader {
  static async open(bootstrap, topic, start, partitions) {
    const cluster = new Cluster({
      logger: createLogger({ level: LEVELS.NOTHING, logCreator: LoggerConsole }),
      socketFactory: socketFactory(),
      brokers: [bootstrap],
      connectionTimeout: 10_000,
      requestTimeout: 60_000,
      enforceRequestTimeout: true,
      metadataMaxAge: 500,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 240 },
    })
    const reader = new Reader(cluster, topic)
    await cluster.connect()
    await cluster.addTargetTopic(topic)
    await reader.add(start, partitions)
    return reader
  }

  constructor(cluster, topic) {
    this.cluster = cluster
    this.topic = topic
    this.positions = new Map() // next offset by partition
    this.arrived = []
  }

  async add(start, partitions) {
    const asked = partitions.map(partition => ({ partition }))
    let found = asked.map(p => ({ ...p, offset: start }))
    if (typeof start === 'string') {
      const [topic] = await this.cluster.fetchTopicsOffset([
        { topic: this.topic, fromBeginning: start === 'earliest', partitions: asked },
      ])
      found = topic.partitions
    }
    for (const { partition, offset } of found) this.positions.set(partition, Number(offset))
  }

  // Takes up the partitions that have come since, from their beginning.
  async readNewPartitions() {
    await this.cluster.refreshMetadataIfNecessary()
    const known = this.cluster.findTopicPartitionMetadata(this.topic).map(p => p.partitionId)
    const added = known.filter(partition => !this.positions.has(partition))
    if (added.length > 0) await this.add('earliest', added)
  }

  // The next `count` records; `follow` takes up new partitions on the way.
  async read(count, { follow = false } = {}) {
    const deadline = Date.now() + PATIENCE_MS
    while (this.arrived.length < count) {
      if (Date.now() > deadline) fail(`only ${this.arrived.length} of ${count} records arrived`)
      try {
        if (follow) await this.readNewPartitions()
        await this.poll()
      } catch (e) {
        // As the consumer does: the connection or the leader is gone.
        if (e.type === 'OFFSET_OUT_OF_RANGE' || e.retriable === false) throw e
        await aWhile(50)
        await this.cluster.refreshMetadata()
      }
    }
    return this.arrived.splice(0, count)
  }

  async poll() {
    const leaders = this.cluster.findLeaderForPartitions(this.topic, [...this.positions.keys()])
    for (const [nodeId, partitions] of Object.entries(leaders)) {
      const broker = await this.cluster.findBroker({ nodeId })
      const asked = partitions.map(partition => ({
        partition,
        fetchOffset: this.positions.get(partition),
        maxBytes: 1_048_576, // the consumer's default
      }))
      const { responses } = await broker.fetch({
        maxWaitTime: 50,
        isolationLevel: 0,
        topics: [{ topic: this.topic, partitions: asked }],
      })
      for (const partition of responses.flatMap(r => r.partitions)) this.take(partition)
    }
  }

  take(data) {
    const batch = new Batch(this.topic, this.positions.get(data.partition), data)
    for (const message of batch.messages) {
      this.positions.set(data.partition, Number(message.offset) + 1)
      this.arrived.push({
        partition: data.partition,
        offset: Number(message.offset),
        timestamp: Number(message.timestamp),
        isAppendTime: message.batchContext.timestampType === 1,
        key: message.key,
        value: message.value,
        headers: message.headers,
      })
    }
  }

  close() {
    return this.cluster.disconnect()
  }
}

module.exports = { Reader }
