// What a protected service asks for before it shows anything.

import { el } from "./dom.js";
import { accessToken, useToken } from "./service.js";

/** `reason` is the server's reason for refusing the previous token, or a missing one. */
export function askForToken(reason) {
  const token = el("input", { id: "token", name: "password", type: "password", autocomplete: "current-password", required: true, spellcheck: "false" });
  // A password manager keeps a token by the address and a name.
  const name = el("input", { name: "username", type: "text", autocomplete: "username", value: location.host, readonly: true, hidden: true, "aria-label": "Server" });
  const form = el(
    "form",
    {
      method: "dialog",
      onsubmit: (event) => {
        event.preventDefault();
        if (token.value.trim() !== "") useToken(token.value.trim());
      },
    },
    el("header", el("h2", "This server requires a token")),
    el(
      "div.body",
      el("p", { role: "status" }, accessToken ? `The token was not accepted: ${reason}.` : "Get one from the operator of the server. It is kept only in this tab."),
      name,
      el("label", { for: "token" }, "Token"),
      token,
    ),
    el("footer", el("button.primary", { type: "submit" }, "Connect")),
  );
  const dialog = el("dialog.token", { "aria-label": "Token", onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  token.focus();
}
