import { svelte } from "@sveltejs/vite-plugin-svelte";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [
    vue({ template: { compilerOptions: { isCustomElement: (tag) => tag === "breaking-ticker" } } }),
    svelte(),
  ],
  build: {
    target: "es2022",
    rollupOptions: { input: ["react.html", "vue.html", "svelte.html", "plain.html"] },
  },
});
