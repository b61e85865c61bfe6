// The benchmark's closed loop by k6: each connection sends the next message when
// the one before has come back as it went. Runs until it is ended.

import ws from "k6/ws";
import exec from "k6/execution";

const told = JSON.parse(__ENV.TOLD);

export const options = {
  scenarios: {
    closed: {
      executor: "per-vu-iterations",
      vus: told.connections,
      iterations: 1,
      maxDuration: "1h",
    },
  },
};

export default function () {
  let sent = 0;
  const next = () => told.messages[sent % told.messages.length];
  const response = ws.connect(told.url, { headers: told.headers }, (socket) => {
    socket.on("open", () => socket.send(next()));
    socket.on("message", (text) => {
      if (text !== next()) exec.test.abort("not the answer that was expected");
      sent += 1;
      socket.send(next());
    });
    socket.on("error", (error) => exec.test.abort(error.error()));
  });
  if (response.status !== 101) exec.test.abort(`status ${response.status}`);
}
