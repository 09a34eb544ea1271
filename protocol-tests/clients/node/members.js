'use strict'
// Members of consumer groups in one process, as ../README.md tells under "Group members".

const readline = require('node:readline')
const { AssignerProtocol } = require('kafkajs')
const { NotApplicable } = require('./check')

const tell = (...words) => console.log(words.join('\t'))
const spelled = places => places.map(([topic, partition]) => `${topic}:${partition}`).sort().join(',')
const placesOf = byTopic => Object.entries(byTopic).flatMap(([t, all]) => all.map(p => [t, p]))

class Member {
  static async open(client, name, group, options) {
    if (options.assignor === 'cooperative') throw new NotApplicable('has no cooperative assignor')
    if (options.instance) throw new NotApplicable('has no static members')
    if (options.pattern) throw new NotApplicable('looks for the topics of a pattern only when it subscribes')
    const member = new Member(client, name, group)
    await member.consumer.connect()
    await member.consumer.subscribe({
      topics: options.topics.split(','),
      fromBeginning: options.reset !== 'latest',
    })
    await member.consumer.run({
      autoCommit: options.commits === 'auto',
      autoCommitInterval: 100,
      eachMessage: async message => member.take(message),
    })
    return member
  }

  constructor(client, name, groupId) {
    this.name = name
    this.owned = []
    this.read = new Map() // what to commit, by place
    this.consumer = client.kafka.consumer({
      groupId,
      sessionTimeout: 6000,
      heartbeatInterval: 300,
      metadataMaxAge: 500,
      maxWaitTimeInMs: 50,
      allowAutoTopicCreation: false,
    })
    const { GROUP_JOIN, REBALANCING, STOP } = this.consumer.events
    this.consumer.on(GROUP_JOIN, e => {
      this.owned = placesOf(e.payload.memberAssignment)
      tell(name, 'assigned', spelled(this.owned))
    })
    this.consumer.on(REBALANCING, () => this.revoke())
    this.consumer.on(STOP, () => this.revoke())
  }

  revoke() {
    tell(this.name, 'revoked', spelled(this.owned))
    this.owned = []
  }

  take({ topic, partition, message }) {
    const offset = String(Number(message.offset) + 1)
    this.read.set(`${topic}:${partition}`, { topic, partition, offset })
    tell(this.name, 'record', topic, partition, message.offset, message.value)
  }

  async obey(command, [how, number, offset]) {
    const place = { topic: how, partitions: [Number(number)] }
    switch (command) {
      case 'close':
        await this.consumer.disconnect()
        return tell(this.name, 'closed')
      case 'commit':
        return this.commit(how)
      case 'pause':
        this.consumer.pause([place])
        return tell(this.name, 'paused')
      case 'resume':
        this.consumer.resume([place])
        return tell(this.name, 'resumed')
      case 'seek':
        this.consumer.seek({ topic: how, partition: Number(number), offset })
        return tell(this.name, 'sought')
      default:
        throw new Error(`no such command: ${command}`)
    }
  }

  // Only for what it still owns.
  async commit(how) {
    const owned = this.owned.map(([topic, partition]) => this.read.get(`${topic}:${partition}`))
    const committing = this.consumer.commitOffsets(owned.filter(Boolean)).then(() => tell(this.name, 'committed'))
    if (how === 'sync') return committing
    committing.catch(e => failed(this.name, e))
  }
}

function failed(name, e) {
  console.error(e)
  tell(name, 'failed', String(e).replace(/\s+/g, ' '))
}

const calls = {
  async list(client, name) {
    const { groups } = await client.admin.listGroups()
    tell(name, 'groups', groups.map(g => g.groupId).join(','))
  },

  async describe(client, name, group) {
    const { groups } = await client.admin.describeGroups([group])
    const { state, protocol, members } = groups[0]
    const owned = members.map(m => {
      const decoded = AssignerProtocol.MemberAssignment.decode(m.memberAssignment)
      return spelled(placesOf(decoded ? decoded.assignment : {}))
    })
    tell(name, 'described', state, protocol, ...owned)
  },

  async offsets(client, name, group) {
    const topics = await client.admin.fetchOffsets({ groupId: group })
    const all = topics.flatMap(t => t.partitions.map(p => `${t.topic}:${p.partition}=${p.offset}`))
    tell(name, 'offsets', all.sort().join(','))
  },

  async 'alter-offsets'(client, name, group, topic, partition, offset) {
    await client.admin.setOffsets({ groupId: group, topic, partitions: [{ partition: Number(partition), offset }] })
    tell(name, 'done')
  },

  async 'delete-offsets'() {
    throw new NotApplicable('does not delete offsets')
  },

  async 'delete-group'(client, name, group) {
    try {
      await client.admin.deleteGroups([group])
    } catch (e) {
      const type = e.groups?.[0]?.error?.type
      if (!type) throw e
      return tell(name, 'refused', type)
    }
    tell(name, 'done')
  },

  async 'remove-member'() {
    throw new NotApplicable('has no static members')
  },
}

// Runs commands from standard input until it ends, those of one member one after the other.
async function serveMembers(client) {
  const members = new Map() // promises of what is done for the member so far
  const attempt = async (name, action) => {
    try {
      return await action()
    } catch (e) {
      if (e instanceof NotApplicable) tell(name, 'n/a', e.message)
      else failed(name, e)
    }
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, name, ...rest] = line.split('\t')
    if (command === 'open') {
      const [group, ...pairs] = rest
      const options = Object.fromEntries(pairs.map(pair => pair.split(/=(.*)/s)))
      members.set(name, attempt(name, () => Member.open(client, name, group, options)))
    } else if (members.has(name)) {
      const before = members.get(name)
      const obey = async () => {
        const member = await before
        if (member) await attempt(name, () => member.obey(command, rest))
        return member
      }
      members.set(name, obey())
    } else {
      attempt(name, () => calls[command](client, name, ...rest))
    }
  }
}

module.exports = { serveMembers }
