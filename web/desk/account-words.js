/** What the pages about people say, in one place. Pure. */

const dated = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {string|null} time */
export const day = (time) => (time === null ? "never" : dated.format(new Date(time)));

/** @type {Record<string, string>} */
export const HOW = {
  key: "with a key", link: "with a one-time link", passkey: "with a passkey", invitation: "by invitation", oidc: "by the newsroom’s sign-in",
};
/** @type {Record<string, string>} */
export const ROLES = { contributor: "Contributor", editor: "Editor", chief: "Chief", admin: "Admin" };

export const WORDS = {
  away: "The server does not answer. Try again.",
  door: "You are not signed in.",
  adminsOnly: "This page is for admins.",
  noPerson: "You are signed in with a key that belongs to nobody, so you have no passkeys. An admin can add you as a person.",
  remove: "Remove", rename: "Rename…", end: "Sign out", here: "this one",
  added: (/** @type {string} */ when) => `added ${when}`,
  byLink: (/** @type {string} */ when) => `added ${when} by an invitation’s link`,
  used: (/** @type {string} */ when) => `last used ${when}`,
  begun: (/** @type {string} */ when) => `since ${when}`,
  unknownDevice: "Unknown device",
  passkeyAdded: "The passkey is added.",
  removeTitle: "Remove this passkey?",
  removeMore: "It will no longer sign you in. Remove it from the device too, where it is kept.",
  keep: "Keep it",
  endedOthers: "You are signed out everywhere else.",
  everywhereTitle: "Sign out everywhere?",
  everywhereMore: "Here too. What you typed and did not publish stays in this browser.",
  stay: "Stay", signOut: "Sign out",
  allChannels: "all channels",
  passkeys: (/** @type {number} */ count) => (count === 1 ? "1 passkey" : `${count} passkeys`),
  invitedUntil: (/** @type {string} */ when) => `invited until ${when}`,
  ended: (/** @type {string} */ when) => `access ended ${when}`,
  link: "New link", lost: "Lost device…", change: "Change…", signOutThem: "Sign out", revoke: "End access…",
  linkFor: (/** @type {string} */ name) => `A link for ${name}`,
  copied: "Copied.", notCopied: "Select the link and copy it.",
  lostTitle: "Were all devices lost?",
  lostMore: "The passkeys that there are stop working, they are signed out everywhere, and you get a new link for them.",
  lostYes: "Remove and make a link",
  revokeTitle: "End this person’s access?",
  revokeMore: "They are signed out everywhere within seconds, and their keys are revoked. This can’t be undone.",
  revokeYes: "End access",
  changeTitle: (/** @type {string} */ name) => `Change what ${name} may do`,
  signedOut: (/** @type {number} */ count) => (count === 1 ? "1 session ended." : `${count} sessions ended.`),
};
