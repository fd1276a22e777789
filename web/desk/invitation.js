/** An invitation: whom the link invites, and the passkey that accepts it. The link's word stays out of every request's address. */

import { accept, invited, NoPasskey, passkeysWork } from "./passkey.js";

const WORDS = {
  welcome: (/** @type {string} */ name) => ["Welcome, ", name, "."],
  none: "This page is opened by an invitation’s link. Yours is not complete: open it again, or ask an admin for a new one.",
  unable: "This browser makes no passkeys on this page. Open the link in a current browser, at an address with https.",
};

/** @returns {any} */
const part = (/** @type {string} */ selector) => document.querySelector(selector);
const word = location.hash.slice(1);

async function start() {
  if (word === "") return refuse(WORDS.none);
  if (!passkeysWork()) return refuse(WORDS.unable);
  try {
    const { name } = await invited(word);
    const place = document.createElement("bdi");
    place.translate = false;
    place.textContent = name;
    const [before, , after] = WORDS.welcome("");
    part("#welcome").replaceChildren(before, place, after);
    part("#ready").hidden = false;
    part("#ready button").focus();
  } catch (problem) {
    refuse(told(problem));
  }
  return undefined;
}

async function submit() {
  const button = part("#ready button");
  button.disabled = true;
  part("#trouble").hidden = true;
  try {
    const { options } = await invited(word); // a new challenge for each try
    await accept(word, options, part("#passkey-name").value.trim());
    location.replace("/desk");
  } catch (problem) {
    trouble(told(problem));
    button.disabled = false;
    button.focus();
  }
}

function refuse(words) {
  part("#welcome").hidden = true;
  part("#ready").hidden = true;
  trouble(words);
}

function trouble(words) {
  part("#trouble").hidden = false;
  part("#trouble").textContent = words;
}

function told(problem) {
  if (!(problem instanceof NoPasskey)) throw problem;
  return problem.detail;
}

part("#invitation").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  submit();
});
addEventListener("hashchange", () => location.reload());
start();
