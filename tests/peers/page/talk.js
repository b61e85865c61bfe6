// What a page sees of a WebSocket: talk(url, protocols, steps), as ../talk.py.
"use strict";

const CHARACTERS = Array.from("wsguard, größer, 日本語 🙂 ");

async function named(message) {
  const bytes = typeof message === "string" ? new TextEncoder().encode(message) : new Uint8Array(message);
  if (bytes.length <= 200) return new TextDecoder().decode(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `${bytes.length}:${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function content(kind, value) {
  if (kind === "text") {
    return Array.from({ length: Number(value) }, (_, i) => CHARACTERS[i % CHARACTERS.length]).join("");
  }
  if (kind === "binary") {
    return Uint8Array.from({ length: Number(value) }, (_, i) => ((i % 4096) ** 2) % 251);
  }
  return value;
}

async function talk(url, protocols, steps) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const saw = { opened: false, got: [], code: null, reason: null };
  const came = [];
  let wake = () => {};
  const ended = new Promise((resolve) => {
    socket.onclose = (event) => {
      saw.code = event.code;
      saw.reason = event.reason;
      resolve();
    };
  });
  const opened = new Promise((resolve) => { socket.onopen = resolve; });
  socket.onmessage = (event) => { came.push(event.data); wake(); };
  const next = () => (came.length ? undefined : new Promise((resolve) => { wake = resolve; }));
  await Promise.race([opened.then(() => { saw.opened = true; saw.protocol = socket.protocol; }), ended]);
  for (const step of steps) {
    if (socket.readyState !== WebSocket.OPEN) break;
    const [, kind, value] = step.match(/^([a-z]+):(.*)$/s);
    if (kind !== "wait") socket.send(kind === "send" ? value : content(kind, value));
    if (kind === "send") continue;
    const late = new Promise((resolve) => { setTimeout(resolve, kind === "wait" ? Number(value) : 600_000); });
    await Promise.race([next(), ended, late]);
    if (came.length) saw.got.push(await named(came.shift()));
  }
  if (socket.readyState === WebSocket.OPEN) socket.close(1000, "done");
  await ended;
  return saw;
}
