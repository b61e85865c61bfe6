// Both ends of Phoenix channels: npm's `phoenix`, and a server of `ws` that speaks version 2
// of its serializer, texts and binary, as far as the client needs it.
//
// phoenix.js serve                      prints its port, then a line of JSON for each socket
//                                       that has ended
// phoenix.js connect URL TOKEN TOPIC [binary]
//                                       joins, talks until a line comes on its input, leaves
//                                       and disconnects; prints lines of JSON
"use strict";

const { WebSocket, WebSocketServer } = require("ws");

const say = (what) => console.log(JSON.stringify(what));

// A push is 0, the lengths of join_ref, ref, topic and event, these, and the payload.
function readPush(data) {
  const lengths = [...data.subarray(1, 5)];
  let at = 5;
  const fields = lengths.map((length) => data.toString("utf8", at, at += length));
  return [...fields, data.subarray(at)];
}

// A reply is 1, and the same with the status in the place of the event.
function writeReply(joinRef, ref, topic, payload) {
  const fields = [joinRef, ref, topic, "ok"].map((field) => Buffer.from(field));
  return Buffer.concat([Buffer.from([1, ...fields.map((f) => f.length)]), ...fields, payload]);
}

function serve() {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => offered.has("phoenix") && "phoenix",
  });
  server.on("listening", () => console.log(server.address().port));
  server.on("connection", (socket, request) => {
    const saw = { joined: [], beats: 0, offer: request.headers["sec-websocket-protocol"] };
    socket.on("message", (data, isBinary) => {
      const message = isBinary ? readPush(data) : JSON.parse(data);
      const [joinRef, ref, topic, event, payload] = message;
      if (isBinary) return socket.send(writeReply(joinRef, ref, topic, payload));
      if (event === "heartbeat") saw.beats += 1;
      if (event === "phx_join") saw.joined.push(topic);
      const reply = { status: "ok", response: event === "say" ? payload : {} };
      socket.send(JSON.stringify([joinRef, ref, topic, "phx_reply", reply]));
      if (event === "say") socket.send(JSON.stringify([null, null, topic, "said", payload]));
      if (event === "phx_leave") {
        socket.send(JSON.stringify([joinRef, ref, topic, "phx_close", {}]));
      }
    });
    socket.on("error", () => {});
    socket.on("close", (code, reason) => say({ ...saw, code, reason: reason.toString() }));
  });
}

class Transport extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { perMessageDeflate: { threshold: 0 } });
  }
}

// What comes of a push or a join.
const answer = (push) => new Promise((resolve, reject) => {
  push.receive("ok", resolve).receive("error", reject);
});

async function connect(url, token, topic, binary) {
  const { Socket } = require("phoenix");
  const socket = new Socket(url, {
    transport: Transport,
    authToken: token,
    // An answer must come within it, on a busy machine, too.
    heartbeatIntervalMs: 5000,
    timeout: 300_000,
  });
  let asked = false;
  process.stdin.once("data", () => { asked = true; });
  socket.onClose((event) => {
    if (asked) return;
    // It would connect again.
    socket.disconnect();
    say({ code: event.code, reason: event.reason });
    process.exit(0);
  });
  socket.connect();
  const channel = socket.channel(topic, {});
  let [heard, said] = [0, 0];
  channel.on("said", () => { heard += 1; });
  await answer(channel.join(300_000));
  say({ connected: socket.connectionState() });
  while (!asked || said < 3) {
    const body = `größer ${said} 🙂`;
    const reply = await answer(channel.push("say", { body }, 300_000));
    if (reply.body !== body) throw new Error(`another reply came: ${JSON.stringify(reply)}`);
    if (binary) {
      const bytes = new Uint8Array([0xff, said, 0]).buffer;
      const same = await answer(channel.push("blob", bytes, 300_000));
      if (Buffer.compare(Buffer.from(same), Buffer.from(bytes))) throw new Error("other bytes came");
    }
    said += 1;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  await answer(channel.leave(300_000));
  socket.disconnect(() => {
    say({ all: heard === said });
    process.exit(0);
  }, 4001, "enough");
}

({ serve, connect })[process.argv[2]](...process.argv.slice(3));
