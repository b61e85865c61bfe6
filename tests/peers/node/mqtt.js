// Both ends of MQTT over WebSockets: the broker `aedes` behind `ws`, and MQTT.js.
//
// mqtt.js serve                 prints its port, then a line of JSON for each client that
//                               has gone: its name, and the subprotocol
// mqtt.js connect URL VERSION   (3: 3.1, 4: 3.1.1) publishes to itself, rests until a line
//                               comes on its input, publishes again and leaves; prints lines
//                               of JSON
"use strict";

const { randomBytes } = require("node:crypto");

const say = (what) => console.log(JSON.stringify(what));

function serve() {
  const { WebSocketServer, createWebSocketStream } = require("ws");
  const broker = require("aedes")();
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: { threshold: 0 },
  });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (socket, request) => {
    const stream = createWebSocketStream(socket);
    stream.on("error", () => {});
    broker.handle(stream, request);
    socket.on("close", () => say({ subprotocol: socket.protocol }));
  });
}

async function connect(url, version) {
  const mqtt = require("mqtt");
  const client = await mqtt.connectAsync(url, {
    protocolVersion: Number(version),
    // Version 3.1 has a name and a subprotocol of its own.
    protocolId: version === "3" ? "MQIsdp" : "MQTT",
    // An answer must come within it, on a busy machine, too.
    keepalive: 5,
    connectTimeout: 300_000,
    reconnectPeriod: 0,
    wsOptions: { perMessageDeflate: { threshold: 0 } },
  });
  let [beats, received] = [0, 0];
  const waiting = [];
  client.on("packetreceive", (packet) => { beats += packet.cmd === "pingresp" ? 1 : 0; });
  client.on("message", (topic, payload) => {
    received += 1;
    waiting.shift()(payload);
  });
  await client.subscribeAsync("rooms/#", { qos: 1 });
  // The largest is several chunks of everything between.
  const publish = async () => {
    for (const [size, qos] of [[0, 0], [1, 1], [70_000, 2], [200_000, 1]]) {
      const payload = randomBytes(size);
      const came = new Promise((resolve) => { waiting.push(resolve); });
      await client.publishAsync("rooms/a", payload, { qos });
      if (!payload.equals(await came)) throw new Error("another message came");
    }
  };
  await publish();
  process.stdin.once("data", async () => {
    await publish();
    await client.endAsync();
    say({ received, beats });
    process.exit(0);
  });
  say({ connected: true });
}

({ serve, connect })[process.argv[2]](...process.argv.slice(3));
