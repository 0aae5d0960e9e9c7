// Keeps the screen up to date with the device. Without it the forms still work and a reload shows the next step.
import { listen } from "./badge.js";
import { passkeys, retell } from "./passkey.js";
import { say } from "./voice.js";

const CUES = {
  go: [880, 0.25], leaf: [990, 0.06], stamped: [660, 0.12], done: [520, 0.4], asked: [440, 0.2], spoil: [330, 0.3],
  alarm: [220, 0.7], siren: [180, 2.5],
};
const ALARMS = ["alarm", "siren"]; // never silent
let sound = null;
let cue = document.body.dataset.cue;
let said = document.body.dataset.say;
let heard = Date.now();

addEventListener("pointerdown", () => { sound ??= new AudioContext(); }, { passive: true });

function beep(name) {
  if (!CUES[name] || (document.body.classList.contains("silent") && !ALARMS.includes(name))) return;
  navigator.vibrate?.({ alarm: [300, 100, 300], siren: [600, 150, 600, 150, 600] }[name] ?? 120);
  if (!sound) return;
  const [pitch, seconds] = CUES[name];
  const tone = sound.createOscillator();
  tone.frequency.value = pitch;
  tone.connect(sound.destination);
  tone.start();
  tone.stop(sound.currentTime + seconds);
}

let busy = false;
let again = false;
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    show(fresh);
  } catch {
    // the stream's silence says so below
  } finally {
    busy = false;
    if (again) { again = false; refresh(); }
  }
}

function show(fresh) {
  if (fresh.body.innerHTML === shown) return;
  const form = document.activeElement?.closest(".sign-in, .write");
  const typing = form && fresh.getElementById(form.id)?.getAttribute("action") === form.getAttribute("action");
  const live = document.querySelector("img[data-live]");
  for (const part of ["header", "main", "footer"]) {
    const [here, there] = [document.querySelector(part), fresh.querySelector(part)];
    if (here && there && !(typing && part === "main")) here.replaceWith(document.adoptNode(there.cloneNode(true)));
  }
  retell();
  if (live?.naturalWidth) document.querySelector("img[data-live]")?.replaceWith(live);
  shown = fresh.body.innerHTML;
  document.title = fresh.title;
  document.body.className = fresh.body.className;
  document.body.dataset.carry = fresh.body.dataset.carry ?? "";
  if (fresh.body.dataset.cue !== cue) {
    cue = fresh.body.dataset.cue;
    beep(cue.split("-")[0]);
  }
  if (fresh.body.dataset.say !== said) {
    said = fresh.body.dataset.say;
    say(cue === "siren" || !document.body.classList.contains("silent") ? said : "");
  }
}

// The tray as it lies now: asked for only while the step shows it and somebody can see it.
let looking = false;
let seen = Date.now();
function look() {
  const here = document.querySelector("img[data-live]");
  if (!here || document.hidden) { seen = Date.now(); return; }
  const figure = here.closest("figure");
  figure.classList.toggle("stale", Date.now() - seen > 3000);
  figure.hidden = here.complete && !here.naturalWidth;
  if (looking) return;
  looking = true;
  const next = new Image();
  next.onerror = () => { looking = false; };
  next.onload = () => {
    looking = false;
    seen = Date.now();
    const old = document.querySelector("img[data-live]");
    if (!old) return;
    [next.alt, next.dataset.live] = [old.alt, old.dataset.live];
    old.replaceWith(next);
  };
  next.src = `${here.dataset.live}?${Date.now()}`;
}
setInterval(look, 700);

let shown = "";
const source = new EventSource("/api/events");
source.addEventListener("state", () => { heard = Date.now(); refresh(); });
setInterval(() => {
  for (const waited of document.querySelectorAll("time[data-waited]")) {
    const seconds = Number(waited.dataset.waited) + 1;
    waited.dataset.waited = seconds;
    waited.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
  const lost = document.querySelector(".lost");
  if (!lost) return;
  const silent = Date.now() - heard > 12_000;
  if (silent) lost.textContent = document.body.dataset.textLost;
  lost.hidden = !silent;
}, 1000);

listen(async (typed) => {
  const job = /^SR\W?(\d{4})\W?(\d{4,})$/i.exec(typed); // a cover sheet's code; the dash is another key on other keyboards
  const [action, form] = job ? ["start", { code: `SR-${job[1]}-${job[2]}` }] : ["badge", { badge: typed }];
  await fetch(`/devices/${document.body.dataset.device}/${action}`, { method: "POST", body: new URLSearchParams(form) });
  document.activeElement?.blur(); // the answer is shown even where somebody was typing
  refresh();
});

passkeys(refresh);
