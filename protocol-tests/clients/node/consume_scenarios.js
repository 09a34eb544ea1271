'use strict'

const { equal } = require('./check')
const { send, readFrom, values, checkValues } = require('./records')

// One batch for each timestamp, base + it.
async function sendAt(client, topic, base, ...timestamps) {
  await client.createTopic(topic)
  const producer = await client.producer()
  const sent = timestamps.map(at => ({ value: Buffer.from(`at ${at}`), timestamp: String(base + at) }))
  for (const r of sent) await producer.send(topic, [r])
  await producer.close()
  return sent
}

module.exports = {
  async 'consume-earliest'(client, topic) {
    await client.createTopic(topic)
    const sent = values('a', 'b', 'c')
    await send(client, topic, sent.slice(0, 2))
    await send(client, topic, sent.slice(2))
    checkValues(await readFrom(client, topic, 'earliest', 3), 0, sent)
  },

  async 'consume-latest'(client, topic) {
    await client.createTopic(topic)
    await send(client, topic, values('before 0', 'before 1'))
    const consumer = await client.consumer(topic, 'latest')
    const after = values('after 2', 'after 3')
    await send(client, topic, after)
    checkValues(await consumer.read(2), 2, after)
    await consumer.close()
  },

  async 'consume-from-offset'(client, topic) {
    await client.createTopic(topic)
    const sent = values('0', '1', '2', '3', '4')
    await send(client, topic, sent)
    checkValues(await readFrom(client, topic, 3, 2), 3, sent.slice(3))
  },

  // The answer is the first offset whose timestamp is not below the one asked for.
  async 'consume-from-timestamp'(client, topic) {
    const base = Date.now() - 60_000
    const sent = await sendAt(client, topic, base, 1000, 3000, 2000, 4000)
    const end = 4
    for (const [at, offset] of [[0, 0], [1000, 0], [1001, 1], [3001, 3], [4001, end]]) {
      equal(await client.offsetAt(topic, base + at), offset, `first offset at or after ${at}`)
    }
    const from = await client.offsetAt(topic, base + 2500)
    checkValues(await readFrom(client, topic, from, 3), 1, sent.slice(1))
    return 'gives the end offset where no record is that young'
  },

  async 'list-offsets'(client, topic) {
    const base = Date.now() - 60_000
    await sendAt(client, topic, base, 1000, 3000, 2000)
    equal(await client.offsets(topic), { earliest: 0, latest: 3 }, 'earliest and latest')
    equal(await client.offsetAt(topic, base + 1500), 1, 'first at or after 1500')
    return 'does not list the offset of the largest timestamp'
  },
}
