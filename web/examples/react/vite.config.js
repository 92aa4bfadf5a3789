import react from "@vitejs/plugin-react";

export default {
  base: "./",
  plugins: [react()],
  // While developing, Vite would move the package's script away from its worker.
  optimizeDeps: { exclude: ["pocketlm"] },
};
