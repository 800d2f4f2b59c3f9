// Verifies the payment's receipt in this browser, and compares what it says with what the page says.
import { verify } from "/console/assets/receipt.js";

const REMEMBERED = "rialto-log-key";
const section = document.getElementById("receipt");
const form = document.getElementById("verify");
const verdict = document.getElementById("verdict");

function say(text, mark) {
  verdict.hidden = false;
  verdict.className = `notice ${mark}`;
  verdict.textContent = text;
}

async function check(key) {
  const { payment, amount, state, verifying, verified, other, notVerified, noReceipt } = section.dataset;
  say(verifying, "");
  const answer = await fetch(`/console/payments/${payment}/receipt`);
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    say(`${noReceipt} ${found.problem ?? answer.status}`, "");
    return;
  }
  try {
    const shown = await verify(found.receipt, key);
    const [first, last] = [shown.steps[0], shown.steps.at(-1)];
    const says = `${first.amount} ${first.currency} ${last.state}`;
    if (shown.payment !== payment || says !== `${amount} ${state}`) {
      say(`${other} ${shown.payment} ${says}`, "bad");
    } else {
      localStorage.setItem(REMEMBERED, key);
      say(`${verified} ${shown.size}`, "good");
    }
  } catch (problem) {
    say(`${notVerified} ${problem.message}`, "bad");
  }
}

if (form) {
  const field = document.getElementById("log-key");
  field.value = localStorage.getItem(REMEMBERED) ?? "";
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    check(field.value.trim());
  });
}
