// Keeps the screen up to date with the device. Without it the forms still work and a reload shows the next step.
const CUES = { go: [880, 0.25], stamped: [660, 0.12], done: [520, 0.4], alarm: [220, 0.7] };
let sound = null;
let cue = document.body.dataset.cue;
let heard = Date.now();

addEventListener("pointerdown", () => { sound ??= new AudioContext(); }, { passive: true });

function beep(name) {
  navigator.vibrate?.(name === "alarm" ? [300, 100, 300] : 120);
  if (!sound || !CUES[name]) return;
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
  const typing = document.activeElement?.matches("input") && fresh.querySelector(".sign-in");
  for (const part of ["header", "main", "footer"]) {
    const [here, there] = [document.querySelector(part), fresh.querySelector(part)];
    if (here && there && !(typing && part === "main")) here.replaceWith(document.adoptNode(there.cloneNode(true)));
  }
  shown = fresh.body.innerHTML;
  document.title = fresh.title;
  document.body.className = fresh.body.className;
  if (fresh.body.dataset.cue !== cue) {
    cue = fresh.body.dataset.cue;
    beep(cue);
  }
}

let shown = "";
const source = new EventSource("/api/events");
source.addEventListener("state", () => { heard = Date.now(); refresh(); });
setInterval(() => {
  const lost = document.querySelector(".lost");
  if (!lost) return;
  const silent = Date.now() - heard > 12_000;
  if (silent) lost.textContent = document.body.dataset.textLost;
  lost.hidden = !silent;
}, 1000);
