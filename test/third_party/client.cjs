// deno-lint-ignore-file no-console
// A client of a Tutti worker that shares no code with Tutti: plain Node.js, gRPC's own packages and the
// .proto files. Copy it as a start for your own.
//
//   npm install @grpc/grpc-js @grpc/proto-loader
//   node client.cjs 127.0.0.1:7070 path/to/proto
//
// It prints one JSON object: who the expert is, and the size and mean of one block's output.
"use strict";

const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");

const [address, protoFolder] = process.argv.slice(2);
const definition = protoLoader.loadSync("tutti/v1/worker.proto", {
  includeDirs: [protoFolder],
  keepCase: true,
  enums: String,
  longs: Number,
});
const { WorkerService } = grpc.loadPackageDefinition(definition).tutti.v1;
const client = new WorkerService(address, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 128 * 1024 * 1024,
});

/** One call as a promise. */
function call(method, request) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 60_000;
    client[method](request, { deadline }, (error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
  });
}

/** A float32 tensor: shape, and the numbers as little-endian bytes in row-major order. */
function tensor(shape, valueAt) {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const data = Buffer.alloc(4 * count);
  for (let i = 0; i < count; i++) data.writeFloatLE(valueAt(i), 4 * i);
  return { dtype: "DATA_TYPE_FLOAT32", shape, data };
}

async function main() {
  const expert = await call("Describe", {});
  const block = expert.blocks[0];
  const [channels, height, width] = block.input_shape;
  const { temb } = await call("EmbedTimesteps", { timesteps: [981] });
  const tokens = expert.text_encoders[0].max_length;
  const { hidden_states: output } = await call("ForwardBlock", {
    model_hash: expert.model_hash,
    block: block.id,
    hidden_states: tensor([1, channels, height, width], (i) => Math.sin(i)),
    temb,
    encoder_hidden_states: tensor([1, tokens, expert.cross_attention_dim], () => 0),
  });
  let sum = 0;
  for (let i = 0; i < output.data.length; i += 4) sum += output.data.readFloatLE(i);
  console.log(JSON.stringify({
    name: expert.name,
    model_hash: expert.model_hash,
    blocks: expert.blocks.length,
    block: block.id,
    shape: output.shape,
    mean: sum / (output.data.length / 4),
  }));
}

main().catch((error) => {
  console.error(`${error.code} ${error.details ?? error.message}`);
  process.exitCode = 1;
}).finally(() => client.close());
