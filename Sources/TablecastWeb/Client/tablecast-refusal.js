// Why a server will not have a connection: what no further attempt changes.

const BY_CLOSE_CODE = {
  1002: "protocol",
  1003: "protocol",
  1007: "protocol",
  1009: "too-big",
  4400: "bad-request",
  4401: "unauthorized",
  4403: "forbidden",
};

const BY_STATUS = { 400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "not-found", 410: "not-found" };

const MESSAGES = {
  protocol: "the server and this client do not understand each other",
  "too-big": "a message was larger than the server takes",
  "bad-request": "the server does not understand the address",
  unauthorized: "the server requires a token, or rejected this one",
  forbidden: "the server does not allow this connection",
  origin: "the server does not allow pages of this origin: start it with --allowed-origin",
  "not-found": "there is no Tablecast at this address",
};

/** `{ reason, message }` of a close code after which no reconnect makes sense. */
export function closeRefusal(code, text) {
  const reason = BY_CLOSE_CODE[code];
  return reason && { reason, message: text || MESSAGES[reason] };
}

/**
 * Asks the WebSocket's address over HTTP why a handshake failed. A server that is away, or busy, is no refusal.
 * @returns `{ reason, message }`, or undefined where another attempt may do
 */
export async function probe(url, { accessToken, username, fetch = globalThis.fetch, connectTimeout }) {
  if (!fetch) return undefined;
  const address = new URL(url);
  address.protocol = address.protocol.replace(/^ws/, "http");
  if (username) address.searchParams.set("username", username);
  if (accessToken) address.searchParams.set("access_token", accessToken);
  const options = { signal: AbortSignal.timeout(connectTimeout), cache: "no-store", credentials: "omit" };
  try {
    let response = await fetch(address.href, options);
    // A request that is no upgrade gets no further: whether the token is accepted, another address says.
    if (response.status === 426) response = await atOtherAddress(fetch, address, options);
    const text = (await response.text()).slice(0, 500).trim();
    const reason = BY_STATUS[response.status] ?? (response.ok ? "not-found" : undefined); // 2xx: something that is no WebSocket
    return reason && { reason, message: (reason !== "not-found" && plain(text)) || MESSAGES[reason] };
  } catch {
    // A page cannot read the response of a server that does not allow its origin, but it learns whether there was one.
    if (globalThis.location === undefined || address.origin === globalThis.location.origin) return undefined;
    try {
      await fetch(address.href, { ...options, mode: "no-cors" });
      return { reason: "origin", message: MESSAGES.origin };
    } catch {
      return undefined; // away
    }
  }
}

/** Of a server that is a Tablecast: 401 and 403 count, anything else says nothing of the WebSocket. */
async function atOtherAddress(fetch, address, options) {
  const response = await fetch(new URL(`/status${address.search}`, address).href, options);
  return [401, 403].includes(response.status) ? response : new Response("", { status: 503 });
}

/** The server's own words; not the page of another one. */
const plain = (text) => (text.startsWith("<") || text.startsWith("{") ? "" : text);
