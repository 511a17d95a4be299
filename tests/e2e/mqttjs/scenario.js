// What a client can do, done with MQTT.js: node scenario.js URL VERSION PREFIX [CA]. Prints a line for each step; exit
// code 0 when all of them hold.
'use strict'
const assert = require('assert')
const fs = require('fs')
const mqtt = require('mqtt')

const [url, versionText, prefix, ca] = process.argv.slice(2)
const version = Number(versionText)
const five = version === 5
const open = []

const base = { protocolVersion: version, reconnectPeriod: 0, connectTimeout: 8000, keepalive: 30 }
if (ca) base.ca = fs.readFileSync(ca)

function deadline (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within 10 s`)), 10000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// A connected client with a queue of what it received.
async function connect (clientId, options = {}) {
  const client = mqtt.connect(url, { ...base, clientId, clean: true, ...options })
  open.push(client)
  const waiting = []
  const arrived = []
  client.on('message', (topic, payload, packet) => {
    const found = { topic, payload, packet }
    if (waiting.length) waiting.shift()(found)
    else arrived.push(found)
  })
  client.next = what => arrived.length
    ? Promise.resolve(arrived.shift())
    : deadline(new Promise(resolve => waiting.push(resolve)), what)
  client.arrived = arrived
  client.connack = await deadline(new Promise((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
  }), 'connect')
  return client
}

const end = client => deadline(client.endAsync(), 'end')
const publish = (client, topic, payload, options = {}) =>
  deadline(client.publishAsync(topic, payload, options), `publish ${topic}`)
const subscribe = (client, filter, options) => deadline(client.subscribeAsync(filter, options), `subscribe ${filter}`)
const keep = () => ({ clean: false, ...(five ? { properties: { sessionExpiryInterval: 60 } } : {}) })

const steps = {
  async 'publish and subscribe at each QoS' () {
    const client = await connect(`${prefix}-qos`)
    for (const qos of [0, 1, 2]) {
      const granted = await subscribe(client, `${prefix}/qos/${qos}`, { qos })
      assert.strictEqual(granted[0].qos, qos)
      await publish(client, `${prefix}/qos/${qos}`, `at ${qos}`, { qos })
      const found = await client.next('message')
      assert.strictEqual(found.payload.toString(), `at ${qos}`)
      assert.strictEqual(found.packet.qos, qos)
    }
    await deadline(client.unsubscribeAsync(`${prefix}/qos/0`), 'unsubscribe')
    await publish(client, `${prefix}/qos/0`, 'nobody', { qos: 1 })
    await publish(client, `${prefix}/qos/1`, 'me', { qos: 1 })
    assert.strictEqual((await client.next('message')).payload.toString(), 'me')
    await end(client)
  },

  async 'retained' () {
    const client = await connect(`${prefix}-retain`)
    await publish(client, `${prefix}/retained`, 'kept', { qos: 1, retain: true })
    await subscribe(client, `${prefix}/retained`, { qos: 1 })
    const found = await client.next('retained message')
    assert.strictEqual(found.payload.toString(), 'kept')
    assert.strictEqual(found.packet.retain, true)
    await publish(client, `${prefix}/retained`, '', { qos: 1, retain: true })
    assert.strictEqual((await client.next('removal')).payload.length, 0)
    await end(client)
  },

  async 'will' () {
    const watch = await connect(`${prefix}-watch`)
    await subscribe(watch, `${prefix}/will`, { qos: 1 })
    const will = text => ({ will: { topic: `${prefix}/will`, payload: Buffer.from(text), qos: 1 } })
    const client = await connect(`${prefix}-will`, will('gone'))
    client.stream.destroy()
    assert.strictEqual((await watch.next('will')).payload.toString(), 'gone')
    const polite = await connect(`${prefix}-polite`, will('no'))
    await end(polite)
    await publish(watch, `${prefix}/will`, 'after', { qos: 1 })
    assert.strictEqual((await watch.next('after')).payload.toString(), 'after')
    await end(watch)
  },

  async 'persistent session' () {
    let client = await connect(`${prefix}-session`, keep())
    assert.strictEqual(client.connack.sessionPresent, false)
    await subscribe(client, `${prefix}/session`, { qos: 2 })
    await end(client)
    const publisher = await connect(`${prefix}-session-pub`)
    for (const number of [1, 2, 3]) await publish(publisher, `${prefix}/session`, `${number}`, { qos: number % 2 + 1 })
    await end(publisher)
    client = await connect(`${prefix}-session`, keep())
    assert.strictEqual(client.connack.sessionPresent, true)
    const got = []
    for (let count = 0; count < 3; count++) got.push((await client.next('queued')).payload.toString())
    assert.deepStrictEqual(got.sort(), ['1', '2', '3'])
    await end(client)
    await end(await connect(`${prefix}-session`))
  },

  async 'shared subscription' () {
    const members = [await connect(`${prefix}-m1`), await connect(`${prefix}-m2`)]
    for (const member of members) await subscribe(member, `$share/group/${prefix}/shared`, { qos: 1 })
    const publisher = await connect(`${prefix}-m-pub`)
    for (let number = 0; number < 20; number++) await publish(publisher, `${prefix}/shared`, `${number}`, { qos: 1 })
    const started = Date.now()
    while (members[0].arrived.length + members[1].arrived.length < 20 && Date.now() - started < 5000) {
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    const got = members.map(member => member.arrived.map(found => Number(found.payload)))
    assert.deepStrictEqual(got.flat().sort((a, b) => a - b), [...Array(20).keys()])
    assert(got[0].length > 0 && got[1].length > 0, 'one member got everything')
    for (const client of [...members, publisher]) await end(client)
  },

  async 'big payloads' () {
    const client = await connect(`${prefix}-big`)
    await subscribe(client, `${prefix}/big`, { qos: 2 })
    for (const qos of [0, 1, 2]) {
      const payload = Buffer.alloc(900000, qos + 65)
      await publish(client, `${prefix}/big`, payload, { qos })
      assert((await client.next('big message')).payload.equals(payload))
    }
    await end(client)
  },

  async 'many messages in order' () {
    const client = await connect(`${prefix}-many`)
    await subscribe(client, `${prefix}/many`, { qos: 1 })
    const all = []
    for (let number = 0; number < 500; number++) all.push(publish(client, `${prefix}/many`, `${number}`, { qos: 1 }))
    await Promise.all(all)
    for (let number = 0; number < 500; number++) {
      assert.strictEqual((await client.next('message')).payload.toString(), `${number}`)
    }
    await end(client)
  }
}

const stepsOfFive = {
  async 'properties' () {
    const client = await connect(`${prefix}-props`, { properties: { topicAliasMaximum: 10, receiveMaximum: 20 } })
    await subscribe(client, `${prefix}/props`, { qos: 1, properties: { subscriptionIdentifier: 77 } })
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 100,
      contentType: 'application/json',
      responseTopic: `${prefix}/answer`,
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { unit: 'Cel', site: ['munich', 'graz'] }
    }
    await publish(client, `${prefix}/props`, '{}', { qos: 1, properties })
    const got = (await client.next('message')).packet.properties
    assert.strictEqual(got.payloadFormatIndicator, true)
    assert(got.messageExpiryInterval >= 99)
    assert.strictEqual(got.contentType, 'application/json')
    assert.strictEqual(got.responseTopic, `${prefix}/answer`)
    assert(got.correlationData.equals(properties.correlationData))
    assert.deepStrictEqual({ ...got.userProperties }, properties.userProperties)
    assert.strictEqual([got.subscriptionIdentifier].flat()[0], 77)
    await end(client)
  },

  async 'options of subscriptions' () {
    const client = await connect(`${prefix}-options`)
    await subscribe(client, `${prefix}/options`, { qos: 1, nl: true })
    await publish(client, `${prefix}/options`, 'mine', { qos: 1 })
    const other = await connect(`${prefix}-options-2`)
    await publish(other, `${prefix}/options`, 'theirs', { qos: 1, retain: true })
    assert.strictEqual((await client.next('message')).payload.toString(), 'theirs')
    await subscribe(other, `${prefix}/options`, { qos: 1, rap: true, rh: 2 })
    await publish(client, `${prefix}/options`, 'flag', { qos: 1, retain: true })
    const found = await other.next('message')
    assert.strictEqual(found.payload.toString(), 'flag')
    assert.strictEqual(found.packet.retain, true)
    await publish(client, `${prefix}/options`, '', { qos: 1, retain: true })
    await end(client)
    await end(other)
  }
}

async function main () {
  for (const [name, step] of Object.entries({ ...steps, ...(five ? stepsOfFive : {}) })) {
    try {
      await step()
      console.log(`ok ${name}`)
    } catch (error) {
      console.log(`FAIL ${name}: ${error.message}`)
      process.exitCode = 1
    }
  }
  for (const client of open) client.end(true)
}

main()
