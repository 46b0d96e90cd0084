// `ask.cjs LIBRARY URL`: one of Node's clients. It asks as every client here does, and prints "ok".
const BODY = "0123456789".repeat(20_000);
const REQUESTS = 20;
const [library, url] = process.argv.slice(2);

const asking = {
  async http() {
    const http = require(url.startsWith("https:") ? "node:https" : "node:http");
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method, path, body) =>
      new Promise((resolve, reject) => {
        const request = http.request(url + path, { method, agent }, async (response) =>
          resolve([response.statusCode, await text(response)]));
        request.on("error", reject).end(body);
      });
    return { ask, done: () => agent.destroy() };
  },

  async http2() {
    const session = require("node:http2").connect(url);
    const ask = (method, path, body) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ":method": method, ":path": "/" + path });
        let status = 0;
        stream.on("response", (head) => { status = head[":status"]; });
        stream.on("error", reject);
        text(stream).then((said) => resolve([status, said]), reject);
        stream.end(body);
      });
    return { ask, done: () => session.close() };
  },

  async undici() {
    const { Pool } = require("undici");
    const pool = new Pool(url, { connections: 1, pipelining: 10 });
    const ask = async (method, path, body) => {
      const answer = await pool.request({ method, path: "/" + path, body });
      return [answer.statusCode, await answer.body.text()];
    };
    return { ask, done: () => pool.close() };
  },

  async fetch() {
    const ask = async (method, path, body) => {
      const answer = await fetch(url + path, { method, body });
      return [answer.status, await answer.text()];
    };
    return { ask, done: () => {} };
  },
};

async function text(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function judge(method, [status, said], body = "") {
  const echo = JSON.parse(said);
  if (status !== 200 || echo.method !== method || echo.body !== body) throw new Error(`${method}: ${status}`);
}

async function main() {
  const { ask, done } = await asking[library]();
  judge("POST", await ask("POST", "", BODY), BODY);
  const answers = Array.from({ length: REQUESTS }, (_, number) => ask("GET", String(number)));
  for (const answer of await Promise.all(answers)) judge("GET", answer);
  await done();
  console.log("ok");
}

main().catch((error) => { console.error(error); process.exit(1); });
