/**
 * Why a connection to a worker failed, as far as TLS goes. grpc-js says "Failed to connect" to most of it, so the port is
 * asked once more, with a handshake that believes every certificate and shows no token.
 *
 * @module
 */

import { isIP } from "node:net";
import { checkServerIdentity, connect, type PeerCertificate } from "node:tls";
import { type TuttiError, WorkerError } from "../../shared/errors.ts";
import type { TlsFiles } from "../../shared/security/tls_files.ts";
import { parseAddress } from "../../shared/wire/address.ts";

/** Longest wait for the port's answer, ms. */
const PROBE_TIMEOUT_MS = 3_000;

interface Finding {
  /** Undefined if what answers speaks no TLS. */
  readonly certificate?: PeerCertificate;
  /** Why the authorities given do not vouch for it. */
  readonly distrust?: string;
  /** Whether something of HTTP/2 came after the handshake: the server has taken our certificate, or needs none. */
  readonly isTaken: boolean;
  /** Whether anything answered at all. */
  readonly isThere: boolean;
  /** Whether it ended the connection without an answer. */
  readonly hungUp: boolean;
}

/** @returns undefined if TLS is not what keeps the two apart */
export async function tlsTrouble(
  address: string,
  tls: TlsFiles | undefined,
): Promise<TuttiError | undefined> {
  const finding = await probe(address, tls);
  const { certificate, distrust, isTaken, isThere, hungUp } = finding;
  if (hungUp && tls) {
    return new WorkerError(
      "UNAVAILABLE",
      `Worker ${address} hung up during the TLS handshake: it has no room for a connection now, or what listens there ` +
        "speaks no TLS (then start it with --tls-cert and --tls-key)",
      { details: { worker: address, field: "tls" } },
    );
  }
  if (!isThere) return undefined;
  const refuse = (problem: string, nextStep: string) =>
    new WorkerError("FAILED_PRECONDITION", `Worker ${address} ${problem}: ${nextStep}`, {
      details: { worker: address, field: "tls" },
    });
  if (!tls) {
    if (!certificate) return undefined;
    return refuse(
      "has TLS, and this side speaks plain text",
      "give --tls-ca FILE with the authority of its certificate" +
        (isTaken ? "" : ", and --tls-cert and --tls-key, for it asks for a certificate"),
    );
  }
  if (!certificate) {
    return refuse(
      "speaks no TLS",
      "start it with --tls-cert and --tls-key, or leave --tls-ca out here (TUTTI_TLS_CA, too)",
    );
  }
  const { subject, issuer, valid_from: from, valid_to: to } = certificate;
  const now = Date.now();
  if (Date.parse(to) <= now) {
    return refuse(`shows a certificate that expired at ${to}`, "renew it there");
  }
  if (Date.parse(from) > now) {
    return refuse(`shows a certificate that is not valid before ${from}`, "compare both clocks");
  }
  if (distrust !== undefined) {
    return refuse(
      `shows a certificate that ${
        nameOf(issuer)
      } signed, which --tls-ca does not vouch for (${distrust})`,
      "give the authority that signed it, if you trust it",
    );
  }
  if (checkServerIdentity(parseAddress(address).host, certificate)) {
    const names = certificate.subjectaltname ?? nameOf(subject);
    return refuse(
      `shows a certificate for ${names}, not for this address`,
      "call it by such a name, or make it a certificate with this one (tutti certs --host)",
    );
  }
  if (isTaken) return undefined;
  return refuse(
    tls.pair ? "refuses this side's certificate" : "asks for a certificate, and this side has none",
    "give --tls-cert and --tls-key with one that an authority of its --tls-ca signed",
  );
}

function probe(address: string, tls: TlsFiles | undefined): Promise<Finding> {
  const { host, port } = parseAddress(address);
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const socket = connect({
    ...{ host, port, rejectUnauthorized: false, ALPNProtocols: ["h2"] },
    ...(isIP(host) === 0 && { servername: host }),
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    ...tls?.pair,
  });
  let isThere = false;
  let hungUp = false;
  let seen: Pick<Finding, "certificate" | "distrust"> = {};
  const end = (isTaken: boolean) => {
    clearTimeout(timer);
    resolve({ ...seen, isTaken, isThere, hungUp });
    socket.destroy();
  };
  const timer = setTimeout(() => end(false), PROBE_TIMEOUT_MS);
  socket.on("secureConnect", () => {
    isThere = true;
    // Whom it is for is looked at later.
    const distrust = socket.authorized || isNameProblem(socket.authorizationError)
      ? undefined
      : String(socket.authorizationError);
    seen = {
      certificate: socket.getPeerCertificate(),
      ...(distrust !== undefined && { distrust }),
    };
  });
  socket.on("data", () => end(true));
  socket.on("error", (error: Error & { code?: string }) => {
    // A server of another kind answered the handshake with something else.
    isThere ||= /wrong version|corrupt message|alert|EPROTO/i.test(error.message);
    hungUp = !isThere && /hang up|disconnected|ECONNRESET/i.test(error.message);
    end(false);
  });
  socket.on("close", () => end(false));
  return promise;
}

function isNameProblem(error: unknown): boolean {
  return /ALTNAME|Hostname|NotValidForName/i.test(String(error));
}

function nameOf(name: PeerCertificate["subject"] | undefined): string {
  return `"${name?.CN ?? name?.O ?? "somebody"}"`;
}
