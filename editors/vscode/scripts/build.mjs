// Bundles the extension into dist/ and takes what it shares with the project from there; with --tests it bundles the
// unit tests into build/tests/ instead.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import * as esbuild from 'esbuild';

const production = process.argv.includes('--production');
const common = { bundle: true, platform: 'node', target: 'node20', logLevel: 'warning' };

if (process.argv.includes('--tests')) {
  await esbuild.build({
    ...common,
    entryPoints: readdirSync('tests').filter((name) => name.endsWith('.test.ts')).map((name) => `tests/${name}`),
    outdir: 'build/tests',
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    external: ['vscode'],
  });
} else {
  mkdirSync('dist', { recursive: true });
  copyFileSync('../../docs/gradls.schema.json', 'dist/gradls.schema.json');
  copyFileSync('../../samples/lost_gradients.py', 'dist/lost_gradients.py');
  await esbuild.build({
    ...common,
    entryPoints: ['src/extension.ts'],
    outfile: 'dist/extension.js',
    format: 'cjs',
    external: ['vscode'],
    minify: production,
    sourcemap: !production,
  });
}
