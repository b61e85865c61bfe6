// Runs a client of the README's, given as text, with what it asks of its page:
// tokens, and a clock and timers by which minutes pass in no time. Every socket
// says hello once it is open.
"use strict";

function runClient(code, tokens) {
  const saw = { log: [], sockets: [], tokens: 0 };
  let now = 0;
  let beat = () => {};
  class Recorded extends WebSocket {
    constructor(...options) {
      super(...options);
      saw.sockets.push(this);
      this.addEventListener("open", () => this.send("hello"));
      this.addEventListener("close", ({ code, reason }) => saw.log.push({ code, reason }));
    }
  }
  const given = {
    WebSocket: Recorded,
    Date: { now: () => now },
    setInterval: (monitor) => { beat = monitor; },
    clearInterval: () => { beat = () => {}; },
    setTimeout: (again, wait) => { saw.log.push({ wait }); setTimeout(again, wait / 5); },
    freshToken: async () => tokens[Math.min(saw.tokens++, tokens.length - 1)],
    show: (shown) => saw.log.push({ shown }),
  };
  new Function(...Object.keys(given), code)(...Object.values(given));
  const count = (is) => saw.log.filter(is).length;
  return {
    saw,
    // Waits until so many entries of the log are such; an end for it is the test's.
    until: async (is, times = 1) => {
      for (let i = 0; count(is) < times; i += 1) {
        if (i > 60_000) throw new Error(`it did not come: ${JSON.stringify(saw.log)}`);
        await new Promise((resolve) => { setTimeout(resolve, 10); });
      }
    },
    // Lets so many seconds pass until the monitor looks.
    pass: (seconds) => { now += seconds * 1000; beat(); },
    // What it saw, half a second later, after a Close if it is still open.
    end: async () => {
      await new Promise((resolve) => { setTimeout(resolve, 500); });
      const told = { log: [...saw.log], sockets: saw.sockets.length, tokens: saw.tokens };
      saw.sockets.at(-1).close(1000);
      return told;
    },
  };
}
