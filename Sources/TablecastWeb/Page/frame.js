// Everything is drawn here: at most once a frame each, however many messages arrived meanwhile.

const due = new Set();
let requested = false;

/** Runs `draw` in the next frame; asking again before that changes nothing. */
export function schedule(draw) {
  due.add(draw);
  if (requested) return;
  requested = true;
  requestAnimationFrame(run);
}

function run() {
  requested = false;
  const draws = [...due];
  due.clear();
  for (const draw of draws) draw();
}

/** Lets the browser draw and listen in the middle of long work. */
export const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
