// From src/ to static/: what the admin port serves. See docs/explanation/ui.md.

import { defineConfig } from "vite";

export default defineConfig({
  root: "src",
  base: "/",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    // The page's Content-Security-Policy allows files of this server alone: nothing is inlined as data: or script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // What is bundled is other people's work, and its licences want to go with it: static/ is what wheels carry.
    license: { fileName: "licenses.md" },
  },
});
