/**
 * Spans, where the user switched traces on (`OTEL_DENO=true`, which makes Deno export them). Off, nothing is made: the work
 * runs as if this file were not there.
 *
 * A session's commands share one stream, so the context of a trace travels with each command as a W3C `traceparent`.
 *
 * @module
 */

import {
  type Attributes,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { TuttiError } from "../errors.ts";
import { TUTTI_VERSION } from "../wire/version.ts";
import type { Traceparent } from "./traceparent.ts";

export const isTracing: boolean = ["1", "true"].includes(Deno.env.get("OTEL_DENO") ?? "");

const tracer = trace.getTracer("tutti", TUTTI_VERSION);

/** Runs `work` in a span: spans that it opens, across its awaits, are children. Its error becomes the span's. */
export function inSpan<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  if (!isTracing) return work();
  return run(tracer.startSpan(name, { attributes }), work);
}

/** As `inSpan()`, for what another process is asked: `work` sends it `openTrace()`. */
export function inClientSpan<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  if (!isTracing) return work();
  return run(tracer.startSpan(name, { attributes, kind: SpanKind.CLIENT }), work);
}

/**
 * As `inSpan()`, for what another process asked for.
 *
 * @param parent what it sent; without it a trace begins
 */
export function inServerSpan<T>(
  name: string,
  attributes: Attributes,
  parent: Traceparent | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!isTracing) return work();
  const remote = parent
    ? trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true })
    : ROOT_CONTEXT;
  return run(tracer.startSpan(name, { attributes, kind: SpanKind.SERVER }, remote), work);
}

/** Adds what became known to the span that is open. */
export function addToSpan(attributes: Attributes): void {
  if (isTracing) trace.getActiveSpan()?.setAttributes(attributes);
}

/**
 * Tells of phases that followed each other and have ended just now, as children of the span that is open.
 *
 * @param phases names and milliseconds, in their order
 */
export function pastSpans(phases: readonly (readonly [string, number])[]): void {
  if (!isTracing) return;
  let startMs = performance.timeOrigin + performance.now() -
    phases.reduce((sum, [, durationMs]) => sum + durationMs, 0);
  for (const [name, durationMs] of phases) {
    const span = tracer.startSpan(name, { startTime: new Date(startMs) });
    startMs += durationMs;
    span.end(new Date(startMs));
  }
}

/** The open span, for another process; undefined if there is none. */
export function openTrace(): Traceparent | undefined {
  return isTracing ? trace.getActiveSpan()?.spanContext() : undefined;
}

async function run<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await context.with(trace.setSpan(context.active(), span), work);
  } catch (error) {
    // Messages may quote what users wrote; a code does not.
    const { code } = TuttiError.from(error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: code });
    span.setAttribute("error.type", code);
    throw error;
  } finally {
    span.end();
  }
}
