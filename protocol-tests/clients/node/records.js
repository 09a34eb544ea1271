'use strict'
// What several scenarios do with records.

const { equal } = require('./check')

// Sends `records` with a producer of their own and returns the offsets.
async function send(client, topic, records, { codec, ...options } = {}) {
  const producer = await client.producer(options)
  const offsets = await producer.send(topic, records, codec)
  await producer.close()
  return offsets
}

async function readFrom(client, topic, start, count) {
  const consumer = await client.consumer(topic, start)
  const records = await consumer.read(count)
  await consumer.close()
  return records
}

// Partition 0, which must hold exactly `count` records.
async function readAll(client, topic, count) {
  equal((await client.offsets(topic)).latest, count, 'end offset')
  return readFrom(client, topic, 'earliest', count)
}

const values = (...texts) => texts.map(t => ({ value: Buffer.from(t) }))

// Values that every codec makes smaller.
const numbered = count =>
  values(...Array.from({ length: count }, (_, i) => `record ${i} ${'abcdefgh'.repeat(20)}`))

// The values of `sent` in order, at consecutive offsets from `first`.
function checkValues(got, first, sent) {
  equal(got.length, sent.length, 'number of records')
  for (const [i, r] of got.entries()) {
    equal(r.offset, first + i, 'offset')
    equal(r.value, sent[i].value, `value at ${r.offset}`)
  }
}

const consecutive = count => Array.from({ length: count }, (_, i) => i)
const text = bytes => bytes.toString()

module.exports = { send, readFrom, readAll, values, numbered, checkValues, consecutive, text }
