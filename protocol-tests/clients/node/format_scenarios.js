'use strict'

const { equal } = require('./check')
const { send, readAll, numbered, consecutive } = require('./records')

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

// The table of ../README.md. The order of headers cannot be told, so none are sent.
function table(base) {
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const records = [
    ['key', 'value'],
    [null, 'no key'],
    ['no value', null],
    ['', ''],
    ['bytes', everyByte],
    [null, null],
    ...numbered(50).map((r, i) => [`key ${i}`, r.value]),
  ]
  // Record 6 of the table is about a header.
  const index = i => (i < 6 ? i : i + 1)
  const bytes = v => (v === null ? null : Buffer.from(v))
  return records.map(([key, value], i) => ({
    key: bytes(key),
    value: bytes(value),
    timestamp: String(base + index(i)),
  }))
}

async function formats(client, topic, codec) {
  await client.createTopic(topic)
  const sent = table(Date.now() - 60_000)
  equal(await send(client, topic, sent, { codec }), consecutive(sent.length), 'acknowledged offsets')
  for (const [i, r] of (await readAll(client, topic, sent.length)).entries()) {
    const got = { key: r.key, value: r.value, timestamp: String(r.timestamp) }
    equal(got, sent[i], `record ${i}`)
    equal([r.offset, r.headers], [i, {}], `offset and headers of record ${i}`)
  }
  return 'leaves out headers: it groups them by key'
}

// Prints every record of a topic that another client has written.
async function readFormats(client, topic) {
  const { latest } = await client.offsets(topic)
  for (const r of await readAll(client, topic, latest)) {
    const fields = [topic, r.offset, r.timestamp, hex(r.key), hex(r.value), printed(r.headers)]
    console.log(['record', ...fields].join('\t'))
  }
}

const hex = bytes => (bytes === null ? '-' : Buffer.from(bytes).toString('hex'))

function printed(headers) {
  const all = Object.entries(headers)
  // Where a key comes twice the order is lost.
  if (all.some(([, value]) => Array.isArray(value))) return '?'
  return all.map(([key, value]) => `${hex(key)}=${hex(value)}`).join()
}

module.exports = {
  readFormats,
  scenarios: Object.fromEntries(
    CODECS.map(codec => [`formats-${codec}`, (client, topic) => formats(client, topic, codec)])
  ),
}
