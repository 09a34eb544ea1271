'use strict'

const { ConfigResourceTypes } = require('kafkajs')
const { equal, fail, NotApplicable, refusedAs, waitUntil } = require('./check')
const { send, readFrom, readAll, values, numbered, checkValues } = require('./records')

const SOURCE_TOPIC = 1
const SOURCE_DEFAULT = 5

// `configs` are all of the topic's own. Returns when they are shown: a real Kafka applies them after
// the answer.
async function alter(client, topic, configs) {
  await client.alterConfigs(topic, configs)
  await waitUntil(`${JSON.stringify(configs)} is shown`, async () => {
    const shown = await client.topicConfigs(topic)
    return Object.entries(configs).every(([key, value]) => shown[key].configValue === value)
  })
}

module.exports = {
  async 'describe-cluster'(client) {
    const { brokers, controller, clusterId } = await client.admin.describeCluster()
    equal(brokers.map(b => `${b.host}:${b.port}`), [client.bootstrap], 'addresses')
    equal(controller, brokers[0].nodeId, 'controller')
    if (!clusterId) fail('no cluster id')
    equal((await client.admin.describeCluster()).clusterId, clusterId, 'cluster id, asked again')
  },

  async 'describe-configs'(client, topic) {
    await client.createTopic(topic, 1, { 'retention.ms': '86400000' })
    const configs = await client.topicConfigs(topic)
    const shown = e => [e.configValue, e.configSource, e.readOnly]
    equal(shown(configs['retention.ms']), ['86400000', SOURCE_TOPIC, false], 'retention.ms')
    equal(shown(configs['segment.bytes']), ['1073741824', SOURCE_DEFAULT, false], 'segment.bytes')
    const { brokers } = await client.admin.describeCluster()
    const id = String(brokers[0].nodeId)
    const nodeId = (await client.configs(ConfigResourceTypes.BROKER, id))['node.id']
    equal([nodeId.configValue, nodeId.readOnly], [id, true], 'node.id')
    const absent = client.topicConfigs(`${topic}-absent`)
    await refusedAs('UNKNOWN_TOPIC_OR_PARTITION', absent, 'configs of an absent topic')
  },

  async 'alter-retention'(client, topic) {
    await client.createTopic(topic, 1, { 'segment.ms': '3600000' })
    const timestamp = String(Date.now() - 2 * 3_600_000)
    await send(client, topic, values('old 0', 'old 1', 'old 2').map(r => ({ ...r, timestamp })))
    const now = values('new 3', 'new 4')
    await send(client, topic, now)
    await alter(client, topic, { 'segment.ms': '3600000', 'retention.ms': '3600000' })
    await waitUntil('the old records are gone', async () => (await client.offsets(topic)).earliest === 3)
    equal((await client.offsets(topic)).latest, 5, 'end offset')
    checkValues(await readFrom(client, topic, 'earliest', 2), 3, now)
  },

  async 'alter-timestamp-type'(client, topic) {
    await client.createTopic(topic)
    const began = Date.now()
    const timestamp = String(began - 3_600_000)
    await send(client, topic, [{ value: 'create time', timestamp }])
    await alter(client, topic, { 'message.timestamp.type': 'LogAppendTime' })
    await send(client, topic, [{ value: 'append time', timestamp }])
    const [first, second] = await readAll(client, topic, 2)
    equal(first.timestamp, Number(timestamp), 'timestamp of the producer')
    if (second.timestamp < began || second.timestamp > Date.now()) {
      fail(`timestamp of the broker: ${second.timestamp} is not between ${began} and now`)
    }
    equal([first.isAppendTime, second.isAppendTime], [false, true], 'timestamp types')
  },

  async 'alter-compression'(client, topic) {
    await client.createTopic(topic)
    const sent = numbered(200)
    await send(client, topic, sent.slice(0, 100))
    await alter(client, topic, { 'compression.type': 'gzip' })
    await send(client, topic, sent.slice(100))
    checkValues(await readAll(client, topic, sent.length), 0, sent)
  },

  async 'alter-max-message-bytes'(client, topic) {
    await client.createTopic(topic)
    const sent = values('x'.repeat(5000))
    const producer = await client.producer()
    await alter(client, topic, { 'max.message.bytes': '2000' })
    await refusedAs('MESSAGE_TOO_LARGE', producer.send(topic, sent), '5,000 bytes where 2,000 are allowed')
    await alter(client, topic, { 'max.message.bytes': '1048588' })
    equal(await producer.send(topic, sent), [0], 'acknowledged offset')
    await producer.close()
    checkValues(await readAll(client, topic, 1), 0, sent)
  },

  async 'delete-records'(client, topic) {
    await client.createTopic(topic)
    const sent = values('0', '1', '2', '3', '4')
    await send(client, topic, sent)
    const before = offset =>
      client.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
    await client.offsets(topic) // its call knows the leaders of topics that were asked for before
    await before('3')
    equal((await client.offsets(topic)).earliest, 3, 'first offset')
    checkValues(await readFrom(client, topic, 'earliest', 2), 3, sent.slice(3))
    await refusedAs('OFFSET_OUT_OF_RANGE', readFrom(client, topic, 0, 1), 'reading from offset 0')
    await before('-1')
    equal(await client.offsets(topic), { earliest: 5, latest: 5 }, 'offsets after all were deleted')
    return 'does not tell the low watermark'
  },

  async 'describe-log-dirs'() {
    throw new NotApplicable('has no call to describe log directories')
  },
}
