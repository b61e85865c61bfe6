// Both ends of OCPP-J by `ocpp-rpc`, each with a keepalive of its own.
//
// ocpp.js serve                       prints its port, then a line of JSON for each charger
//                                     that has gone
// ocpp.js connect URL NAME PASSWORD   a charger, whose password is given in hexadecimal
//                                     digits; calls until a line comes on its input, then
//                                     closes; prints lines of JSON
"use strict";

const { RPCClient, RPCServer } = require("ocpp-rpc");

const say = (what) => console.log(JSON.stringify(what));

async function serve() {
  const server = new RPCServer({
    protocols: ["ocpp2.0.1", "ocpp1.6"],
    pingIntervalMs: 2500,
    wssOptions: { perMessageDeflate: { threshold: 0 } },
    strictMode: true,
  });
  server.auth((accept, reject, handshake) => {
    accept({ sees: handshake.headers.authorization !== undefined });
  });
  server.on("client", (charger) => {
    let [beats, pongs] = [0, 0];
    const currentTime = () => new Date().toISOString();
    charger.handle("BootNotification", () => (
      { status: "Accepted", interval: 1, currentTime: currentTime() }
    ));
    charger.handle("Heartbeat", async () => {
      beats += 1;
      // The other way, too.
      const { status } = await charger.call("ChangeAvailability", {
        connectorId: 0, type: "Operative",
      });
      if (status !== "Accepted") throw new Error(status);
      return { currentTime: currentTime() };
    });
    charger.on("ping", () => { pongs += 1; });
    charger.on("close", ({ code, reason }) => say({
      name: charger.identity, subprotocol: charger.protocol, sees: charger.session.sees,
      beats: beats > 0, pongs: pongs > 0, code, reason,
    }));
  });
  const listening = await server.listen(0, "127.0.0.1");
  console.log(listening.address().port);
}

async function connect(endpoint, identity, password) {
  const charger = new RPCClient({
    endpoint,
    identity,
    password: Buffer.from(password, "hex"),
    protocols: ["ocpp1.6"],
    strictMode: true,
    reconnect: false,
    pingIntervalMs: 3000,
    callConcurrency: 2,
    callTimeoutMs: 300_000,
    wsOpts: { perMessageDeflate: { threshold: 0 } },
  });
  let [asked, pongs] = [false, 0];
  process.stdin.once("data", () => { asked = true; });
  charger.handle("ChangeAvailability", () => ({ status: "Accepted" }));
  charger.on("ping", () => { pongs += 1; });
  charger.on("disconnect", ({ code, reason }) => {
    say({ pongs: pongs > 0, code, reason });
    process.exit(0);
  });
  await charger.connect();
  const boot = { chargePointVendor: "Größer", chargePointModel: "One" };
  const booted = await charger.call("BootNotification", boot);
  say({ connected: booted.status });
  while (!asked) {
    await charger.call("Heartbeat", {});
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  await charger.close({ code: 4001, reason: "enough" });
}

({ serve, connect })[process.argv[2]](...process.argv.slice(3)).catch((error) => {
  say({ failed: error.code ?? error.message });
  process.exit(0);
});
