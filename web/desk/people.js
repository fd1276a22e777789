/** Everybody who may sign in, for admins. */

import { attempt, call, part, Refused, row, who } from "./account.js";
import { day, ROLES, WORDS } from "./account-words.js";
import { ask } from "./dialogs.js";
import { clearFaults, showFaults } from "./fields.js";

/** @type {{slug: string, title: string}[]} */
let channels = [];
let myself = "";

async function list() {
  const { people } = await call("GET", "/v1/people");
  part("#nobody").hidden = people.length > 0;
  people.sort((one, other) => Number(one.revoked !== null) - Number(other.revoked !== null)
    || one.name.localeCompare(other.name));
  part("#people").replaceChildren(...people.map(entry));
}

function entry(person) {
  const ended = person.revoked !== null;
  /** @type {[string, () => Promise<void>][]} */
  const changes = person.id === myself ? [] : [[WORDS.change, () => change(person)], [WORDS.revoke, () => revoke(person)]];
  return row({
    title: person.name,
    ended,
    facts: [
      ROLES[person.role],
      person.channels.join(", ") || WORDS.allChannels,
      person.email,
      ended ? WORDS.ended(day(person.revoked)) : WORDS.passkeys(person.passkeys.length),
      person.invited_until && WORDS.invitedUntil(day(person.invited_until)),
      WORDS.used(day(person.last_used)),
    ],
    actions: ended ? [] : [
      [WORDS.link, () => link(person, false)],
      ...(person.passkeys.length > 0 ? [lostAction(person)] : []),
      [WORDS.signOutThem, () => signOut(person)],
      ...changes,
    ],
  });
}

/** @returns {[string, () => Promise<void>]} */
const lostAction = (person) => [WORDS.lost, () => lost(person)];

async function link(person, reset) {
  show(await call("POST", `/v1/people/${person.id}/link`, { reset }));
  await list();
}

async function lost(person) {
  const words = { title: WORDS.lostTitle, more: [WORDS.lostMore], yes: [WORDS.lostYes], no: WORDS.stay };
  if (await ask(part("#ask"), words) === "yes") await link(person, true);
}

async function signOut(person) {
  const { ended } = await call("DELETE", `/v1/sessions?of=${person.id}`);
  part("#copied").textContent = "";
  part("#list-title").focus();
  part("#told").textContent = WORDS.signedOut(ended);
  await list();
}

async function revoke(person) {
  const words = { title: WORDS.revokeTitle, more: [WORDS.revokeMore], yes: [WORDS.revokeYes], no: WORDS.stay };
  if (await ask(part("#ask"), words) !== "yes") return;
  await call("DELETE", `/v1/people/${person.id}`);
  await list();
}

async function change(person) {
  const dialog = part("#change");
  dialog.querySelector("h2").textContent = WORDS.changeTitle(person.name);
  dialog.querySelector("select").value = person.role;
  ticks(dialog.querySelector(".channels > div"), person.channels);
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => { dialog.addEventListener("close", resolve, { once: true }); });
  if (dialog.returnValue !== "yes") return;
  await call("PATCH", `/v1/people/${person.id}`, chosen(dialog));
  await list();
}

async function make() {
  const form = part("#new");
  clearFaults(form);
  const [name, email] = ["name", "email"].map((each) => form.querySelector(`[name=${each}]`).value.trim());
  try {
    show(await call("POST", "/v1/people", { name, ...(email && { email }), ...chosen(form) }));
  } catch (problem) {
    if (!(problem instanceof Refused) || problem.fields.size === 0) throw problem;
    const rest = showFaults(form, problem.fields);
    if (rest) throw new Refused(rest, problem.status);
    return;
  }
  form.reset();
  await list();
}

/** The link, this once. */
function show(made) {
  if (made.link === null) throw new Refused(made.no_link, 0);
  part("#link").hidden = false;
  part("#link-title").textContent = WORDS.linkFor(made.name);
  part("#link-text").value = made.link;
  part("#link-until").textContent = day(made.invited_until);
  part("#copied").textContent = "";
  part("#link-title").focus();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(part("#link-text").value);
    part("#copied").textContent = WORDS.copied;
  } catch {
    part("#link-text").select();
    part("#copied").textContent = WORDS.notCopied;
  }
}

/** What is chosen of role and channels. Chiefs and admins work on all channels. @param {HTMLElement} form */
function chosen(form) {
  const role = form.querySelector("select").value;
  const ticked = [...form.querySelectorAll(".channels input:checked")].map((each) => /** @type {HTMLInputElement} */ (each).value);
  return { role, channels: role === "chief" || role === "admin" ? [] : ticked };
}

/** @param {HTMLElement} place @param {string[]} on */
function ticks(place, on) {
  place.replaceChildren(...channels.map(({ slug, title }) => {
    const label = Object.assign(document.createElement("label"), { className: "tick" });
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: slug, checked: on.includes(slug) });
    const name = Object.assign(document.createElement("bdi"), { textContent: title });
    label.append(box, name);
    return label;
  }));
}

part("#new").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  attempt(make);
});
part("#copy").addEventListener("click", copy);
attempt(async () => {
  const session = await who();
  if (session.role !== "admin") throw new Refused(WORDS.adminsOnly, 403);
  channels = session.channels;
  myself = session.person_id ?? "";
  ticks(part("#new .channels > div"), []);
  part("#new").hidden = false;
  await list();
});
