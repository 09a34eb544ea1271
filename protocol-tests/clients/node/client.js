'use strict'

const { ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const { PATIENCE_MS, waitUntil } = require('./check')
const codecs = require('./codecs')
const { Reader } = require('./reader')

// What the scenarios need of kafkajs. Offsets and timestamps (in ms) are numbers, and those of
// partition 0 where no partition is named.
class Client {
  static async connect(bootstrap) {
    const client = new Client(bootstrap)
    await client.admin.connect()
    return client
  }

  constructor(bootstrap) {
    this.bootstrap = bootstrap
    this.kafka = new Kafka({
      brokers: [bootstrap],
      logLevel: logLevel.NOTHING,
      connectionTimeout: 10_000,
      requestTimeout: 60_000,
      // By default it gives up after five attempts.
      retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 240 },
    })
    this.admin = this.kafka.admin()
  }

  // False if the topic exists.
  async createTopic(topic, partitions = 1, configs = {}) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const created = await this.admin.createTopics({
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
      timeout: PATIENCE_MS,
      waitForLeaders: false,
    })
    // Its own wait gives up where the broker does not know the topic yet, as Kafka for a moment.
    await waitUntil('the topic has leaders', async () => {
      const known = await this.ledPartitions(topic).catch(e => {
        if (e.type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw e
        return []
      })
      return known.length >= partitions
    })
    return created
  }

  async ledPartitions(topic) {
    const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] })
    const led = topics[0].partitions.filter(p => p.leader >= 0)
    return led.map(p => p.partitionId).sort((a, b) => a - b)
  }

  async offsets(topic) {
    const partitions = await this.admin.fetchTopicOffsets(topic)
    const { low, high } = partitions.find(p => p.partition === 0)
    return { earliest: Number(low), latest: Number(high) }
  }

  // The end offset where no record is that young.
  async offsetAt(topic, timestamp) {
    const partitions = await this.admin.fetchTopicOffsetsByTimestamp(topic, timestamp)
    return Number(partitions.find(p => p.partition === 0).offset)
  }

  async topicConfigs(topic) {
    return this.configs(ConfigResourceTypes.TOPIC, topic)
  }

  async configs(type, name) {
    const { resources } = await this.admin.describeConfigs({
      resources: [{ type, name }],
      includeSynonyms: false,
    })
    return Object.fromEntries(resources[0].configEntries.map(e => [e.configName, e]))
  }

  // Replaces all configs of the topic: kafkajs has no incremental call.
  alterConfigs(topic, configs) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }]
    return this.admin.alterConfigs({ validateOnly: false, resources })
  }

  async producer({ idempotent = false } = {}) {
    const inner = this.kafka.producer({
      idempotent,
      maxInFlightRequests: 1,
      metadataMaxAge: 500,
      allowAutoTopicCreation: true,
    })
    await inner.connect()
    return new Producer(inner)
  }

  // `start` is an offset, or 'earliest' or 'latest'.
  consumer(topic, start, partitions = [0]) {
    return Reader.open(this.bootstrap, topic, start, partitions)
  }
}

class Producer {
  constructor(inner) {
    this.inner = inner
  }

  // Sends `records` as one batch for each partition and returns the offsets of those in the
  // partition of the first. What goes to a partition that kafkajs does not know yet it drops.
  async send(topic, records, codec = 'none') {
    const messages = records.map(r => ({ partition: 0, ...r }))
    const answers = await this.inner.send({ topic, acks: -1, compression: codecs[codec], messages })
    const { partition } = messages[0]
    const count = messages.filter(m => m.partition === partition).length
    const answer = answers.find(a => a.partition === partition)
    return answer ? Array.from({ length: count }, (_, i) => Number(answer.baseOffset) + i) : []
  }

  close() {
    return this.inner.disconnect()
  }
}

module.exports = { Client }
