'use strict'

const { isDeepStrictEqual, inspect } = require('node:util')

// How long anything may take, on a machine that is busy with other tests.
const PATIENCE_MS = 120_000

// Ends a scenario that the client cannot express; the message says why.
class NotApplicable extends Error {}

function fail(message) {
  throw new Error(message)
}

// Null, undefined and empty differ.
function equal(got, wanted, what) {
  if (!isDeepStrictEqual(got, wanted)) {
    const shorten = value => inspect(value, { breakLength: Infinity }).slice(0, 200)
    fail(`${what}: got ${shorten(got)}, wanted ${shorten(wanted)}`)
  }
}

const aWhile = ms => new Promise(resolve => setTimeout(resolve, ms))

async function waitUntil(what, condition) {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    if (Date.now() > deadline) fail(`still not: ${what}`)
    await aWhile(20) // between two looks at the condition
  }
}

// The error that `promise` fails with has a protocol error `type`, or one inside it has.
async function refusedAs(type, promise, what) {
  try {
    await promise
  } catch (e) {
    if (typesOf(e).includes(type)) return
    throw e
  }
  fail(`${what}: accepted`)
}

function typesOf(e) {
  if (!e) return []
  const inner = [e.cause, ...(e.errors ?? []), ...(e.partitions ?? []).map(p => p.error)]
  return [e.type, ...inner.flatMap(typesOf)]
}

module.exports = { PATIENCE_MS, NotApplicable, fail, equal, waitUntil, aWhile, refusedAs }
