// Everything is drawn here: at most once a frame each, however many messages arrived meanwhile. Where a frame takes long, the
// next one waits as long again, so that half of the time is left for messages, for scrolling and for typing.

const FREE_MS = 8; // a frame that took less is no reason to wait
const LONGEST_REST_MS = 120;

const due = new Set();
let requested = false;
let isDrawing = false;
let restUntil = 0;

// A message posted in a frame comes after the browser has laid it out and painted it.
const painted = new MessageChannel();
painted.port1.onmessage = ({ data: started }) => {
  const now = performance.now();
  const took = now - started;
  restUntil = took > FREE_MS ? now + Math.min(took, LONGEST_REST_MS) : 0;
};

/**
 * Runs `draw` in the next frame; asking again before that changes nothing. What a drawing asks for is drawn in the same frame,
 * unless it was drawn in it already. What follows the reader's hand is urgent.
 */
export function schedule(draw, { isUrgent = false } = {}) {
  due.add(draw);
  if (isDrawing) return;
  if (isUrgent) return void requestAnimationFrame(run);
  request();
}

function request() {
  if (requested) return;
  requested = true;
  const rest = restUntil - performance.now();
  if (rest > 0) setTimeout(() => requestAnimationFrame(run), rest);
  else requestAnimationFrame(run);
}

function run() {
  requested = false;
  if (due.size === 0) return;
  painted.port2.postMessage(performance.now());
  isDrawing = true;
  const drawn = new Set();
  for (const draw of due) {
    // What is added meanwhile comes at the end of this iteration.
    if (drawn.has(draw)) continue;
    drawn.add(draw);
    due.delete(draw);
    try {
      draw();
    } catch (error) {
      reportError(error); // and the others are drawn all the same
    }
  }
  isDrawing = false;
  if (due.size > 0) request();
}

/** A `draw` that is run at once, but then for some time at most once more: for content that no user can read faster. */
export function atMostEvery(milliseconds, draw) {
  let earliest = 0;
  let timer;
  const now = () => {
    timer = undefined;
    earliest = performance.now() + milliseconds;
    draw();
  };
  return () => {
    if (timer !== undefined) return;
    const wait = earliest - performance.now();
    if (wait <= 0) now();
    else timer = setTimeout(() => schedule(now), wait);
  };
}

/** Lets the browser draw and listen in the middle of long work. */
export const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
