// Monitor, light, grey steps, and whether the window is large enough.

import { tell } from "../../../viewer/static/server.js";

const STEPS = 16;
const section = document.querySelector("#environment");
const form = document.querySelector("#form");
const problem = document.querySelector("#problem");

function drawSteps(canvas) {
  const ratio = window.devicePixelRatio;
  canvas.width = Math.round(960 * ratio);
  canvas.height = Math.round(150 * ratio);
  const context = canvas.getContext("2d", { alpha: false });
  const grey = (level) => { context.fillStyle = `rgb(${level} ${level} ${level})`; };
  const width = canvas.width / STEPS;
  for (let step = 0; step < STEPS; step += 1) {
    grey(Math.round((255 * step) / (STEPS - 1)));
    context.fillRect(Math.floor(step * width), 0, Math.ceil(width), canvas.height);
  }
  const side = Math.round(width / 2.6);
  const top = Math.round(canvas.height / 2 - side / 2);
  grey(13);
  context.fillRect(Math.round(width / 2 - side / 2), top, side, side);
  grey(242);
  context.fillRect(Math.round(canvas.width - width / 2 - side / 2), top, side, side);
}

function tooSmall() {
  const width = Number(section.dataset.leastWidth);
  const height = Number(section.dataset.leastHeight);
  const small = innerWidth < width || innerHeight < height;
  if (small) {
    say(`This window has ${innerWidth} × ${innerHeight} pixels; reading needs ${width} × ${height}. `
      + "Make it larger, or use a larger screen.");
  } else if (problem.dataset.size) say("");
  problem.dataset.size = small ? "1" : "";
  form.querySelector("button").disabled = small;
  return small;
}

function say(text) {
  problem.textContent = text;
  problem.hidden = text === "";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (tooSmall() || !form.reportValidity()) return;
  const entered = new FormData(form);
  const steps = Number(entered.get("steps"));
  if (!(steps >= 0 && steps <= STEPS)) { say(`Enter 0 to ${STEPS} steps.`); return; }
  try {
    await tell("/api/environment", {
      monitor: entered.get("monitor"),
      calibrated: entered.get("calibrated"),
      light: entered.get("light"),
      steps_seen: steps,
      screen_width: screen.width,
      screen_height: screen.height,
      window_width: innerWidth,
      window_height: innerHeight,
      pixel_ratio: devicePixelRatio,
      colour_depth: screen.colorDepth,
      browser: navigator.userAgent.slice(0, 400),
    });
    location.assign("/read");
  } catch (error) {
    if (error.status === 401) location.assign("/sign-in");
    else say(error.message);
  }
});

addEventListener("resize", tooSmall);
drawSteps(document.querySelector("#steps"));
tooSmall();
