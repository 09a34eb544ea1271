'use strict'
// The scenarios of ../README.md with kafkajs.

const { Client } = require('./client')
const { NotApplicable } = require('./check')
const { readFormats } = require('./format_scenarios')
const { serveMembers } = require('./members')

const SCENARIO_DEADLINE_MS = 200_000

const scenarios = {
  ...require('./topic_scenarios'),
  ...require('./produce_scenarios'),
  ...require('./consume_scenarios'),
  ...require('./admin_scenarios'),
  ...require('./format_scenarios').scenarios,
  ...require('./restart_scenarios'),
}

function usage() {
  console.error(
    'usage: --bootstrap HOST:PORT --prefix UNIQUE [--scenario NAME]... [--read-topics TOPIC,TOPIC,...] [--members]'
  )
  process.exit(2)
}

function parse(words) {
  const args = { scenario: [], members: words.at(-1) === '--members' }
  if (args.members) words = words.slice(0, -1)
  for (let i = 0; i < words.length; i += 2) {
    const [option, value] = words.slice(i, i + 2)
    if (value === undefined) usage()
    if (option === '--scenario' && scenarios[value]) args.scenario.push(value)
    else if (['--bootstrap', '--prefix', '--read-topics'].includes(option)) args[option.slice(2)] = value
    else usage()
  }
  if (!args.bootstrap || !args.prefix) usage()
  return args
}

// Prints the line of `name`; what misses the deadline is left behind.
async function report(name, run) {
  let timer
  const deadline = new Promise((_, reject) => {
    const late = () => reject(new Error(`not done within ${SCENARIO_DEADLINE_MS} ms`))
    timer = setTimeout(late, SCENARIO_DEADLINE_MS)
  })
  try {
    const detail = await Promise.race([run(), deadline])
    console.log(`${name}\tok\t${detail ?? ''}`)
  } catch (e) {
    if (e instanceof NotApplicable) {
      console.log(`${name}\tn/a\t${e.message}`)
    } else {
      console.error(e)
      console.log(`${name}\tfail\t${String(e).replace(/\s+/g, ' ')}`)
    }
  } finally {
    clearTimeout(timer)
  }
}

async function main() {
  const args = parse(process.argv.slice(2))
  const client = await Client.connect(args.bootstrap)
  if (args.members) {
    await serveMembers(client)
  } else if (args['read-topics']) {
    for (const topic of args['read-topics'].split(',')) {
      await report(topic, () => readFormats(client, topic))
    }
  } else {
    const byDefault = Object.keys(scenarios).filter(name => !name.startsWith('restart-'))
    for (const name of args.scenario.length > 0 ? args.scenario : byDefault) {
      await report(name, () => scenarios[name](client, `${args.prefix}-${name}`))
    }
  }
  // What was left behind must not keep the process.
  process.exit(0)
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
