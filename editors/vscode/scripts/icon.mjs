// Draws media/icon.png from media/icon.svg with a headless Chromium: node scripts/icon.mjs [CHROMIUM]
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const media = fileURLToPath(new URL('../media/', import.meta.url));
execFileSync(process.argv[2] ?? 'chromium', [
  '--headless', '--no-sandbox', '--hide-scrollbars', '--force-device-scale-factor=1', '--window-size=128,128',
  '--default-background-color=00000000', `--screenshot=${media}icon.png`, `file://${media}icon.svg`,
], { stdio: 'ignore' });
console.log(`${media}icon.png`);
