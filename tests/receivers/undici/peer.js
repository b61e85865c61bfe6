// The receiver of undici, a client only: see tests/receivers/README.md.
"use strict";

const { WebSocket } = require("undici");
const { ended, received, run } = require("../node.js");

run({
  client(url, id) {
    const socket = new WebSocket(url);
    let failed = "";
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => received(id, typeof data !== "string", data);
    socket.onerror = (event) => { failed = String(event.error || event.message || "error"); };
    socket.onclose = ({ code }) => ended(id, code, failed);
  },
});
