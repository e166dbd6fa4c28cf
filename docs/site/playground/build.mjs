// Bundles the page and its worker into the folder that is given. Pyodide is not bundled: it loads its own files.
import * as esbuild from 'esbuild';

const [outdir] = process.argv.slice(2);
await esbuild.build({
  entryPoints: ['src/main.ts', 'src/worker.ts'],
  outdir,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'eof',
  logLevel: 'warning',
  external: ['./pyodide/pyodide.mjs'],
});
