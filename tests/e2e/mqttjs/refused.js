// Publishes each message of a JSON list on standard input, [{topic, payload, qos, retain, client}], with MQTT.js as 5.0
// and prints as JSON what it was told: node refused.js URL PREFIX
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const [url, prefix] = process.argv.slice(2)

async function tell (message, number) {
  const client = await mqtt.connectAsync(url, {
    protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 8000, clientId: `${message.client}${prefix}${number}`
  })
  const told = await new Promise(resolve => {
    client.publish(message.topic, message.payload, { qos: message.qos, retain: message.retain }, (error, packet) => {
      resolve({ code: error ? error.code : 0, properties: (packet && packet.properties) || {} })
    })
    client.on('packetreceive', packet => {
      // The callback's packet is the PUBLISH: what came back is here.
      if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec') return
      resolve({ code: packet.reasonCode || 0, properties: packet.properties || {} })
    })
  })
  await client.endAsync(true)
  return { code: told.code, reason: told.properties.reasonString, user: told.properties.userProperties || {} }
}

async function main () {
  const told = []
  for (const [number, message] of JSON.parse(fs.readFileSync(0)).entries()) told.push(await tell(message, number))
  console.log(JSON.stringify(told))
}

main().catch(error => { console.error(error); process.exit(1) })
