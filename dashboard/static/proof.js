// RFC 6962 inclusion proof, computed here from the signed bytes: nothing the server says about the result is used.
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const sha256 = async (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
};

// RFC 9162 section 2.1.3.2, with numbers below 2**53.
async function rootFrom(leafHash, index, size, path) {
  let here = index;
  let last = size - 1;
  let hash = leafHash;
  for (const node of path) {
    if (last === 0) return null;
    if (here % 2 === 1 || here === last) {
      hash = await sha256([1], node, hash);
      while (here % 2 === 0 && here !== 0) {
        here /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = await sha256([1], hash, node);
    }
    here = Math.floor(here / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? hash : null;
}

export async function showCheck(element) {
  const { index, size, path, root, leaf, textGood, textBad, textCannot } = element.dataset;
  if (!globalThis.crypto?.subtle) {
    element.textContent = textCannot;
    return;
  }
  const nodes = path ? path.split(" ").map(bytes) : [];
  const found = await rootFrom(await sha256([0], bytes(leaf)), Number(index), Number(size), nodes);
  const wanted = bytes(root);
  const good = found !== null && found.length === wanted.length && found.every((byte, at) => byte === wanted[at]);
  element.textContent = good ? `✓ ${textGood}` : `✗ ${textBad}`;
  element.classList.remove("plain");
  element.classList.add(good ? "good" : "bad");
}
