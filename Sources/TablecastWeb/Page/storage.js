// What the page remembers in this browser: name, theme, query history. Works without where storage is blocked.

const PREFIX = "tablecast.";

export function recall(key, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // full or blocked: the page works on without it
  }
}

/** Another tab of this browser has stored a value. */
export function onRemembered(key, listener) {
  addEventListener("storage", (event) => event.key === PREFIX + key && listener());
}
