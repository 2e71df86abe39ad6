import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { AffineExpert } from "../../support/affine_expert.ts";
import { serveExpert } from "../../support/serve_expert.ts";

const REFLECTION = "grpc.reflection.v1.ServerReflection";

/** Asks reflection one question, as grpcurl does. */
async function reflect(address: string, question: Record<string, string>) {
  const folder = dirname(createRequire(import.meta.url).resolve("@grpc/reflection"));
  const proto = join(folder, "../proto/grpc/reflection/v1/reflection.proto");
  const service = loadSync(proto, { oneofs: true })[REFLECTION] as unknown as ServiceDefinition;
  const { path, requestSerialize, responseDeserialize } = service.ServerReflectionInfo!;
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  try {
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => {
      stream.on("data", resolve);
      stream.on("error", reject);
    });
    stream.write(question);
    const response = await answer;
    stream.end();
    await new Promise<void>((resolve) => stream.on("end", resolve));
    return response;
  } finally {
    client.close();
  }
}

Deno.test("worker: reflection lists its services", async () => {
  await using served = await serveExpert(new AffineExpert());
  const { listServicesResponse } = await reflect(served.worker.address, { listServices: "" });
  const { service } = listServicesResponse as { service: { name: string }[] };
  const names = service.map(({ name }) => name);
  assert.ok(names.includes("tutti.v1.WorkerService"), names.join());
  assert.ok(names.includes("grpc.health.v1.Health"), names.join());
});

Deno.test("worker: reflection spells fields as the .proto file does", async () => {
  await using served = await serveExpert(new AffineExpert());
  const { fileDescriptorResponse } = await reflect(served.worker.address, {
    fileContainingSymbol: "tutti.v1.WorkerService",
  });
  const { fileDescriptorProto } = fileDescriptorResponse as { fileDescriptorProto: Uint8Array[] };
  const text = fileDescriptorProto.map((bytes) => new TextDecoder("latin1").decode(bytes)).join("");
  for (const name of ["ForwardBlock", "encoder_hidden_states", "DATA_TYPE_FLOAT32"]) {
    assert.ok(text.includes(name), name);
  }
  assert.ok(!text.includes("encoderHiddenStates"));
});
