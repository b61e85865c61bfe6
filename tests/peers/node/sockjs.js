// Both ends of SockJS: `sockjs` and `sockjs-client`, over one prefix, `/chat`.
//
// sockjs.js serve           echoes; prints its port, then a line of JSON for each session
//                           that has ended: how many messages came, by which transport
// sockjs.js connect URL [TRANSPORT...]
//                           talks, rests until a line comes on its input (the server pings
//                           sessions that rest), talks again, and closes or, where the
//                           line is `end`, has the server close; prints lines of JSON
"use strict";

const say = (what) => console.log(JSON.stringify(what));

function serve() {
  const http = require("node:http");
  const echo = require("sockjs").createServer({ heartbeat_delay: 2500, log: () => {} });
  echo.on("connection", (session) => {
    let messages = 0;
    session.on("data", (message) => {
      messages += 1;
      if (message === "end") session.close(4001, "enough");
      else session.write(message);
    });
    session.on("close", () => say({ messages, transport: session.protocol }));
  });
  const server = http.createServer();
  echo.installHandlers(server, { prefix: "/chat" });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

function connect(url, ...transports) {
  const SockJS = require("sockjs-client");
  const headers = { origin: "https://app.example.com" };
  const socket = new SockJS(url, null, {
    transports: transports.length > 0 ? transports : undefined,
    transportOptions: { websocket: { headers } },
    // By itself it gives a transport that opens slowly up, as on a busy machine.
    timeout: 300_000,
  });
  let [echoed, asked] = [0, null];
  const talk = () => socket.send(`größer ${echoed} 🙂 "\u2028"`);
  process.stdin.once("data", (line) => {
    asked = line.toString().trim();
    talk();
  });
  socket.onopen = talk;
  socket.onmessage = () => {
    echoed += 1;
    if (echoed === 10) say({ connected: socket.transport });
    else if (echoed < 20) talk();
    else if (asked === "end") socket.send(asked);
    else socket.close();
  };
  socket.onclose = (event) => {
    say({ echoed, code: event.code, reason: event.reason });
    process.exit(0);
  };
}

({ serve, connect })[process.argv[2]](...process.argv.slice(3));
