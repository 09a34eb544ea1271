'use strict'

const { createCipheriv } = require('node:crypto')
const { equal, refusedAs } = require('./check')
const { send, readAll, values, numbered, checkValues, consecutive } = require('./records')

// A lone record with a value of this size makes a batch of 1048588 bytes: max.message.bytes.
const LARGEST_VALUE = 1048516

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

async function codec(client, topic, name) {
  await client.createTopic(topic)
  const sent = numbered(200)
  equal(await send(client, topic, sent, { codec: name }), consecutive(200), 'acknowledged offsets')
  checkValues(await readAll(client, topic, sent.length), 0, sent)
}

// The same bytes every time, which no codec makes smaller.
function incompressible(size, seed) {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(size))
}

module.exports = {
  async 'produce-consume'(client, topic) {
    await client.createTopic(topic)
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const bytes = t => Buffer.from(t)
    // The headers are an object: a key that comes twice is a list at the place of the first.
    const headers = { twice: [bytes('1'), bytes('2')], other: bytes('x'), empty: bytes('') }
    const samples = [
      { key: bytes('key'), value: bytes('value'), headers },
      { key: null, value: bytes('no key'), headers: {} },
      { key: bytes('no value'), value: null, headers: {} },
      { key: bytes(''), value: bytes(''), headers: {} },
      { key: null, value: null, headers: {} },
      { key: Buffer.from([0, 255]), value: everyByte, headers: {} },
    ]
    const base = Date.now() - 60_000
    const sent = samples.map((s, i) => ({ ...s, timestamp: String(base + i) }))
    equal(await send(client, topic, sent), consecutive(sent.length), 'acknowledged offsets')
    for (const [i, got] of (await readAll(client, topic, samples.length)).entries()) {
      const wanted = { partition: 0, offset: i, timestamp: base + i, isAppendTime: false, ...samples[i] }
      equal(got, wanted, `record ${i}`)
    }
    return 'sends no null headers and groups headers by key'
  },

  ...Object.fromEntries(
    CODECS.map(name => [`codec-${name}`, (client, topic) => codec(client, topic, name)])
  ),

  async 'idempotent-produce'(client, topic) {
    await client.createTopic(topic)
    const sent = numbered(5000)
    const producer = await client.producer({ idempotent: true })
    const offsets = []
    for (let i = 0; i < sent.length; i += 20) {
      offsets.push(...(await producer.send(topic, sent.slice(i, i + 20))))
    }
    equal(offsets, consecutive(sent.length), 'acknowledged offsets')
    await producer.close()
    checkValues(await readAll(client, topic, sent.length), 0, sent)
  },

  async 'record-at-limit'(client, topic) {
    await client.createTopic(topic)
    const sent = [{ value: Buffer.alloc(LARGEST_VALUE, '0123456789abcdef') }]
    await send(client, topic, sent)
    checkValues(await readAll(client, topic, 1), 0, sent)
  },

  async 'record-too-large'(client, topic) {
    await client.createTopic(topic)
    const producer = await client.producer()
    const large = producer.send(topic, [{ value: Buffer.alloc(LARGEST_VALUE + 1) }])
    await refusedAs('MESSAGE_TOO_LARGE', large, 'one byte too much')
    const fits = values('fits')
    await producer.send(topic, fits)
    await producer.close()
    checkValues(await readAll(client, topic, 1), 0, fits)
  },

  async 'large-batches'(client, topic) {
    await client.createTopic(topic, 1, { 'max.message.bytes': '10485760' })
    const sent = [1, 2, 3, 4, 5].map(i => ({ value: incompressible(1_000_000, i) }))
    const lone = { value: incompressible(6_000_000, 6) }
    const producer = await client.producer()
    equal(await producer.send(topic, sent), consecutive(5), 'acknowledged offsets')
    equal(await producer.send(topic, [lone]), [5], 'acknowledged offset')
    await producer.close()
    checkValues(await readAll(client, topic, 6), 0, [...sent, lone])
  },
}
