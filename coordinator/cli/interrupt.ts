/** Ctrl-C as an AbortSignal: the first one cancels the work, the next one ends the process as usual. @module */

export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const signals: readonly Deno.Signal[] = ["SIGINT", "SIGTERM"];
  const dispose = () => signals.forEach((name) => Deno.removeSignalListener(name, abort));
  const abort = () => {
    dispose();
    controller.abort();
  };
  signals.forEach((name) => Deno.addSignalListener(name, abort));
  return { signal: controller.signal, [Symbol.dispose]: dispose };
}
