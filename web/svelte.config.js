import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    // A table laid out as cards loses the roles that this check calls redundant (src/ui/Table.svelte).
    warningFilter: (warning) => warning.code !== "a11y_no_redundant_roles",
  },
};
