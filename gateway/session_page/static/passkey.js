// A passkey: the browser asks its owner's phone, security key or computer, and the device itself checks the answer.
// The buttons stay hidden where a browser has none of that, as on a page without TLS.
const LONGEST_MS = 100_000;
const NAMELESS = ["127.0.0.1", "[::1]"]; // a passkey belongs to a name

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (data) =>
  btoa(String.fromCharCode(...new Uint8Array(data))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const named = (ids) => ids.map((id) => ({ type: "public-key", id: bytes(id) }));

async function asked(path) {
  const body = JSON.stringify({ rp_id: location.hostname });
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`/api${location.pathname}/${path}`, { method: "POST", headers, body });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? said.code);
  return said;
}

function send(path, fields) {
  return fetch(`${location.pathname}/${path}`, { method: "POST", body: new URLSearchParams(fields) });
}

const DO = {
  async get() {
    const said = await asked("passkey/ask");
    const found = await navigator.credentials.get({
      publicKey: {
        challenge: bytes(said.challenge),
        rpId: said.rp_id,
        allowCredentials: named(said.credentials),
        userVerification: "required",
        timeout: LONGEST_MS,
      },
    });
    await send("passkey", {
      credential_id: text(found.rawId),
      authenticator_data: text(found.response.authenticatorData),
      client_data: text(found.response.clientDataJSON),
      signature: text(found.response.signature),
    });
  },
  async create() {
    const said = await asked("passkey/new");
    const made = await navigator.credentials.create({
      publicKey: {
        challenge: bytes(said.challenge),
        rp: { id: said.rp_id, name: said.rp_id },
        user: { id: bytes(said.user_id), name: said.username, displayName: said.name },
        pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        excludeCredentials: named(said.credentials),
        authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
        timeout: LONGEST_MS,
      },
    });
    await send("new-passkey", {
      rp_id: said.rp_id,
      authenticator_data: text(made.response.getAuthenticatorData()),
    });
  },
};

let told = null; // why the last try came to nothing: said until the next one, however often the screen is drawn meanwhile

export function retell() {
  const button = told && document.querySelector(`[data-passkey="${told.kind}"]`);
  if (button) button.textContent = told.text ?? button.dataset.textFailed;
}

export function passkeys(refresh) {
  if (!window.PublicKeyCredential) return;
  document.documentElement.classList.add("passkeys");
  addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-passkey]");
    if (!button) return;
    if (NAMELESS.includes(location.hostname)) {
      location.hostname = "localhost";
      return;
    }
    button.disabled = true;
    told = null;
    try {
      await DO[button.dataset.passkey]();
    } catch (error) {
      const given = error instanceof DOMException; // not touched, not verified, or none of these passkeys is there
      told = { kind: button.dataset.passkey, text: given ? null : error.message };
      button.disabled = false;
      retell();
      return;
    }
    refresh();
  });
}
