// Takes values from the namespace and keeps its place: node consume.js FILTER [COUNT] [URL]
// The session outlives the connection: what comes while this program is away waits for it on the broker's disk.
// MQTT_CA in the environment is the file of the authority for TLS, MQTT_USER and MQTT_PASSWORD log in.
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const [topics, count, url] = [process.argv[2], Number(process.argv[3] || Infinity), process.argv[4]]
const units = new Map() // topic -> unit, as the model has it
let taken = 0

const client = mqtt.connect(url || 'mqtt://127.0.0.1:1883', {
  protocolVersion: 5,
  clientId: 'historian-2',
  username: process.env.MQTT_USER,
  password: process.env.MQTT_PASSWORD,
  ca: process.env.MQTT_CA && fs.readFileSync(process.env.MQTT_CA),
  clean: false,
  properties: { sessionExpiryInterval: 24 * 3600 }
})

client.on('connect', async () => {
  // What the model says comes first; last values come once, not again when the session is resumed.
  const granted = await client.subscribeAsync({ ['$UNS/meta/' + topics]: { qos: 1 }, [topics]: { qos: 1, rh: 1 } })
  const refused = granted.filter(one => one.qos >= 0x80)
  for (const one of refused) console.error(`no subscription to ${one.topic}: 0x${one.qos.toString(16)}`)
  if (refused.length) {
    process.exitCode = 1
    client.end(true)
  }
})

// A message is acknowledged when done is called: until then the broker keeps it.
client.handleMessage = (packet, done) => {
  const topic = packet.topic.toString()
  if (topic.startsWith('$UNS/meta/')) {
    if (packet.payload.length) units.set(topic.slice('$UNS/meta/'.length), JSON.parse(packet.payload).unit || '')
    return done()
  }
  if (taken === count) return // not acknowledged: it comes again at the next start
  if (!packet.payload.length) return done()
  const reading = JSON.parse(packet.payload)
  console.log(topic, reading.value, units.get(topic) || '', reading.timestamp)
  // Store it here, then call done. After a crash in between it comes again, so storing the same value twice must do
  // no harm.
  done()
  if (++taken === count) client.end()
}

// What happens to broker and network is tried again each second; a refusal is not.
client.on('error', error => {
  console.error(error.message)
  if (typeof error.code !== 'number') return
  process.exitCode = 1
  client.end(true)
})
