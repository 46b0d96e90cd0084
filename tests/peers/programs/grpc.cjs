// `grpc.cjs serve ADDRESS PORT` or `grpc.cjs ask ADDRESS:PORT`: @grpc/grpc-js with plain bytes for messages.
const grpc = require("@grpc/grpc-js");

const same = (bytes) => bytes;
const [, , word, place, port] = process.argv;
const kind = (path, requestStream, responseStream) => ({
  path, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});
const service = {
  Echo: kind("/test.Echo/Echo", false, false),
  Count: kind("/test.Echo/Count", false, true),
  PingPong: kind("/test.Echo/PingPong", true, true),
  Fail: kind("/test.Echo/Fail", false, false),
};

function serve() {
  const server = new grpc.Server({ "grpc.max_receive_message_length": 1 << 26 });
  server.addService(service, {
    Echo: (call, callback) => callback(null, call.request),
    Count: (call) => {
      for (let number = 0; number < Number(call.request); number++) call.write(Buffer.from(String(number)));
      call.end();
    },
    PingPong: (call) => {
      call.on("data", (word) => call.write(Buffer.from(word.toString().toUpperCase())));
      call.on("end", () => call.end());
    },
    Fail: (call, callback) => callback({ code: grpc.status.NOT_FOUND, details: "nothing of that name" }),
  });
  server.bindAsync(`${place}:${port}`, grpc.ServerCredentials.createInsecure(), (error) => { if (error) throw error; });
}

async function ask() {
  const client = new (grpc.makeGenericClientConstructor(service, "Echo"))(place, grpc.credentials.createInsecure());
  const unary = (name, message) =>
    new Promise((resolve, reject) => client[name](message, (error, answer) => (error ? reject(error) : resolve(answer))));
  const large = Buffer.alloc(3_000_000, "x");
  for (const message of [Buffer.alloc(0), Buffer.from("hello"), large])
    if (!(await unary("Echo", message)).equals(message)) throw new Error("another message came back");
  let count = 0;
  for await (const number of client.Count(Buffer.from("500"))) if (Number(number) !== count++) throw new Error("out of order");
  if (count !== 500) throw new Error(`${count} messages`);
  const call = client.PingPong();
  const answers = call[Symbol.asyncIterator]();
  for (const word of ["one", "two", "three"]) {
    call.write(Buffer.from(word));
    if ((await answers.next()).value.toString() !== word.toUpperCase()) throw new Error("another answer came back");
  }
  call.end();
  const failure = await unary("Fail", Buffer.alloc(0)).catch((error) => error);
  if (failure.code !== grpc.status.NOT_FOUND || failure.details !== "nothing of that name") throw failure;
  client.close();
  console.log("ok");
}

if (word === "serve") serve();
else ask().catch((error) => { console.error(error); process.exit(1); });
