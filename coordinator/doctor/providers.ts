/** The execution providers of ONNX Runtime, each tried in a process of its own. @module */

import { providerError } from "../../shared/device/provider_error.ts";
import { type ProviderReport, reportProvider } from "../../shared/device/provider_report.ts";
import { DEVICES } from "../../shared/lane/protocol.ts";
import { absent, failed, type Finding, ok } from "./finding.ts";

/** ONNX Runtime itself, then one finding per device. */
export async function* checkProviders(): AsyncGenerator<Finding> {
  const reports = DEVICES.map(reportProvider);
  const { runtime, failure = "it cannot be loaded" } = await reports[0]!;
  yield runtime === undefined
    ? failed("onnxruntime", failure, "run `deno install` in this folder")
    : ok("onnxruntime", runtime);
  for (const report of reports) yield describeProvider(await report);
}

/** What a report means for a person. */
export function describeProvider(report: ProviderReport): Finding {
  const { device, failure } = report;
  const name = `device ${device}`;
  if (failure === undefined) return ok(name, abilities(report).join(", "));
  const { problem, nextStep } = providerError(device, failure).details;
  return device === "cpu"
    ? failed(name, problem!, "ONNX Runtime needs glibc 2.28 or newer on Linux, and no musl")
    : absent(name, problem!, nextStep!);
}

function abilities({ device, adapter, f32, f16 }: ProviderReport): string[] {
  if (device === "cpu") return ["computes right in f32"];
  return [
    ...(adapter ? [`${adapter.name}${adapter.isSoftware ? " (software, slow)" : ""}`] : []),
    f16 ? "computes right in f32 and f16" : "computes right in f32, has no f16",
    f32.maxFusedHeadDim === 0
      ? "without fused attention"
      : `fused attention up to heads of ${f32.maxFusedHeadDim}`,
  ];
}
