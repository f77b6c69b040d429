// The service's plain HTTP side, and the token that a protected service asks for.

/** From the page's own address, `/?access_token=…`; never stored. */
export const accessToken = new URLSearchParams(location.search).get("access_token") ?? undefined;

export async function fetchJSON(path, signal) {
  const headers = accessToken ? { Authorization: `Bearer ${accessToken}` } : {};
  const response = await fetch(path, { headers, signal });
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body;
  throw new Error(body?.message ?? body?.error ?? `${path}: ${response.status} ${response.statusText}`);
}
