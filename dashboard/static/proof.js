// An entry's proof, computed here from the two files that anyone can download: the signed bytes and the .tlog-proof.
// Nothing the server says about the result is used. RFC 6962 tree, RFC 9052 COSE_Sign1, C2SP signed note; docs/entries.md.
const text = new TextEncoder();
const fromBase64 = (line) => Uint8Array.from(atob(line), (character) => character.charCodeAt(0));
const fromHex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
export const leafHash = (leaf) => sha256([0], leaf);

// RFC 9162 section 2.1.3.2, with numbers below 2**53. Returns every hash on the way up; null: the path has a wrong length.
export async function climb(leaf, index, size, path) {
  let here = index;
  let last = size - 1;
  const steps = [leaf];
  for (const node of path) {
    if (last === 0) return null;
    const below = steps.at(-1);
    if (here % 2 === 1 || here === last) {
      steps.push(await sha256([1], node, below));
      while (here % 2 === 0 && here !== 0) {
        here /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      steps.push(await sha256([1], below, node));
    }
    here = Math.floor(here / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? steps : null;
}

// c2sp.org/tlog-proof: a first line, the index, the path, an empty line, the signed note.
export function parseProof(file) {
  const cut = file.indexOf("\n\n");
  const [first, ...lines] = file.slice(0, cut).split("\n");
  const note = file.slice(cut + 2);
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? "");
  const end = note.lastIndexOf("\n\n");
  if (first !== "c2sp.org/tlog-proof@v1" || !index || cut < 0 || end < 0) throw new Error("not a .tlog-proof");
  const body = note.slice(0, end + 1);
  const [origin, size, root] = body.split("\n");
  const path = lines.map(fromBase64);
  if (path.some((node) => node.length !== 32) || !/^[1-9][0-9]{0,15}$/.test(size)) throw new Error("not a .tlog-proof");
  const signatures = note.slice(end + 2).split("\n").filter(Boolean).map((line) => {
    const [, name, signed] = line.split(" ");
    const raw = fromBase64(signed);
    return { name, keyId: raw.subarray(0, 4), signature: raw.subarray(4) };
  });
  return { index: Number(index[1]), path, body, origin, size: Number(size), root: fromBase64(root), signatures };
}

// null: this browser has no Ed25519.
async function ed25519(publicKey, signature, message) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
}

// The verifier key `name+id+base64(0x01 || key)` must be the one that a line of the note names.
async function checkpointSigned(proof, vkey) {
  const [name, id, ...material] = vkey.split("+"); // base64 may hold a plus sign
  const key = fromBase64(material.join("+"));
  const line = proof.signatures.find((one) => one.name === name && hex(one.keyId) === id);
  if (proof.origin !== name || !line || key[0] !== 1) return false;
  return ed25519(key.subarray(1), line.signature, text.encode(proof.body));
}

// COSE_Sign1 in its one deterministic form: d2 84 49 <9 bytes protected> a0 <payload> 58 40 <signature>.
async function authorSigned(leaf, publicKey, purpose) {
  const end = leaf.length - 66;
  if (end < 14 || leaf[0] !== 0xd2 || leaf[12] !== 0xa0 || leaf[end] !== 0x58 || leaf[end + 1] !== 0x40) return false;
  const aad = text.encode(purpose); // shorter than 24 bytes
  const message = join([0x84, 0x6a], text.encode("Signature1"), leaf.subarray(2, 12), [0x40 + aad.length], aad, leaf.subarray(13, end));
  return ed25519(publicKey, leaf.subarray(end + 2), message);
}

async function fetched(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

// Shows one step: true, false, null (this browser cannot) in words that the page brought along.
function show(element, name, answer, value = "") {
  const step = element.querySelector(`[data-step="${name}"]`);
  if (!step) return;
  const state = answer === null ? "cannot" : answer ? "good" : "bad";
  step.dataset.state = state;
  step.querySelector("[data-answer]").textContent = element.dataset[`word${state[0].toUpperCase()}${state.slice(1)}`];
  const code = step.querySelector("[data-value]");
  if (code && value) code.textContent = value;
}

function showPath(element, steps) {
  const list = element.querySelector("[data-path]");
  const row = element.querySelector("template").content;
  for (const hash of steps) {
    const line = row.cloneNode(true);
    line.querySelector("code").textContent = hex(hash);
    list.append(line);
  }
}

async function check(element) {
  const { leafUrl, proofUrl, hash, index, vkey, author, purpose } = element.dataset;
  const leaf = await fetched(leafUrl);
  const computed = await leafHash(leaf);
  const answers = [same(computed, fromHex(hash))];
  show(element, "leaf", answers[0], hex(computed));
  answers.push(author ? await authorSigned(leaf, fromHex(author), purpose) : null);
  show(element, "author", answers[1]);
  const proof = parseProof(new TextDecoder().decode(await fetched(proofUrl)));
  const steps = proof.index === Number(index) ? await climb(computed, proof.index, proof.size, proof.path) : null;
  if (steps) showPath(element, steps);
  answers.push(steps !== null && same(steps.at(-1), proof.root));
  show(element, "path", answers[2], steps ? hex(steps.at(-1)) : "");
  answers.push(await checkpointSigned(proof, vkey));
  show(element, "root", answers[3], hex(proof.root));
  return { answers, size: proof.size };
}

export async function showCheck(element) {
  const said = element.querySelector("[data-said]");
  const { textGood, textBad, textCannot, textPartly } = element.dataset;
  if (!globalThis.crypto?.subtle) {
    said.textContent = textCannot;
    return;
  }
  let answers = [false];
  let size = 0;
  try {
    ({ answers, size } = await check(element));
  } catch (error) {
    console.warn("proof:", error.message); // a file that is no proof proves nothing
  }
  const state = answers.includes(false) ? "bad" : answers.includes(null) ? "wait" : "good";
  const words = { good: `✓ ${textGood}`, bad: `✗ ${textBad}`, wait: textPartly }[state];
  said.textContent = words.replace("#SIZE#", new Intl.NumberFormat(document.documentElement.lang).format(size));
  said.classList.remove("plain");
  said.classList.add(state);
  element.dataset.checked = state;
}
