import { createApp } from "vue";
import App from "./App.vue";

window.heard = [];
createApp(App).mount("#app");
