'use strict'

const { equal, fail, refusedAs, waitUntil } = require('./check')
const { readAll, send, text, values, checkValues } = require('./records')

async function waitForPartitions(client, topic, count) {
  const wanted = Array.from({ length: count }, (_, i) => i)
  await waitUntil(`${count} partitions in the metadata`, async () => {
    const led = await client.ledPartitions(topic)
    return led.join() === wanted.join()
  })
}

module.exports = {
  async 'create-topic'(client, topic) {
    equal(await client.createTopic(topic, 3), true, 'created')
    await waitForPartitions(client, topic, 3)
    equal(await client.createTopic(topic, 3), false, 'created again')
  },

  async 'auto-create'(client, topic) {
    const sent = values('first try')
    equal(await send(client, topic, sent), [0], 'acknowledged offsets')
    checkValues(await readAll(client, topic, 1), 0, sent)
  },

  async 'delete-and-recreate'(client, topic) {
    await client.createTopic(topic)
    await send(client, topic, values('old 0', 'old 1', 'old 2'))
    await readAll(client, topic, 3)
    await client.admin.deleteTopics({ topics: [topic] })
    await waitUntil('topic gone', async () => !(await client.admin.listTopics()).includes(topic))
    await client.createTopic(topic)
    const sent = values('new 0')
    await send(client, topic, sent)
    checkValues(await readAll(client, topic, 1), 0, sent)
    return 'does not know topic ids'
  },

  async 'create-partitions'(client, topic) {
    await client.createTopic(topic)
    const producer = await client.producer()
    const consumer = await client.consumer(topic, 'earliest')
    await producer.send(topic, [{ value: 'to partition 0' }])
    const records = await consumer.read(1)
    const grow = () => client.admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    await grow()
    for (const partition of [1, 2]) {
      await waitUntil(`the producer knows partition ${partition}`, async () => {
        const offsets = await producer.send(topic, [{ partition, value: `to partition ${partition}` }])
        return offsets.length === 1
      })
    }
    records.push(...(await consumer.read(2, { follow: true })))
    records.sort((a, b) => a.partition - b.partition)
    for (const [i, r] of records.entries()) {
      equal([r.partition, r.offset, text(r.value)], [i, 0, `to partition ${i}`], 'record')
    }
    await consumer.close()
    await producer.close()
    await refusedAs('INVALID_PARTITIONS', grow(), 'not more than there are')
  },

  async 'many-partitions'(client, topic) {
    const partitions = 100
    const each = 10
    await client.createTopic(topic, partitions)
    await waitForPartitions(client, topic, partitions)
    // What is refused for one partition is sent again for all: without idempotence there are doubles.
    const producer = await client.producer({ idempotent: true })
    for (let i = 0; i < each; i++) {
      const records = Array.from({ length: partitions }, (_, partition) => ({ partition, value: `record ${i}` }))
      await producer.send(topic, records)
    }
    await producer.close()
    const all = Array.from({ length: partitions }, (_, i) => i)
    const consumer = await client.consumer(topic, 'earliest', all)
    const next = new Array(partitions).fill(0)
    for (const r of await consumer.read(partitions * each)) {
      equal(r.offset, next[r.partition], `offset in partition ${r.partition}`)
      equal(text(r.value), `record ${r.offset}`, 'value')
      next[r.partition]++
    }
    await consumer.close()
    if (next.some(n => n !== each)) fail('records are missing')
  },
}
