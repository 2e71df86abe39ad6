/** The cookie by which the page's requests, pictures and sockets are known after somebody has signed in. @module */

const MAX_AGE_S = 30 * 86_400;

/**
 * The pass that comes with a request of the page itself: browsers that say where a request comes from are believed, so that no
 * server on another port of this machine, which is the same site, asks with it.
 */
export function passIn({ headers, url }: Request): string | undefined {
  const from = headers.get("sec-fetch-site") ?? "same-origin";
  if (from !== "same-origin" && from !== "none") return undefined;
  const name = nameOf(url);
  const cookies = (headers.get("cookie") ?? "").split(";").map((each) => each.trim().split("="));
  return cookies.find(([key]) => key === name)?.[1];
}

/** @param pass empty to take it back */
export function passCookie(url: string, pass: string): string {
  const { protocol } = new URL(url);
  return [
    `${nameOf(url)}=${pass}`,
    ...["Path=/", "HttpOnly", "SameSite=Strict", `Max-Age=${pass === "" ? 0 : MAX_AGE_S}`],
    ...(protocol === "https:" ? ["Secure"] : []),
  ].join("; ");
}

/** Cookies are the same for all ports of a host: each server has its own. */
function nameOf(url: string): string {
  const { port, protocol } = new URL(url);
  return `tutti-${port || (protocol === "https:" ? 443 : 80)}`;
}
