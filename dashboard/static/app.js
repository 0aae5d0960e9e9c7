// Small enhancements; every page works without them.
import { followDoubts } from "./doubts.js";
import { followLive } from "./live.js";
import { localTimes } from "./times.js";

localTimes(document);
document.addEventListener("htmx:after:swap", () => localTimes(document));
if (document.body.classList.contains("signed-in")) {
  followLive();
  followDoubts();
}
document.getElementById("problem")?.focus();
for (const proof of document.querySelectorAll("[data-proof]")) {
  import("./proof.js").then((module) => module.showCheck(proof));
}
setInterval(() => {
  for (const clock of document.querySelectorAll("[data-countdown]")) {
    clock.textContent = `${Math.max(0, Math.round((new Date(clock.dataset.countdown) - Date.now()) / 1000))} s`;
  }
}, 500);
