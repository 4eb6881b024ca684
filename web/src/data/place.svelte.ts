// Where the page is: the route of the fragment, as state.

import { parseRoute, type Route } from "./route.ts";

class Place {
  route = $state.raw<Route>(parseRoute(typeof location === "undefined" ? "" : location.hash));

  follow(): () => void {
    const turn = () => (this.route = parseRoute(location.hash));
    addEventListener("hashchange", turn);
    return () => removeEventListener("hashchange", turn);
  }
}

export const place = new Place();
