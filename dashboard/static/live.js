// One stream of server-sent events for an open page: ids of what changed. Fragments ask for themselves (hx-trigger).
// Silence of more than 10 s makes live values grey and says since when they are known.
const SILENCE_MS = 10_000;

export function followLive() {
  const badge = document.querySelector("[data-live-state]");
  let source = null;
  let heard = Date.now();
  let lost = false;

  const show = () => {
    const stale = Date.now() - heard > SILENCE_MS;
    badge.hidden = false;
    badge.classList.toggle("stale", stale);
    badge.textContent = stale ? `${badge.dataset.textStale} ${new Date(heard).toLocaleTimeString(document.documentElement.lang)}` : badge.dataset.textLive;
    for (const values of document.querySelectorAll("[data-live-values]")) values.classList.toggle("is-stale", stale);
    if (stale) lost = true;
  };
  const tell = (names) => names.forEach((name) => document.body.dispatchEvent(new CustomEvent(`cinnabar:${name}`)));
  const hear = (event) => {
    heard = Date.now();
    if (lost) {
      lost = false;
      tell(["ledger", "device"]); // whatever happened meanwhile
    }
    if (event.type === "changed") tell([...new Set(JSON.parse(event.data).what.map((what) => what.split(":")[0]))]);
    show();
  };
  const open = () => {
    if (source) return;
    source = new EventSource("/live");
    source.addEventListener("beat", hear);
    source.addEventListener("changed", hear);
  };
  const close = () => {
    source?.close();
    source = null;
    lost = true;
  };
  // A hidden tab holds no connection: browsers allow six to one server over HTTP/1.1.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  setInterval(show, 1000);
  open();
}
