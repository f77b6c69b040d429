// Which rows of how many are shown, and the way to others: one page on or back, or to one by its number.

import { el, icon, setText, show } from "./dom.js";
import { count } from "./format.js";

export class Pager {
  #range = el("span.quiet", { "aria-live": "off" });
  #number = el("input.page-number", {
    type: "text",
    inputmode: "numeric",
    autocomplete: "off",
    "aria-label": "Page",
    oninput: () => (this.#isEdited = true),
    onkeydown: (event) => event.key === "Enter" && this.#go(), // `change` does not come for a number that was there before
    onblur: () => this.#go(),
    onfocus: (event) => event.target.select(),
  });
  /** Holds a number that was typed and not gone to. */
  #isEdited = false;
  #of = el("span.pages");
  #jump = el("span.jump", this.#number, this.#of);
  #previous = el("button.icon-button", { type: "button", "aria-label": "Previous page" }, icon("back"));
  #next = el("button.icon-button", { type: "button", "aria-label": "Next page" }, icon("next"));
  #page = 0;
  #pages = 1;
  #onturn;

  constructor(onturn) {
    this.#onturn = onturn;
    this.#previous.addEventListener("click", () => this.#turnTo(this.#page - 1));
    this.#next.addEventListener("click", () => this.#turnTo(this.#page + 1));
    this.element = el("footer.pager", this.#range, this.#previous, this.#jump, this.#next);
    this.clear();
  }

  draw({ page, pages, first, shown, total, about }) {
    this.#page = page;
    this.#pages = pages;
    setText(this.#range, total === 0 ? "No rows" : `${count(first + 1)}–${count(first + shown)} of ${about}${count(total)}`);
    // Not disabled: that would take the focus from who has come to the end.
    this.#previous.setAttribute("aria-disabled", String(page === 0));
    this.#next.setAttribute("aria-disabled", String(page >= pages - 1));
    show(this.#jump, pages > 1);
    if (!this.#isEdited) this.#number.value = count(page + 1);
    setText(this.#of, `of ${about}${count(pages)}`);
  }

  clear() {
    this.draw({ page: 0, pages: 1, first: 0, shown: 0, total: 0, about: "" });
    setText(this.#range, "");
  }

  #turnTo(page) {
    if (page >= 0 && page < this.#pages) this.#onturn(page);
  }

  #go() {
    if (!this.#isEdited) return;
    this.#isEdited = false;
    const wanted = Number(this.#number.value.replaceAll(/[^\d]/g, "")) - 1;
    const page = wanted >= 0 ? Math.min(wanted, this.#pages - 1) : this.#page;
    this.#number.value = count(page + 1);
    this.#turnTo(page);
  }
}
