// What a protected service asks for before it shows anything.

import { el } from "./dom.js";
import { useToken } from "./service.js";

/** `reason` is what the server said of the token before, or of none. */
export function askForToken(reason) {
  const submit = () => input.value.trim() && useToken(input.value.trim());
  const input = el("input", {
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Token",
    onkeydown: (event) => event.key === "Enter" && submit(),
  });
  const dialog = el(
    "dialog",
    { "aria-label": "Token", onclose: () => dialog.remove() },
    el("header", el("h2", "This server asks for a token")),
    el("p", reason),
    input,
    el("footer", el("button.primary", { type: "button", onclick: submit }, "Connect")),
  );
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}
