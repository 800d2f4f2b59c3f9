// Verifies a receipt with the log's public key alone, as `platform verify-receipt` does: SHA-256 and Ed25519 of the browser (Web Cryptography).
// The tree is RFC 9162's (2.1.3.2), the checkpoint C2SP's signed-note and tlog-checkpoint.

const ED25519 = 1;
const encode = (text) => new TextEncoder().encode(text);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const joined = (...parts) => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

function bytes(base64) {
  if (typeof base64 !== "string" || !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)) return null;
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

/** Reads a key as signed-note writes it: name, hash and key with a plus between two. */
export async function readKey(text) {
  const form = "the key must look like rialto+1f2e3d4c+AX…, as `platform new-audit-key` prints it";
  const parts = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(text.trim());
  const key = parts && bytes(parts[3]);
  if (!key || key.length !== 33 || key[0] !== ED25519) throw new Error(form);
  const hash = (await sha256(encode(`${parts[1]}\n`), key)).slice(0, 4);
  if (hex(hash) !== parts[2]) throw new Error("the key's hash is another one: was a part changed?");
  const verifying = await crypto.subtle.importKey("raw", key.slice(1), { name: "Ed25519" }, false, ["verify"]);
  return { name: parts[1], hash, verifying };
}

/** The size and the root of a checkpoint that the key signed. */
async function checkpoint(note, key) {
  const cut = note.indexOf("\n\n");
  if (cut < 0) throw new Error("its checkpoint has no signature");
  const text = note.slice(0, cut + 1);
  const prefix = `— ${key.name} `;
  let signed = false;
  for (const line of note.slice(cut + 2).split("\n").filter((line) => line.startsWith(prefix))) {
    const signature = bytes(line.slice(prefix.length));
    if (signature && signature.length === 68 && equal(signature.slice(0, 4), key.hash)) {
      signed ||= await crypto.subtle.verify("Ed25519", key.verifying, signature.slice(4), encode(text));
    }
  }
  if (!signed) throw new Error("its checkpoint is not signed with this key");
  const [name, size, root] = text.split("\n");
  const hash = bytes(root);
  if (name !== key.name || !/^(0|[1-9]\d*)$/.test(size) || !hash || hash.length !== 32) throw new Error("its checkpoint cannot be read");
  return { size: BigInt(size), root: hash };
}

/** The root that a proof leads to from a leaf; none if it cannot be one. */
async function rootOf(leaf, size, hash, proof) {
  if (leaf >= size) return null;
  let [node, last, root] = [leaf, size - 1n, hash];
  for (const sibling of proof) {
    if (last === 0n) return null;
    if (node & 1n || node === last) {
      root = await sha256([1], sibling, root);
      while (!(node & 1n) && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      root = await sha256([1], root, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n ? root : null;
}

/** Checks a receipt; returns its payment, its steps as they stand in the log, and how many leaves that has. Throws why it shows nothing. */
export async function verify(receipt, keyText) {
  if (!globalThis.crypto?.subtle) throw new Error("this browser verifies only on localhost or over https");
  const key = await readKey(keyText);
  const uuid = /^pay_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/.exec(receipt?.payment ?? "");
  if (!uuid || !Array.isArray(receipt.steps) || typeof receipt.checkpoint !== "string") throw new Error("this is no receipt");
  const { size, root } = await checkpoint(receipt.checkpoint, key);
  const steps = [];
  for (const [number, step] of receipt.steps.entries()) {
    const complain = (what) => new Error(`step ${number + 1}: ${what}`);
    const proof = (step.proof ?? []).map(bytes);
    if (proof.some((hash) => hash?.length !== 32)) throw complain("its proof is no list of hashes");
    if (typeof step.text !== "string" || !/^\d{1,18}$/.test(String(step.leaf ?? 0))) throw complain("it has no text or leaf");
    const reached = await rootOf(BigInt(step.leaf ?? 0), size, await sha256([0], encode(step.text)), proof);
    if (!reached || !equal(reached, root)) throw complain("it is not in the log that the checkpoint is of");
    const facts = JSON.parse(step.text);
    if (facts.payment !== uuid.slice(1).join("-")) throw complain("it is another payment's");
    if (facts.step !== number + 1) throw complain("a step before it is missing");
    steps.push(facts);
  }
  if (steps[0]?.kind !== "PAYMENT") throw new Error("it does not say what was asked for");
  return { payment: receipt.payment, size: size.toString(), steps };
}
