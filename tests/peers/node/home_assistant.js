// A client by `home-assistant-js-websocket`: home_assistant.js URL TOKEN
//
// Prints one line of JSON: the version that it was told, and the error number that it
// failed with (2: the token was refused).
globalThis.WebSocket = require("ws").WebSocket;
const { createConnection, createLongLivedTokenAuth } = require("home-assistant-js-websocket");

const [url, token] = process.argv.slice(2);
const tell = (version, failed) => {
  console.log(JSON.stringify({ version, failed }));
  process.exit(0);
};

(async () => {
  const connection = await createConnection({ auth: createLongLivedTokenAuth(url, token) });
  const answer = await connection.sendMessagePromise({ type: "get_config" });
  connection.close();
  tell(answer.version, null);
})().catch((error) => tell(null, error));
