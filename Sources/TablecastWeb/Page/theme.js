// Runs before the first paint, so that a chosen theme never flashes in the other one.
try {
  document.documentElement.dataset.theme = JSON.parse(localStorage.getItem("tablecast.theme")) ?? "auto";
} catch {
  document.documentElement.dataset.theme = "auto"; // storage is blocked
}
