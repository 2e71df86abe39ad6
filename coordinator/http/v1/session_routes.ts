/** `/api/v1/session`: signing in with a token, for the page: a browser then sends a cookie that it cannot read. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { checkRole } from "../../../shared/security/token_guard.ts";
import { wrongField } from "../runtime/job_request.ts";
import { callerOf } from "../server/access.ts";
import { passCookie } from "../server/pass_cookie.ts";
import { readJsonObject } from "../server/request_body.ts";
import { jsonResponse } from "../server/responses.ts";
import type { Call, Route } from "../server/route.ts";

export const SESSION_PATH = "/api/v1/session";

/** Open, all of them: whoever asks has no token yet. */
export const SESSION_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: SESSION_PATH,
    isOpen: true,
    handle: (call) =>
      jsonResponse({ needs_token: call.guard.isOn, is_signed_in: isSignedIn(call) }),
  },
  { method: "POST", path: SESSION_PATH, isOpen: true, handle: signIn },
  {
    method: "DELETE",
    path: SESSION_PATH,
    isOpen: true,
    handle: ({ request }) => noContent(passCookie(request.url, "")),
  },
];

async function signIn({ request, guard }: Call): Promise<Response> {
  const { token } = await readJsonObject(request);
  // Its value is a secret, if a wrong one.
  if (typeof token !== "string") throw wrongField("token", "a text", typeof token);
  const bearer = guard.bearerOf(token);
  if (!bearer) throw new TuttiError("UNAUTHENTICATED", "This token is not known here");
  checkRole(bearer, ["client"], "Signing in");
  return noContent(passCookie(request.url, guard.passOf(bearer)));
}

function isSignedIn({ request, guard }: Call): boolean {
  try {
    callerOf(request, "", guard);
    return true;
  } catch {
    return false;
  }
}

function noContent(cookie: string): Response {
  return new Response(null, { status: 204, headers: { "set-cookie": cookie } });
}
