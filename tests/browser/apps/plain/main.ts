import "https://ticker.example/ticker.js";

window.heard = [];
const count = (text?: string) => window.heard.push(text);
document.addEventListener("ticker:line", ({ detail: { line } }) => count(line.text));
document.addEventListener("ticker:open", (event) => {
  event.preventDefault();
  count(event.detail.line.url ?? "");
});

const app = document.querySelector("#app")!;
const banner = document.createElement("breaking-ticker");
banner.setAttribute("channel", "en");
banner.setAttribute("mode", "list");

function button(name: string, onclick: () => void) {
  app.append(Object.assign(document.createElement("button"), { textContent: name, onclick }));
}

button("Edition", () => banner.setAttribute("channel", banner.getAttribute("channel") === "en" ? "ar" : "en"));
button("Banner", () => (banner.isConnected ? banner.remove() : app.append(banner)));
button("Closable", () => banner.toggleAttribute("dismissible"));
app.append(banner);
