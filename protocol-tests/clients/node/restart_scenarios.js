'use strict'

const { createInterface } = require('node:readline')
const { equal } = require('./check')
const { readAll, numbered, checkValues, text } = require('./records')

// Asks for another broker process; the promise resolves when that serves.
function restart() {
  console.log('restart-broker')
  const lines = createInterface({ input: process.stdin })
  return new Promise((resolve, reject) => {
    lines.once('line', line => {
      lines.close()
      line === 'restarted' ? resolve() : reject(new Error(`instead of \`restarted\` came ${line}`))
    })
  })
}

module.exports = {
  async 'restart-produce'(client, topic) {
    await client.createTopic(topic)
    const producer = await client.producer({ idempotent: true })
    const acknowledged = [] // values by offset
    let sent = 0
    // Waiting for each send keeps one request in flight.
    const sendSome = async () => {
      const batch = Array.from({ length: 20 }, (_, i) => ({ value: String(sent + i) }))
      const offsets = await producer.send(topic, batch)
      offsets.forEach((offset, i) => (acknowledged[offset] = batch[i].value))
      sent += batch.length
    }
    while (sent < 500) await sendSome()
    let restarted = false
    const waiting = restart().then(() => (restarted = true))
    for (let after = 0; after < 500; ) {
      if (restarted) after += 20
      await sendSome()
    }
    await waiting
    await producer.close()
    const wanted = Array.from({ length: sent }, (_, i) => String(i))
    equal(acknowledged, wanted, 'values by acknowledged offset')
    const records = await readAll(client, topic, sent)
    equal(records.map(r => text(r.value)), wanted, 'values read')
  },

  async 'restart-consume'(client, topic) {
    await client.createTopic(topic)
    const producer = await client.producer()
    const sent = numbered(200)
    await producer.send(topic, sent.slice(0, 100))
    const consumer = await client.consumer(topic, 'earliest')
    checkValues(await consumer.read(100), 0, sent.slice(0, 100))
    const polling = consumer.read(100)
    await restart()
    await producer.send(topic, sent.slice(100))
    checkValues(await polling, 100, sent.slice(100))
    await consumer.close()
    await producer.close()
    equal((await client.offsets(topic)).latest, 200, 'end offset')
  },
}
