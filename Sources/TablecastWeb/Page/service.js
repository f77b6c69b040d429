// The service's plain HTTP side, and the token that a protected service asks for.

const KEY = "tablecast.token";

/** From the fragment of the page's own address, `/#access_token=…`, which no server and no proxy sees; kept for this tab alone. */
export const accessToken = takeToken();

function takeToken() {
  const [, given] = /^#access_token=(.+)$/.exec(location.hash) ?? [];
  try {
    if (given) {
      sessionStorage.setItem(KEY, decodeURIComponent(given));
      history.replaceState(null, "", location.pathname + location.search);
    }
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return given; // storage is blocked: good until the page is reloaded
  }
}

/** Begins anew with another token. */
export function useToken(token) {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    location.hash = `#access_token=${encodeURIComponent(token)}`;
  }
  location.reload();
}

export async function fetchJSON(path, signal) {
  const headers = accessToken ? { Authorization: `Bearer ${accessToken}` } : {};
  const response = await fetch(path, { headers, signal });
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body;
  throw new Error(body?.message ?? body?.error ?? `${path}: ${response.status} ${response.statusText}`);
}
