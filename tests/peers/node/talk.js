// A client of the `ws` library: talk.js URL [STEP...], as ../talk.py.
"use strict";

const { createHash } = require("node:crypto");
const { WebSocket } = require("ws");

const CHARACTERS = "wsguard, größer, 日本語 🙂 ";
const [url, ...steps] = process.argv.slice(2);
const socket = new WebSocket(url, {
  maxPayload: 0,
  perMessageDeflate: { threshold: 0 },
});
const saw = { got: [], pings: 0, code: null, reason: null };
const waiting = [];
const pinged = [];
let ended = false;

function named(data) {
  if (data.length <= 200) return data.toString();
  return `${data.length}:${createHash("sha256").update(data).digest("hex")}`;
}

function content(kind, value) {
  if (kind === "text") {
    const size = Number(value);
    const text = Array.from(CHARACTERS.repeat(Math.ceil(size / 20)));
    return text.slice(0, size).join("");
  }
  if (kind === "binary") {
    const size = Number(value);
    return Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * i) % 251))
      .toString("latin1").repeat(Math.floor(size / 4096) + 1).slice(0, size);
  }
  return value;
}

socket.on("message", (data) => {
  saw.got.push(named(data));
  if (waiting.length > 0) waiting.shift()();
});
socket.on("ping", () => {
  saw.pings += 1;
  pinged.splice(0).forEach((resolve) => resolve());
});
socket.on("error", () => {});
socket.on("close", (code, reason) => {
  ended = true;
  // 1005 and 1006 stand for no code, and for no Close.
  if (code !== 1005 && code !== 1006) {
    saw.code = code;
    saw.reason = reason.toString();
  }
  [...waiting.splice(0), ...pinged.splice(0)].forEach((resolve) => resolve());
  saw.extensions = socket.extensions ? [socket.extensions.split(";")[0]] : [];
  console.log(JSON.stringify(saw));
});

async function run() {
  await new Promise((resolve) => { socket.on("open", resolve); });
  for (const step of steps) {
    if (ended) return;
    const at = step.indexOf(":");
    const [kind, value] = [step.slice(0, at), step.slice(at + 1)];
    if (kind === "pings") {
      while (!ended && saw.pings < Number(value)) {
        await new Promise((resolve) => { pinged.push(resolve); });
      }
      continue;
    }
    const came = new Promise((resolve) => { waiting.push(resolve); });
    if (kind === "send") {
      waiting.pop();
      socket.send(value);
    } else if (kind === "wait") {
      const late = setTimeout(() => { waiting.splice(0).forEach((resolve) => resolve()); }, Number(value));
      await came;
      // It would keep Node up.
      clearTimeout(late);
    } else {
      const data = content(kind, value);
      socket.send(kind === "binary" ? Buffer.from(data, "latin1") : data);
      await came;
    }
  }
  if (!ended) socket.close(1000, "done");
}

run();
