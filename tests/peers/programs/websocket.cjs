// `websocket.cjs serve ADDRESS PORT` or `websocket.cjs ask URL`: Node's ws, echoing or asking.
const { WebSocket, WebSocketServer } = require("ws");

const BINARY = Buffer.alloc(1 << 20, "0123456789");
const [, , word, place, port] = process.argv;

if (word === "serve") {
  new WebSocketServer({ host: place, port: Number(port) }).on("connection", (socket) =>
    socket.on("message", (message, binary) => socket.send(message, { binary })));
} else {
  const left = ["hello", "", BINARY, ...Array.from({ length: 100 }, (_, number) => String(number))];
  const socket = new WebSocket(place);
  const next = () => (left.length ? socket.send(left[0]) : socket.ping());
  socket.on("open", next);
  socket.on("message", (message, binary) => {
    const sent = left.shift();
    if (binary !== Buffer.isBuffer(sent) || !message.equals(Buffer.from(sent))) throw new Error("another message came back");
    next();
  });
  socket.on("pong", () => socket.close(1000));
  socket.on("close", (code) => { console.log(code === 1000 ? "ok" : `closed with ${code}`); });
}
