// While this office has no way to headquarters, this phone carries requests over its own data: the gateway seals an
// envelope, the phone posts it, and brings the sealed answer back. It reads neither.
const ASK_AGAIN_MS = 1500;
const NEXT_MS = 150;

async function reaches(headquarters) {
  try {
    await fetch(`${headquarters}/gateway/v1/carry`, { mode: "no-cors", cache: "no-store", credentials: "omit" });
    return true;
  } catch {
    return false;
  }
}

async function carryOne(headquarters, got) {
  const next = await fetch(`/api/carry/next?reaches=${got}`, { cache: "no-store" });
  if (next.status !== 200) return;
  const envelope = await next.json();
  const posted = await fetch(`${headquarters}/gateway/v1/carry`, {
    method: "POST",
    credentials: "omit",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(envelope),
  });
  if (!posted.ok) return;
  await fetch("/api/carry/answer", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ nonce: envelope.nonce, answer: await posted.json() }),
  });
}

let got = false;
async function turn() {
  const headquarters = document.body.dataset.carry;
  let pause = ASK_AGAIN_MS;
  if (headquarters) {
    try {
      got ||= await reaches(headquarters);
      await carryOne(headquarters, got);
      if (got) pause = NEXT_MS;
    } catch {
      got = false; // no way for this phone either: ask again in a moment
    }
  } else {
    got = false;
  }
  setTimeout(turn, pause);
}

turn();
