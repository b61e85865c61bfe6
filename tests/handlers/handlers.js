// Ways in which applications in JavaScript read a message and act on it. Each gets
// the bytes of a message and may call `join(room)`.
//
// Run by itself it reads a line for each message, what kind of application it is for
// and its bytes in hex, and prints the rooms that were joined, as a JSON list.
"use strict";

const parse = (data) => JSON.parse(data.toString());

// What a message may be once it has been parsed.
const ways = {
  switch: (data, join) => {
    const message = parse(data);
    switch (message.type) {
      case "join": join(message.room); break;
      default:
    }
    switch (message.op) {
      case 1: join(message.room); break;
      default:
    }
  },
  table: (data, join) => {
    const message = parse(data);
    const handlers = { join: (m) => join(m.room), say: () => {} };
    const byCode = { 1: (m) => join(m.room), 2: () => {} };
    if (Object.hasOwn(handlers, message.type)) handlers[message.type](message);
    if (Object.hasOwn(byCode, message.op)) byCode[message.op](message);
  },
  assign: (data, join) => {
    const message = Object.assign({}, parse(data));
    if (message.type === "join" || message.op === 1) join(message.room);
  },
  loose: (data, join) => {
    const message = parse(data);
    if (message.type == "join" || message.op == 1) join(message.room);
  },
  cast: (data, join) => {
    const message = parse(data);
    if (String(message.type) === "join" || (message.op | 0) === 1) join(message.room);
  },
  // JSON in a JSON text, as SockJS clients and careless ones send it.
  again: (data, join) => {
    let message = parse(data);
    for (let depth = 0; depth < 3 && typeof message === "string"; depth += 1) message = JSON.parse(message);
    for (const one of [message].flat(2)) {
      const inner = typeof one === "string" ? JSON.parse(one) : one;
      if (inner && (inner.type === "join" || inner.op === 1)) join(inner.room);
    }
  },
  // JSON-RPC 2.0 §6: a batch is a list of requests.
  rpc: (data, join) => {
    const message = parse(data);
    for (const request of Array.isArray(message) ? message : [message]) {
      if (request.method === "join") {
        join(Array.isArray(request.params) ? request.params[0] : Object.values(request.params)[0]);
      }
      if (request.type === "join" || request.op === 1) join(request.room);
    }
  },
  // One text may hold several, a line or a record each.
  lines: (data, join) => {
    for (const line of data.toString().split(/[\n\x1e]/)) {
      if (line.trim() === "") continue;
      const message = JSON.parse(line);
      if (message.type === "join" || message.op === 1) join(message.room);
    }
  },
  // A byte order mark is left out.
  mark: (data, join) => {
    const message = JSON.parse(new TextDecoder().decode(data));
    if (message.type === "join" || message.op === 1) join(message.room);
  },
  // Texts in UTF-16, which binary messages may hold.
  utf16: (data, join) => {
    const message = JSON.parse(new TextDecoder("utf-16le").decode(data));
    if (message.type === "join" || message.op === 1) join(message.room);
  },
};

// Rooms where the first code, 0, is the one that joins.
const zero = {
  fills: (data, join) => {
    const { op = 0, room } = parse(data);
    if (op === 0) join(room);
  },
  loose: (data, join) => {
    const message = parse(data);
    if (message.op == 0) join(message.room);
  },
  cast: (data, join) => {
    const message = parse(data);
    if ((message.op | 0) === 0) join(message.room);
  },
};

// Messages that are lists, as Phoenix has them: [join_ref, ref, topic, event, payload].
const lists = {
  destructured: (data, join) => {
    const [, , topic, event] = parse(data);
    if (event === "phx_join") join(topic);
  },
  table: (data, join) => {
    const message = parse(data);
    ({ phx_join: () => join(message[2]) })[message[3]]?.();
  },
  assign: (data, join) => {
    const message = Object.assign([], parse(data));
    if (message[3] === "phx_join") join(message[2]);
  },
};

const packets = {
  // As Socket.IO's parser does: a packet's type, namespace, number, and payload.
  packet: (data, join) => {
    const found = /^4[25](?:\d*-)?(?:\/[^,]*,)?[\s\d]*(.*)$/s.exec(data.toString());
    if (!found) return;
    const [event, argument] = JSON.parse(found[1]);
    if (event == "join") join(argument.room);
  },
};

const modes = { json: ways, zero, list: lists, packet: packets };

// The rooms that are joined, however a message is read.
const joins = (data, mode = "json") => {
  const rooms = new Set();
  for (const way of Object.values(modes[mode])) {
    try {
      way(data, (room) => {
        if (room !== undefined && room !== null) rooms.add(Buffer.from(String(room)).toString());
      });
    } catch {
      // What can't be read joins nothing.
    }
  }
  return [...rooms];
};

module.exports = { joins };

if (require.main === module) {
  const lines = require("node:readline").createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const [mode, hex] = line.split(" ");
    console.log(JSON.stringify(joins(Buffer.from(hex, "hex"), mode)));
  });
}
