/** The address within the page: `#/view/rest`, so that going back and reloading work. @module */

import { useEffect, useState } from "preact/hooks";

function currentRoute() {
  const [, view = "", rest = ""] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(location.hash) ?? [];
  return { view, rest };
}

export function useRoute() {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const follow = () => setRoute(currentRoute());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

export function addressOf(view, rest = "") {
  return rest === "" ? `#/${view}` : `#/${view}/${rest}`;
}

export function goTo(view, rest) {
  location.hash = addressOf(view, rest);
}

/** Without a new entry in the history. */
export function replaceRoute(view, rest) {
  history.replaceState(null, "", addressOf(view, rest));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
