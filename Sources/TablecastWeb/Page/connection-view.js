// The state of the connection: a pill in the header, a banner while it is lost, the details on demand.

import { el, setText, show } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { schedule } from "./frame.js";
import { fetchJSON } from "./service.js";

const WORDS = { connecting: "Connecting", open: "Live", waiting: "Reconnecting", closed: "Closed" };

export class ConnectionView {
  #client;
  #toasts;
  #pill;
  #word = el("span", "Connecting");
  #latency = el("span.latency");
  #bannerText = el("span", { role: "status" });
  #bannerWait = el("span"); // not part of the status, so that screen readers do not read each second
  #banner;
  #countdown;
  #positionAtLoss;
  #positionOnReturn;
  #wasLost = false;

  constructor({ pill, banner, toasts, client, subscription }) {
    this.#client = client;
    this.#toasts = toasts;
    this.#pill = pill;
    this.#banner = banner;
    pill.append(el("span.dot", { "aria-hidden": "true" }), this.#word, this.#latency);
    pill.addEventListener("click", () => this.#showDetails());
    banner.append(this.#bannerText, this.#bannerWait, el("button.small", { type: "button", onclick: () => client.retry() }, "Try now"));
    client.on("state", () => this.#stateChanged());
    client.on("latency", () => schedule(this.#draw));
    client.on("error", (error) => this.say(error.message, "error"));
    subscription.on("live", (live) => this.#live(live));
    this.#draw();
  }

  /** A word at the bottom of the window, for a while. */
  say(message, kind = "") {
    const toast = el("div.toast", { "data-kind": kind }, message);
    this.#toasts.append(toast);
    setTimeout(() => toast.remove(), 7_000);
  }

  #live({ recovered, resumed }) {
    if (!resumed || !this.#wasLost) return;
    this.#wasLost = false;
    const replayed = sequence(this.#positionOnReturn) - sequence(this.#positionAtLoss);
    if (recovered === true) this.say(`Reconnected. Nothing was missed${replayed > 0 ? `: ${plural(replayed, "transaction")} caught up` : ""}.`, "good");
    else this.say("Reconnected, but changes were missed. All data was read again.", "warning");
  }

  #stateChanged() {
    if (this.#client.state === "waiting") {
      if (!this.#wasLost) this.#positionAtLoss = this.#client.position;
      this.#wasLost = true;
    }
    if (this.#client.state === "open") this.#positionOnReturn = this.#client.position;
    clearInterval(this.#countdown);
    if (this.#client.state === "waiting") this.#countdown = setInterval(() => schedule(this.#draw), 500);
    schedule(this.#draw);
  }

  #draw = () => {
    const { state, latency, retryAt, lastClose } = this.#client;
    this.#pill.dataset.state = state;
    setText(this.#word, WORDS[state]);
    setText(this.#latency, latency === undefined ? "" : duration(latency));
    show(this.#banner, this.#wasLost && state !== "open");
    const seconds = retryAt === undefined ? 0 : Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    const why = lastClose?.reason ? ` (${lastClose.reason})` : "";
    if (state === "closed") setText(this.#bannerText, `The server closed this connection permanently${why}. Reload the page to try again.`);
    else setText(this.#bannerText, `The connection was lost${why}.`);
    setText(this.#bannerWait, state === "closed" ? "" : seconds > 0 ? `Next attempt in ${seconds} s.` : "Connecting…");
  };

  async #showDetails() {
    const { state, latency, position, server, database, clientId, attempt, lastClose } = this.#client;
    const rows = el("dl.details");
    const add = (title, value) => value !== undefined && value !== "" && rows.append(el("dt", title), el("dd", value));
    add("State", WORDS[state]);
    add("Latency", latency === undefined ? undefined : duration(latency));
    add("Database", database);
    add("Position", position);
    add("Server", server && `Tablecast ${server.version}`);
    add("This client", clientId);
    add("Attempts", attempt > 0 ? count(attempt) : undefined);
    add("Last close", lastClose && `${lastClose.code} ${lastClose.reason ?? ""}`.trim());
    const close = el("button.primary", { type: "button", onclick: () => dialog.close() }, "Close");
    const dialog = el("dialog", { "aria-label": "Connection", onclose: () => dialog.remove() }, el("header", el("h2", "Connection")), rows, el("footer", close));
    document.body.append(dialog);
    dialog.showModal();
    try {
      const { connectedClients, uptime } = await fetchJSON("/status");
      add("Clients", connectedClients === undefined ? undefined : count(connectedClients));
      add("Server up for", uptime === undefined ? undefined : duration(uptime * 1000));
    } catch {
      // the server is away: what the client knows is shown
    }
  }
}

/** The number of transactions in a position `epoch:number`. */
const sequence = (position) => Number(position?.split(":").at(-1) ?? 0);
