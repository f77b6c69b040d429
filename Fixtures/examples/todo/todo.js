// A list that everyone who opens it shares, and every other process that writes the file. The server is on another origin.

const server = new URLSearchParams(location.search).get("server") ?? "http://127.0.0.1:3001";
const { connect } = await import(`${server}/tablecast.js`);

const db = connect(`${server}/ws`);
const todos = db.table("todo");
const open = db.live("SELECT count(*) AS number FROM todo WHERE done = 0");

const list = document.getElementById("list");
const message = document.getElementById("message");

todos.on("change", draw);
todos.on("error", say);
open.on("change", () => (document.getElementById("open").textContent = `${open.rows[0].number} open`));
db.on("state", () => (message.textContent = db.state === "open" ? "" : db.refusal?.message ?? "Connecting…"));

document.getElementById("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = event.target.elements.text;
  todos.insert({ text: input.value, done: 0 }).catch(say);
  input.value = "";
});

function draw() {
  list.replaceChildren(...todos.rows.map(line));
}

function line(todo) {
  const done = Object.assign(document.createElement("input"), { type: "checkbox", checked: todo.done === 1 });
  done.addEventListener("change", () => todos.update(todo, { done: done.checked ? 1 : 0 }).catch(say));
  const text = Object.assign(document.createElement("span"), { textContent: todo.text });
  const label = document.createElement("label");
  label.append(done, text);
  const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "Delete", ariaLabel: `Delete ${todo.text}` });
  remove.addEventListener("click", () => todos.delete(todo).catch(say));
  const item = document.createElement("li");
  item.append(label, remove);
  return item;
}

function say(error) {
  message.textContent = error.code === "CONFLICT" ? "Another user changed this line; the list shows the current text." : error.message;
}
