import { mount } from "svelte";
import App from "./App.svelte";

window.heard = [];
await import("https://ticker.example/ticker.js"); // when the page is at rest, say
mount(App, { target: document.querySelector("#app")! });
