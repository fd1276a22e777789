/** One's own passkeys and sessions. */

import { attempt, call, howWord, mine, part, Refused, row, who } from "./account.js";
import { day, WORDS } from "./account-words.js";
import { ask } from "./dialogs.js";
import { add, NoPasskey, passkeysWork, touch } from "./passkey.js";

async function passkeys() {
  let found;
  try {
    found = await call("GET", "/desk/passkeys");
  } catch (problem) {
    if (!(problem instanceof Refused) || problem.status !== 403) throw problem;
    return; // by a key that belongs to nobody
  }
  part("#passkeys").hidden = false;
  part("#add").hidden = !passkeysWork();
  part("#passkeys ul").replaceChildren(...found.passkeys.map((passkey) => row({
    title: passkey.name,
    facts: [
      (passkey.by === "link" ? WORDS.byLink : WORDS.added)(day(passkey.created)),
      WORDS.used(day(passkey.last_used)),
    ],
    actions: [
      [WORDS.rename, () => rename(passkey)],
      [WORDS.remove, () => remove(passkey)],
    ],
  })));
}

async function rename(passkey) {
  const dialog = part("#naming");
  const input = dialog.querySelector("input");
  input.value = passkey.name;
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => { dialog.addEventListener("close", resolve, { once: true }); });
  if (dialog.returnValue !== "yes") return;
  await call("PATCH", `/desk/passkeys/${encodeURIComponent(passkey.id)}`, { name: input.value });
  await passkeys();
}

async function remove(passkey) {
  const answer = await ask(part("#ask"), { title: WORDS.removeTitle, more: [WORDS.removeMore], yes: [WORDS.remove], no: WORDS.keep });
  if (answer !== "yes") return;
  await call("DELETE", `/desk/passkeys/${encodeURIComponent(passkey.id)}`);
  await passkeys();
}

async function addOne() {
  try {
    await add(mine());
  } catch (problem) {
    if (!(problem instanceof NoPasskey) || problem.status !== 403) throw problem;
    await touch(mine()); // it asks for one that there is, first
    await add(mine());
  }
  done(WORDS.passkeyAdded);
  await passkeys();
}

async function sessions() {
  const found = (await call("GET", "/v1/sessions")).sessions;
  part("#sessions").hidden = false;
  part("#others").hidden = found.length < 2;
  part("#sessions ul").replaceChildren(...found.map((session) => row({
    title: session.device || WORDS.unknownDevice,
    facts: [session.here ? WORDS.here : null, howWord(session.how), WORDS.begun(day(session.created)), WORDS.used(day(session.last_used))],
    actions: [[WORDS.end, async () => {
      await call("DELETE", `/v1/sessions/${session.id}`);
      await sessions();
    }]],
  })));
}

async function signOutOthers() {
  await call("DELETE", "/v1/sessions?others=1");
  done(WORDS.endedOthers);
  await sessions();
}

async function signOutEverywhere() {
  const words = { title: WORDS.everywhereTitle, more: [WORDS.everywhereMore], yes: [WORDS.signOut], no: WORDS.stay };
  if (await ask(part("#ask"), words) !== "yes") return;
  await call("DELETE", "/v1/sessions");
  location.assign("/desk");
}

function done(words) {
  part("#done").textContent = words;
  part("#done").hidden = false;
}

part("#add").addEventListener("click", () => attempt(addOne));
part("#others").addEventListener("click", () => attempt(signOutOthers));
part("#everywhere").addEventListener("click", () => attempt(signOutEverywhere));
attempt(async () => {
  await who();
  await Promise.all([passkeys(), sessions()]);
});
