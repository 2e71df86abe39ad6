/**
 * ONNX Runtime's Linux library reports how it is used to its maker, and leaves log files in the temporary folder, unless
 * an environment variable says no. Whoever runs Tutti has not been asked: so it says no.
 *
 * @module
 */

const SWITCH = "ORT_DISABLE_TELEMETRY";

/** To be called before the first session of the process is created. A value that the user has set stays. */
export function turnOffTelemetry(): void {
  if (!Deno.env.has(SWITCH)) Deno.env.set(SWITCH, "1");
}
