// A badge reader is a keyboard that types faster than any hand and ends with Enter. It is heard anywhere on the page;
// what it typed never stays in a field.
const FASTEST_HAND_MS = 45;
const SHORTEST = 4;

let typed = "";
let last = 0;
let field = null;
let before = "";

export function listen(badgeRead) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const quick = event.timeStamp - last < FASTEST_HAND_MS;
    last = event.timeStamp;
    if (event.key === "Enter" && quick && typed.length >= SHORTEST) {
      event.preventDefault();
      event.stopPropagation();
      if (field?.isConnected) field.value = before;
      const badge = typed;
      typed = "";
      badgeRead(badge);
    } else if (event.key.length === 1) {
      if (!quick) {
        typed = "";
        field = event.target.matches?.("input, textarea") ? event.target : null;
        before = field?.value ?? "";
      }
      typed += event.key;
    } else if (event.key !== "Shift") {
      typed = "";
    }
  }, { capture: true });
}
